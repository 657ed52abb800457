// Whether an issuer is worth asking now. A value: outcomes and instants in, permission out.

package import Contract

/// A circuit breaker for one issuer.
///
/// *closed*: asked freely; exit to open after ``failuresInRowMax`` failures in a row, or when more than half of the last
/// ``window`` look-ups failed. *open*: not asked until a pause has passed, then one look-up is let through: *half-open*.
/// Its success closes; its failure opens again, with a pause twice as long.
package struct Breaker: Sendable, Equatable {
    package enum Phase: String, Sendable { case closed, open, halfOpen = "half-open" }

    package enum Permit: Sendable, Equatable {
        case granted
        /// The one look-up that finds out whether the issuer is back; its outcome must be noted as such.
        case probe
        case refused(wait: Nanoseconds)
    }

    package static let failuresInRowMax = 5
    package static let window = 20
    package static let pauseMin = Nanoseconds.milliseconds(500)
    package static let pauseMax = Nanoseconds.seconds(10)

    package private(set) var phase = Phase.closed
    private var failuresInRow = 0
    /// The last outcomes, the newest in bit 0; a one is a failure.
    private var outcomes: UInt32 = 0
    private var seen = 0
    private var pause = Breaker.pauseMin
    private var openUntil = Instant(nanoseconds: 0)
    /// What came of the last look-up that had no answer: who is not let through is told the same.
    package private(set) var lastFailure: CallFailure?

    package init() {}

    /// How long nobody may ask, or nil when a look-up could begin. Changes nothing.
    package func refusal(at now: Instant) -> Nanoseconds? {
        switch phase {
        case .closed: nil
        case .open: now < openUntil ? openUntil.since(now) : nil
        // The probe ends within a look-up's time; that is not known here.
        case .halfOpen: Breaker.pauseMin
        }
    }

    /// A look-up wants to begin.
    package mutating func permit(at now: Instant) -> Permit {
        if phase == .closed { return .granted }
        if let wait = refusal(at: now) { return .refused(wait: wait) }
        phase = .halfOpen
        return .probe
    }

    /// A look-up has ended: with an answer, whatever it said (nil), or with a failure instead of one.
    package mutating func note(_ failure: CallFailure?, isProbe: Bool, at now: Instant) {
        let answered = failure == nil
        switch phase {
        case .closed:
            lastFailure = failure ?? lastFailure
            failuresInRow = answered ? 0 : failuresInRow + 1
            outcomes = (outcomes << 1 | (answered ? 0 : 1)) & (1 << UInt32(Breaker.window) - 1)
            seen = min(seen + 1, Breaker.window)
            let isBad = seen == Breaker.window && outcomes.nonzeroBitCount > Breaker.window / 2
            if failuresInRow >= Breaker.failuresInRowMax || isBad { open(now) }
        case .halfOpen where isProbe:
            if answered {
                self = Breaker()
            } else {
                lastFailure = failure
                pause = min(Nanoseconds(pause.count * 2), Breaker.pauseMax)
                open(now)
            }
        // Late outcomes of what was asked before it opened say nothing new.
        case .open, .halfOpen: break
        }
    }

    /// The probe was given up without an outcome: another may go.
    package mutating func abandonProbe(at now: Instant) {
        if phase == .halfOpen { open(now) }
    }

    private mutating func open(_ now: Instant) {
        phase = .open
        openUntil = now + pause
        failuresInRow = 0
        outcomes = 0
        seen = 0
    }
}
