// When to connect: on the first call, after a loss when the client shall stay connected, and never faster than
// the back-off allows. A value: events in, what to do out.

package import NIOCore

/// The states of the way to the gateway.
package struct LinkMachine {
    package enum State: Equatable {
        /// No connection and no wish for one. Exit: `dialing` on a wish.
        case idle
        /// A connection is being made. Exits: `ready`; `waiting` on failure.
        case dialing(UInt64)
        /// Calls go to this connection. Exits: `idle` or `dialing` when it is lost or goes away.
        case ready(UInt64)
        /// The last attempt failed: the next one no earlier than this. Exit: `dialing` on a wish when due.
        case waiting(NIODeadline)
        /// The client was shut down. No exit.
        case stopped
    }

    package private(set) var state = State.idle
    /// Failures since a connection last held.
    package private(set) var failures = 0
    private var lastID: UInt64 = 0
    private var readySince = NIODeadline.uptimeNanoseconds(0)
    private let backoff: SluiceClient.Configuration.Backoff

    /// A connection that did not live as long counts as a failure, so that a gateway that takes and drops
    /// connections is not hammered.
    private static let healthyLife = TimeAmount.seconds(1)

    package init(_ backoff: SluiceClient.Configuration.Backoff) { self.backoff = backoff }

    /// When a wish that could not be met now can be met.
    package var due: NIODeadline? { if case .waiting(let until) = state { until } else { nil } }

    /// Somebody wants a connection. Returns the id of the attempt to make now.
    package mutating func wish(_ now: NIODeadline) -> UInt64? {
        switch state {
        case .idle: break
        case .waiting(let until): if now < until { return nil }
        case .dialing, .ready, .stopped: return nil
        }
        lastID += 1
        state = .dialing(lastID)
        return lastID
    }

    /// True when `id` is the attempt under way.
    package func isDialing(_ id: UInt64) -> Bool { state == .dialing(id) }

    /// The connection may be used. False when nobody waits for this one any more.
    package mutating func connected(_ id: UInt64, now: NIODeadline) -> Bool {
        guard state == .dialing(id) else { return false }
        state = .ready(id)
        readySince = now
        return true
    }

    /// The attempt failed. False when it was not the one under way.
    package mutating func failed(_ id: UInt64, now: NIODeadline, luck: Double) -> Bool {
        guard state == .dialing(id) else { return false }
        wait(now: now, luck: luck)
        return true
    }

    /// The connection takes no more calls: another one is to be made for later ones.
    package mutating func goesAway(_ id: UInt64) {
        guard state == .ready(id) else { return }
        failures = 0
        state = .idle
    }

    /// The connection has ended.
    package mutating func lost(_ id: UInt64, now: NIODeadline, luck: Double) {
        guard state == .ready(id) else { return }
        if now - readySince >= Self.healthyLife {
            failures = 0
            state = .idle
        } else {
            wait(now: now, luck: luck)
        }
    }

    package mutating func stop() { state = .stopped }

    private mutating func wait(now: NIODeadline, luck: Double) {
        failures += 1
        state = .waiting(now + .nanoseconds(backoff.pause(failures: failures, luck: luck)))
    }
}
