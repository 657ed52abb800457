// Everything that happens because time passes or because the gateway wants to stop. The door keeps one timer
// and asks `nextDue` when to come back.

package import Contract
package import NIOCore
import SluiceWire

extension ConnectionMachine {
    /// The PING that follows GOAWAY phase one; its ACK shows that the client has read it.
    package static let drainProbe = ByteBuffer(bytes: Array("drain\0\0\0".utf8))
    /// How long phase one waits for that ACK.
    static let drainNotice = Nanoseconds.seconds(1)

    /// The bytes that had arrived have been decoded.
    package mutating func readEnded(insideFrame: Bool, sawFrames: Bool, at now: Instant) {
        if !insideFrame {
            insideFrameSince = nil
        } else if sawFrames || insideFrameSince == nil {
            insideFrameSince = now
        }
    }

    /// Whether the channel takes bytes, after a flush and whenever that changes.
    package mutating func writability(_ isWritable: Bool, at now: Instant) {
        if isWritable {
            blockedSince = nil
        } else if blockedSince == nil {
            blockedSince = now
        }
    }

    /// The gateway wants to stop: no new calls soon, open ones may finish within `time`.
    package mutating func drain(within time: Nanoseconds, at now: Instant) -> Step {
        guard phase != .ended, draining == .none else { return .nothing }
        if case .awaitingHello = phase {
            return end(Ending(.noError, "the gateway is stopping"))
        }
        draining = .announced(nameBy: now + Self.drainNotice, stopBy: now + time)
        return .announceDrain(left: time)
    }

    /// The gateway stops now.
    package mutating func stop() -> Step {
        guard phase != .ended else { return .nothing }
        phase = .ended
        return .stop
    }

    /// Everything has been answered and the other side or the gateway is leaving.
    package mutating func close() { phase = .ended }

    mutating func nameLastCall(stopBy: Instant, at now: Instant) -> Step {
        draining = .lastCallNamed(last: lastCall, stopBy: stopBy)
        return .nameLastCall(lastCall, left: stopBy.since(now))
    }

    /// When ``tick(at:)`` has something to do at the earliest, as things stand.
    package var nextDue: Instant? {
        guard phase != .ended else { return nil }
        var due = lastActivity + idleTime
        if case .awaitingHello(let hello) = phase { due = min(due, hello) }
        switch draining {
        case .none: break
        case .announced(let nameBy, _): due = min(due, nameBy)
        case .lastCallNamed(_, let stopBy): due = min(due, stopBy)
        }
        if let insideFrameSince { due = min(due, insideFrameSince + limits.stallTime) }
        if let blockedSince { due = min(due, blockedSince + limits.stallTime) }
        for assembly in assemblies {
            due = min(due, assembly.deadline)
            due = min(due, assembly.stallsAt(limits))
        }
        return due
    }

    /// The next thing that is overdue, or `.nothing`. Call it until then.
    package mutating func tick(at now: Instant) -> Step {
        guard phase != .ended else { return .nothing }
        if case .awaitingHello(let due) = phase, now >= due {
            return end(Ending(.timeout, "no HELLO within \(limits.helloTime)"))
        }
        if let insideFrameSince, now >= insideFrameSince + limits.stallTime {
            return end(Ending(.timeout, "a frame took longer than \(limits.stallTime)"))
        }
        if let blockedSince, now >= blockedSince + limits.stallTime {
            return end(Ending(.timeout, "nothing was read for \(limits.stallTime)"))
        }
        for assembly in assemblies {
            if now >= assembly.deadline { return fail(assembly.slot, .pastWhileReading) }
            if now >= assembly.stallsAt(limits) { return fail(assembly.slot, .stalled(limits)) }
        }
        switch draining {
        case .announced(let nameBy, let stopBy) where now >= nameBy:
            return nameLastCall(stopBy: stopBy, at: now)
        case .lastCallNamed(_, let stopBy) where now >= stopBy: return stop()
        case .none, .announced, .lastCallNamed: break
        }
        // A call at work keeps the connection; only then the rest of the idle time counts from now.
        guard now >= lastActivity + idleTime else { return .nothing }
        if calls.count > 0 || isAuthenticating {
            lastActivity = now
            return .nothing
        }
        return end(Ending(.timeout, "no frame for \(idleTime)"))
    }
}

extension ConnectionMachine.Assembly {
    func stallsAt(_ limits: Limits) -> Instant {
        Instant(nanoseconds: assembler.latest.uptimeNanoseconds) + limits.stallTime
    }
}

extension Instant {
    /// The same instant for the wire's types, which know NIO only.
    var onWire: NIODeadline { .uptimeNanoseconds(nanoseconds) }
}
