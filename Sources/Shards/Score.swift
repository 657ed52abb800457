// What it would cost to send a model away, for each byte that comes free: of the models awake the lowest goes first.

package import Contract

/// (Reload time + cost of a cold call) x recent demand / bytes (docs/decisions/0008).
package enum Score {
    /// What a cold call costs its caller whatever the model: without it, models that reload in a moment would be
    /// sent away with nearly every call. From 100 ms to 500 ms the simulation's outcome is nearly the same.
    package static let coldCall = Nanoseconds.milliseconds(250)

    /// `demand`: recent calls, fading (``Demand``).
    package static func value(reload: Nanoseconds, demand: Double, bytes: UInt64) -> Double {
        let seconds = Double((reload + coldCall).count) / 1e9
        return seconds * demand / Double(max(1, bytes))
    }
}
