// One connection of the binary protocol as a value: frames, answers and instants in, steps out. It decides
// everything about the connection and does nothing itself; BinaryDoorHandler acts on the steps.
// proto/README.md is the normative text.

package import Contract
package import NIOCore
package import SluiceWire

/// What the door does because of an event.
package enum Step {
    case nothing
    /// Read the ClientHello, then tell ``ConnectionMachine/greet(minorMin:minorMax:frameWish:idleWish:)``.
    case greet(header: ByteBuffer)
    /// A call has a slot. Read its header, then `begin`, `assemble` or `refuse` the slot.
    case open(slot: Int, call: UInt32, header: ByteBuffer, payload: ByteBuffer, more: Bool)
    /// The last part has come: start the call.
    case begin(slot: Int, message: ByteBuffer)
    /// Answer a call that never had a slot.
    case refuse(call: UInt32, CallFailure)
    /// Answer a call that has not begun; its slot is free already.
    case fail(slot: Int, call: UInt32, CallFailure)
    /// Stop the work; the answer comes from there.
    case cancel(slot: Int)
    /// Stop the work and answer with this failure, whatever the work says.
    case overrule(slot: Int, CallFailure)
    /// A call without a slot was cancelled: drop what has not been sent of its answer.
    case cancelAnswer(call: UInt32)
    /// Read the AuthUpdate and ask who it is; then `authenticated()`.
    case authenticate(header: ByteBuffer)
    /// Send a PING back with ACK.
    case acknowledge(payload: ByteBuffer)
    /// Drain, phase one: GOAWAY "open no more", and a PING whose ACK shows that it was read.
    case announceDrain(left: Nanoseconds)
    /// Drain, phase two: GOAWAY with the last call.
    case nameLastCall(UInt32, left: Nanoseconds)
    /// GOAWAY, cancel what runs, close.
    case end(Ending)
    /// Answer every open call UNAVAILABLE (STOPPING), then as `end`.
    case stop
}

/// Why a connection ends; becomes GOAWAY's code and reason.
package struct Ending: Sendable, Equatable {
    package enum Code: UInt32, Sendable {
        case noError = 0
        case `protocol` = 1
        case calmDown = 2
        case timeout = 3
        case limit = 4
    }

    package var code: Code
    package var reason: String

    package init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    package init(_ fault: WireFault) { self.init(.protocol, fault.description) }
}

/// See the top of the file. For one owner; holds no clock, does no I/O, knows no protobuf.
package struct ConnectionMachine {
    package enum Phase: Equatable, Sendable {
        /// Nothing has come yet. Exits: greeting, ended.
        case awaitingHello(due: Instant)
        /// HELLO has come and is being answered; calls may come already. Exits: open, ended.
        case greeting
        /// Both HELLOs are out. Exit: ended.
        case open
        /// GOAWAY is the last word; what still comes is ignored.
        case ended
    }

    package enum Drain: Equatable, Sendable {
        case none
        /// "Open no more" was said; calls already on their way are taken. Exit: lastCallNamed.
        case announced(nameBy: Instant, stopBy: Instant)
        /// Calls above `last` are refused. Exit: the end of the connection.
        case lastCallNamed(last: UInt32, stopBy: Instant)
    }

    /// One message being put together.
    struct Assembly {
        var slot: Int
        var deadline: Instant
        var assembler: MessageAssembler
    }

    package let limits: Limits
    package internal(set) var phase: Phase
    package internal(set) var draining = Drain.none
    package internal(set) var calls = CallTable()
    /// Calls that have a slot and no answer yet.
    package internal(set) var unanswered = 0
    /// The highest call that was opened.
    package internal(set) var lastCall: UInt32 = 0
    /// The client has said GOAWAY.
    package internal(set) var peerLeaves = false
    /// A token is being checked.
    package internal(set) var isAuthenticating = false
    /// What the server may put into one frame, as the HELLOs agreed.
    package internal(set) var outboundFrameBytes: Int
    package internal(set) var idleTime: Nanoseconds
    /// Bytes of answers that have not been handed to the channel; the owner keeps it up to date.
    package var outboundBytes = 0

    var recent: RecentCalls
    var control: ControlBudget
    var assemblies: [Assembly] = []
    /// Bytes of messages the walk works on.
    package internal(set) var heldBytes = 0
    /// Bytes promised to messages being put together.
    package internal(set) var reservedBytes = 0
    var lastPing: Instant?
    var lastActivity: Instant
    /// When the frame began whose rest is missing.
    var insideFrameSince: Instant?
    /// Since when the channel takes no more.
    var blockedSince: Instant?

    package init(limits: Limits, at now: Instant) {
        self.limits = limits
        phase = .awaitingHello(due: now + limits.helloTime)
        outboundFrameBytes = limits.frameBytes
        idleTime = limits.idleTime
        recent = RecentCalls(countMax: max(256, limits.callsPerConnection))
        control = ControlBudget(burst: limits.controlFrameBurst, at: now)
        lastActivity = now
    }

    /// Bytes this connection holds or has promised to hold.
    package var bufferedBytes: Int { heldBytes + reservedBytes + outboundBytes }

    /// True while nothing shall be read: the budget is used up by what will be finished without more input.
    package var holdsReading: Bool {
        heldBytes + outboundBytes > 0 && bufferedBytes >= limits.bufferedBytes
    }

    /// Everything there was to answer has been answered and nothing more will come.
    package var isSpent: Bool {
        guard unanswered == 0 else { return false }
        if peerLeaves { return true }
        if case .lastCallNamed = draining { return true }
        return false
    }
}

// MARK: - HELLO and AUTH

extension ConnectionMachine {
    /// The only minor version there is.
    package static let minor: UInt32 = 0

    /// The ClientHello was read. Returns the end, or `.nothing` when its token shall be asked about: then the
    /// ServerHello is due at ``greeted()``.
    package mutating func greet(
        minorMin: UInt32, minorMax: UInt32, frameWish: Int, idleWish: Nanoseconds
    ) -> Step {
        guard case .greeting = phase else { return .nothing }
        guard minorMin <= ConnectionMachine.minor, minorMax >= minorMin else {
            return end(
                WireFault(
                    .versionUnknown, limit: Int(ConnectionMachine.minor), actual: Int(minorMin)))
        }
        if frameWish > 0 {
            // A frame must hold the longest header and a part behind it.
            let least = min(limits.headerBytes * 2, limits.frameBytes)
            outboundFrameBytes = min(max(frameWish, least), limits.frameBytes)
        }
        if idleWish > .zero { idleTime = min(max(idleWish, .seconds(1)), limits.idleTime) }
        isAuthenticating = true
        return .nothing
    }

    /// The ServerHello is on its way.
    package mutating func greeted() {
        isAuthenticating = false
        if case .greeting = phase { phase = .open }
    }

    /// The answer to an AUTH is on its way.
    package mutating func authenticated() { isAuthenticating = false }

    /// The peer broke the framing: nothing more is read.
    package mutating func end(_ fault: WireFault) -> Step { end(Ending(fault)) }

    mutating func end(_ ending: Ending) -> Step {
        guard phase != .ended else { return .nothing }
        phase = .ended
        return .end(ending)
    }
}

// MARK: - What became of a call

extension ConnectionMachine {
    /// The message is whole and the call goes to the walk.
    package mutating func begin(_ slot: Int, bytes: Int) {
        calls[slot].phase = .running
        calls[slot].heldBytes = bytes
        heldBytes += bytes
    }

    /// The call's header or message cannot be taken: its slot is free, the answer is the caller's.
    package mutating func refuse(_ slot: Int) {
        let entry = calls[slot]
        precondition(
            entry.phase == .opening || entry.phase == .assembling, "only before the call began")
        unanswered -= 1
        release(slot)
    }

    /// The walk has answered.
    package mutating func finish(_ slot: Int, workContinues: Bool) {
        precondition(calls[slot].phase == .running, "a call is answered once")
        unanswered -= 1
        if workContinues { calls[slot].phase = .windingDown } else { release(slot) }
    }

    /// The work behind an answered call has stopped.
    package mutating func workEnded(_ slot: Int) {
        precondition(calls[slot].phase == .windingDown, "work ends after its answer")
        release(slot)
    }

    /// Makes room for a message of several parts and takes the first.
    ///
    /// - Throws: RESOURCE_EXHAUSTED or INVALID_ARGUMENT; the caller then refuses the slot.
    package mutating func assemble(
        _ slot: Int, length: UInt64, first part: ByteBuffer, lead: Int = 0, deadline: Instant,
        at now: Instant
    ) throws(CallFailure) {
        do throws(MessageFault) {
            var assembler = try MessageAssembler(
                length: length, messageMax: limits.messageBytes,
                room: limits.bufferedBytes - bufferedBytes, lead: lead, at: now.onWire)
            try assembler.append(part, at: now.onWire)
            reservedBytes += assembler.length
            assemblies.append(Assembly(slot: slot, deadline: deadline, assembler: assembler))
            calls[slot].phase = .assembling
        } catch {
            throw CallFailure(error, limits)
        }
    }

    /// Frees a slot and all that was held for it. Parts of its message that still come are skipped.
    mutating func release(_ slot: Int) {
        let entry = calls[slot]
        heldBytes -= entry.heldBytes
        if entry.phase == .assembling, let index = assemblies.firstIndex(where: { $0.slot == slot })
        {
            reservedBytes -= assemblies[index].assembler.length
            assemblies.swapAt(index, assemblies.count - 1)
            assemblies.removeLast()
        }
        if entry.isHalfOpen { recent.insert(entry.call) }
        calls.close(slot)
    }
}
