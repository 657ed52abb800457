// Gigabyte-seconds awake, also between calls: twice a second the house says which models are awake and what they hold, and the
// time since the look before is charged. A value.

package import Contract

package struct AwakeMeter: Sendable {
    /// A gap longer than this (a machine that was suspended) counts as this.
    static let gapMax = Nanoseconds.seconds(10)

    private var last: Instant?

    package init() {}

    /// - Parameters:
    ///   - held: each awake model with its bytes.
    ///   - wall: seconds since 1970.
    package mutating func look(
        _ held: [(model: String, bytes: UInt64)], now: Instant, wall: Int64
    ) -> [AwakeRow] {
        defer { last = now }
        guard let last, now > last else { return [] }
        let time = min(now.since(last), AwakeMeter.gapMax).count
        let hour = WallCalendar.hour(wall)
        return held.map { model, bytes in
            AwakeRow(
                hour: hour, model: model, byteTime: UInt128(bytes) * UInt128(time), time: time)
        }
    }
}
