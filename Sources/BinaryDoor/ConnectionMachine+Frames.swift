// What a frame means, given all that came before it. The decoder has already checked the frame by itself.

package import Contract
import NIOCore
package import SluiceWire

extension ConnectionMachine {
    /// One whole frame of the client.
    package mutating func receive(_ frame: Frame, at now: Instant) -> Step {
        guard phase != .ended else { return .nothing }
        lastActivity = now
        switch frame.type {
        case .call: return receiveCall(frame)
        case .data: return receiveData(frame, at: now)
        case .cancel: return receiveCancel(frame, at: now)
        case .ping: return receivePing(frame, at: now)
        case .auth:
            guard !isAuthenticating, phase == .open else {
                return end(WireFault(.authOverlaps, type: frame.type.byte))
            }
            guard control.take(at: now) else { return calmDown() }
            isAuthenticating = true
            return .authenticate(header: frame.header)
        case .goAway:
            peerLeaves = true
            return control.take(at: now) ? .nothing : calmDown()
        case .extension:
            return control.take(at: now) ? .nothing : calmDown()
        case .hello:
            guard case .awaitingHello = phase else {
                return end(WireFault(.helloRepeated, type: frame.type.byte))
            }
            phase = .greeting
            return .greet(header: frame.header)
        case .reply, .progress:
            return end(WireFault(.typeOfOtherSide, type: frame.type.byte))
        }
    }

    private mutating func receiveCall(_ frame: Frame) -> Step {
        guard !peerLeaves else {
            return end(
                WireFault(.callAfterGoAway, type: frame.type.byte, actual: Int(frame.call)))
        }
        lastCall = frame.call
        let isHalfOpen = !frame.flags.isEnd
        if case .lastCallNamed = draining {
            if isHalfOpen { recent.insert(frame.call) }
            return .refuse(call: frame.call, .draining)
        }
        guard calls.count < limits.callsPerConnection else {
            if isHalfOpen { recent.insert(frame.call) }
            return .refuse(call: frame.call, .tooManyCalls(limits))
        }
        let slot = calls.open(frame.call, halfOpen: isHalfOpen)
        unanswered += 1
        return .open(
            slot: slot, call: frame.call, header: frame.header, payload: frame.payload,
            more: frame.flags.isMore)
    }

    private mutating func receiveData(_ frame: Frame, at now: Instant) -> Step {
        let ends = frame.flags.isEnd
        if frame.payload.readableBytes == 0, !ends, !control.take(at: now) { return calmDown() }
        guard let slot = calls.find(frame.call) else {
            guard recent.contains(frame.call) else { return end(afterEnd: frame) }
            if ends { recent.remove(frame.call) }
            return .nothing
        }
        guard calls[slot].isHalfOpen else { return end(afterEnd: frame) }
        if ends { calls[slot].isHalfOpen = false }
        if calls[slot].phase == .assembling {
            return append(frame, slot, at: now)
        }
        // The call's one message is complete: only an empty END may follow.
        let isEmpty = frame.payload.readableBytes == 0 && !frame.flags.isMore
        guard !isEmpty, calls[slot].phase == .running, !calls[slot].isCancelled else {
            return .nothing
        }
        calls[slot].isCancelled = true
        return .overrule(slot: slot, .secondMessage)
    }

    private mutating func append(_ frame: Frame, _ slot: Int, at now: Instant) -> Step {
        guard let index = assemblies.firstIndex(where: { $0.slot == slot }) else {
            preconditionFailure("an assembling call has an assembly")
        }
        do throws(MessageFault) {
            try assemblies[index].assembler.append(frame.payload, at: now.onWire)
            guard !frame.flags.isMore else { return .nothing }
            let assembly = assemblies[index]
            let message = try assembly.assembler.finish()
            assemblies.swapAt(index, assemblies.count - 1)
            assemblies.removeLast()
            reservedBytes -= assembly.assembler.length
            begin(slot, bytes: message.readableBytes)
            return .begin(slot: slot, message: message)
        } catch {
            return fail(slot, CallFailure(error, limits))
        }
    }

    private mutating func receiveCancel(_ frame: Frame, at now: Instant) -> Step {
        guard control.take(at: now) else { return calmDown() }
        guard let slot = calls.find(frame.call) else {
            recent.remove(frame.call)
            return .cancelAnswer(call: frame.call)
        }
        calls[slot].isHalfOpen = false
        switch calls[slot].phase {
        case .assembling: return fail(slot, .cancelledBeforeStart)
        case .running:
            guard !calls[slot].isCancelled else { return .nothing }
            calls[slot].isCancelled = true
            return .cancel(slot: slot)
        case .windingDown: return .cancelAnswer(call: frame.call)
        case .free, .opening: return .nothing
        }
    }

    private mutating func receivePing(_ frame: Frame, at now: Instant) -> Step {
        if frame.flags.contains(.ack) {
            if case .announced(_, let stopBy) = draining, frame.payload == Self.drainProbe {
                return nameLastCall(stopBy: stopBy, at: now)
            }
            return control.take(at: now) ? .nothing : calmDown()
        }
        if let lastPing, now.since(lastPing) < limits.pingIntervalMinimum {
            return control.take(at: now) ? .nothing : calmDown()
        }
        lastPing = now
        return .acknowledge(payload: frame.payload)
    }

    /// Gives a call up that has not begun.
    mutating func fail(_ slot: Int, _ failure: CallFailure) -> Step {
        let call = calls[slot].call
        refuse(slot)
        return .fail(slot: slot, call: call, failure)
    }

    private mutating func end(afterEnd frame: Frame) -> Step {
        end(WireFault(.frameAfterEnd, type: frame.type.byte, actual: Int(frame.call)))
    }

    mutating func calmDown() -> Step {
        end(
            Ending(
                .calmDown,
                "more than \(limits.controlFrameBurst) control frames at once, refilled in 10 s "
                    + "(limits.control_frames)"))
    }
}
