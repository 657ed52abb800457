// The machine's steps, acted on: headers are read here and the walk is called.

import Contract
import Logging
import Messages
import NIOCore
import SluiceWire

extension BinaryDoorHandler {
    func act(_ step: Step) {
        switch step {
        case .nothing: break
        case .greet(let header): greet(header)
        case .open(let slot, let call, let header, let payload, let more):
            open(slot, call, header, payload, more: more)
        case .begin(let slot, let message):
            guard let waited = waiting.removeValue(forKey: slot) else {
                preconditionFailure("an assembled message has its header waiting")
            }
            begin(
                slot, machine.calls[slot].call, waited.method, waited.header, message,
                deadline: waited.deadline)
        case .refuse(let call, let failure): answer(call, failure)
        case .fail(let slot, let call, let failure):
            waiting[slot] = nil
            answer(call, failure)
        case .cancel(let slot): exchanges[slot]?.cancel()
        case .overrule(let slot, let failure):
            if let exchange = exchanges[slot] { overrule(exchange, failure) }
        case .cancelAnswer(let call):
            if outbound.drop(call) { answer(call, .cancelledWhileSending) }
        case .authenticate(let header): authenticate(header)
        case .acknowledge(let payload):
            outbound.ready.writeFrame(Frame(.ping, [.ack], payload: payload))
            flushLater()
        case .announceDrain(let left):
            writeGoAway(last: UInt32.max, .noError, "the gateway is stopping", drain: left)
            outbound.ready.writeFrame(Frame(.ping, payload: ConnectionMachine.drainProbe))
            flushLater()
        case .nameLastCall(let last, let left):
            writeGoAway(last: last, .noError, "the gateway is stopping", drain: left)
            flushLater()
        case .end(let ending): end(ending)
        case .stop: stop()
        }
    }

    // MARK: HELLO and AUTH

    private func greet(_ header: ByteBuffer) {
        guard let hello = try? ClientHello(decoding: header, limits: limits) else {
            act(machine.end(WireFault(.headerBroken, type: FrameType.hello.byte)))
            return
        }
        let step = machine.greet(
            minorMin: hello.minorMinimum, minorMax: hello.minorMaximum,
            frameWish: Int(hello.requestedFrameBytes),
            idleWish: .milliseconds(UInt64(hello.requestedIdleMilliseconds)))
        act(step)
        guard case .nothing = step else { return }
        session?.authenticate(hello.token) { [self] result in
            guard let context, !isClosing, machine.phase != .ended else { return }
            machine.greeted()
            hasGreeted = true
            // Answers may wait already; HELLO goes first.
            let waiting = outbound.ready
            outbound.ready = ByteBuffer()
            writeServerHello(result, token: hello.token != nil)
            outbound.ready.writeImmutableBuffer(waiting)
            now = max(now, clock(context))
            flushLater()
        }
    }

    private func authenticate(_ header: ByteBuffer) {
        guard let update = try? AuthUpdate(decoding: header, limits: limits) else {
            act(machine.end(WireFault(.headerBroken, type: FrameType.auth.byte)))
            return
        }
        session?.authenticate(update.token) { [self] result in
            guard !isClosing, machine.phase != .ended else { return }
            machine.authenticated()
            writeAuthResult(result)
            flushLater()
        }
    }

    // MARK: A call

    private func open(
        _ slot: Int, _ call: UInt32, _ header: ByteBuffer, _ payload: ByteBuffer, more: Bool
    ) {
        let head: CallHeader
        do throws(Messages.MessageFault) {
            head = try CallHeader(decoding: header, limits: limits)
        } catch {
            var failure = error.failure
            failure.notStarted = true
            refuse(slot, call, failure)
            return
        }
        guard let method = head.method else {
            refuse(slot, call, .unknownMethod(head.methodNumber))
            return
        }
        let deadline = now + timeout(head)
        guard more else {
            if let failure = wrongLength(head, payload) {
                refuse(slot, call, failure)
            } else {
                machine.begin(slot, bytes: payload.readableBytes)
                begin(slot, call, method, head, payload, deadline: deadline)
            }
            return
        }
        do throws(CallFailure) {
            try machine.assemble(
                slot, length: head.messageLength, first: payload,
                lead: MessageLayout.lead(firstPart: payload), deadline: deadline, at: now)
            waiting[slot] = Waiting(method: method, header: head, deadline: deadline)
        } catch {
            refuse(slot, call, error)
        }
    }

    /// The caller's time, never infinite: 0 is the default, more than the maximum is the maximum.
    private func timeout(_ header: CallHeader) -> Nanoseconds {
        guard header.timeoutMicroseconds > 0 else { return limits.deadlineDefault }
        let most = limits.deadlineMaximum
        guard header.timeoutMicroseconds < most.microseconds else { return most }
        return .microseconds(header.timeoutMicroseconds)
    }

    private func wrongLength(_ header: CallHeader, _ message: ByteBuffer) -> CallFailure? {
        let bytes = message.readableBytes
        if bytes > limits.messageBytes { return .messageTooLarge(bytes, limits) }
        if header.messageLength > 0, header.messageLength != UInt64(bytes) {
            return .lengthDiffers(said: header.messageLength, actual: bytes)
        }
        return nil
    }

    private func refuse(_ slot: Int, _ call: UInt32, _ failure: CallFailure) {
        machine.refuse(slot)
        answer(call, failure)
    }

    /// Hands a whole call to the walk. The machine counts it as running already.
    private func begin(
        _ slot: Int, _ call: UInt32, _ method: Method, _ header: CallHeader,
        _ message: ByteBuffer, deadline: Instant
    ) {
        let exchange = DoorExchange(
            self, call: call, slot: slot, wantsProgress: header.wantsProgress)
        guard let session, let context else {
            giveUp(exchange, .stopping(notStarted: true))
            return
        }
        // A deadline this near may be past by now; others are for the walk to watch.
        if deadline < now + .milliseconds(10), deadline <= clock(context) {
            giveUp(exchange, .pastOnArrival)
            return
        }
        let call = Call(
            method: method, model: header.model, version: header.modelVersion, arrived: now,
            deadline: deadline, wantsProgress: header.wantsProgress,
            priority: Priority(header: header.priority), trace: header.trace, token: header.token,
            body: InferenceBody(method: method, message: message, limits: limits))
        let handle = session.begin(call, exchange: exchange)
        guard exchange.state != .done else { return }
        while exchanges.count <= slot { exchanges.append(nil) }
        exchanges[slot] = exchange
        exchange.isListed = true
        guard exchange.state == .open else { return }
        exchange.handle = handle
        if exchange.overruled != nil { exchange.cancel() }
    }

    private func giveUp(_ exchange: DoorExchange, _ failure: CallFailure) {
        exchange.finish(.failure(failure), timing: Timing(), workContinues: false)
    }

    /// Stops the work; whatever it says, the caller is told `failure`.
    func overrule(_ exchange: DoorExchange, _ failure: CallFailure) {
        guard exchange.state == .open, exchange.overruled == nil else { return }
        exchange.overruled = failure
        _ = outbound.drop(exchange.call)
        exchange.cancel()
    }

    // MARK: The end

    private func end(_ ending: Ending) {
        logger.debug(
            "connection ends",
            metadata: [
                "connection.id": "\(connection)", "code": "\(ending.code)",
                "reason": "\(ending.reason)",
            ])
        outbound.dropLanes()
        // A client that was not greeted gets GOAWAY in place of HELLO.
        if !hasGreeted { outbound.ready = ByteBuffer() }
        writeGoAway(last: machine.lastCall, ending.code, ending.reason, drain: .zero)
        leave()
    }

    private func stop() {
        if !hasGreeted { outbound.dropAll() }
        writeGoAway(last: machine.lastCall, .noError, "the gateway is stopping", drain: .zero)
        for entry in machine.calls.entries where hasGreeted {
            switch entry.phase {
            case .free, .windingDown: continue
            case .opening, .assembling: answer(entry.call, .stopping(notStarted: true))
            case .running:
                _ = outbound.drop(entry.call)
                answer(entry.call, .stopping(notStarted: false))
            }
        }
        leave()
    }

    /// Sends the last bytes, cancels what still runs, closes.
    private func leave() {
        guard let context else { return }
        machine.close()
        close(context)
        cancelAll()
    }
}
