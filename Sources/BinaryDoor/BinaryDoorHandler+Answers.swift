// The way out: answers become frames in one buffer, and one write and flush a turn carries them.

import Contract
import Messages
package import NIOCore
import SluiceWire

extension BinaryDoorHandler {
    /// The longest part of a long message, in bytes: what a small answer may have to wait for.
    static let partBytes = 64 << 10
    /// Bytes of long messages handed to the channel in one turn.
    static let turnBytes = 256 << 10
    /// Long enough for the loop to ask its sockets first, short beside the time a turn's bytes take to seal.
    package static let turnPause = TimeAmount.microseconds(20)
    /// A failure's text, at most: a header has its limit, whatever an engine has to say.
    static let textBytes = 2_048
    /// How long the last bytes may take to leave.
    static let closingTime = TimeAmount.seconds(5)

    var partBytesMax: Int { min(Self.partBytes, machine.outboundFrameBytes) }

    // MARK: What the walk says

    func progress(_ progress: Progress, of exchange: DoorExchange) {
        // Progress is news, not an answer: a reader that is behind does not get it.
        guard !isClosing, machine.phase != .ended, outbound.bytes < Self.partBytes,
            !outbound.hasLane(exchange.call)
        else { return }
        var frame = outbound.ready.openFrame(.progress, call: exchange.call)
        ProgressMessage(progress).encode(into: &outbound.ready)
        outbound.ready.closeHeader(of: &frame)
        outbound.ready.closeFrame(frame)
        flushLater()
    }

    func send(_ message: Answer, of exchange: DoorExchange) {
        guard !isClosing, machine.phase != .ended else { return }
        guard outbound.bytes < limits.bufferedBytes else {
            overrule(exchange, .readerTooSlow(limits))
            return
        }
        openStream(exchange)
        write(message, timing: nil, call: exchange.call, as: .data, ends: false)
        flushLater()
    }

    func finish(
        _ result: Result<Answer, CallFailure>, timing: Timing, workContinues: Bool,
        of exchange: DoorExchange
    ) {
        exchange.handle = nil
        guard !exchange.isAbandoned else { return }
        if exchange.isListed, !workContinues { exchanges[exchange.slot] = nil }
        machine.finish(exchange.slot, workContinues: workContinues)
        guard !isClosing, machine.phase != .ended else { return }
        if let overruled = exchange.overruled {
            answer(exchange.call, overruled, timing, exchange.allowance)
        } else {
            switch result {
            case .failure(let failure):
                answer(exchange.call, failure, timing, exchange.allowance)
            case .success(let answer): finish(answer, timing, exchange)
            }
        }
        flushLater()
    }

    private func finish(_ answer: Answer, _ timing: Timing, _ exchange: DoorExchange) {
        guard outbound.bytes < limits.bufferedBytes else {
            self.answer(exchange.call, .readerTooSlow(limits), timing, exchange.allowance)
            return
        }
        guard exchange.hasSent else {
            write(
                answer, timing: timing, exchange.allowance, call: exchange.call, as: .reply,
                ends: true)
            return
        }
        // The end of a stream carries no message.
        if answer != .done {
            write(answer, timing: nil, call: exchange.call, as: .data, ends: false)
        }
        writeEnd(nil, timing, exchange.allowance, call: exchange.call)
    }

    /// A stream opens with a REPLY that has neither END nor a message.
    private func openStream(_ exchange: DoorExchange) {
        guard !exchange.hasSent else { return }
        exchange.hasSent = true
        outbound.ready.writeFrame(Frame(.reply, call: exchange.call))
    }

    func workEnded(_ exchange: DoorExchange) {
        guard !exchange.isAbandoned else { return }
        if exchange.isListed { exchanges[exchange.slot] = nil }
        machine.workEnded(exchange.slot)
        flushLater()
    }

    // MARK: Frames

    /// REPLY(END) with a status. What was not sent of the call's messages is dropped.
    func answer(
        _ call: UInt32, _ failure: CallFailure, _ timing: Timing = Timing(),
        _ allowance: Allowance? = nil
    ) {
        _ = outbound.drop(call)
        writeEnd(failure, timing, allowance, call: call)
        flushLater()
    }

    /// REPLY(END) without a message, behind what the call has waiting.
    private func writeEnd(
        _ failure: CallFailure?, _ timing: Timing, _ allowance: Allowance?, call: UInt32
    ) {
        let header = ReplyHeader(
            status: failure.map { StatusMessage($0.shortened(to: Self.textBytes)) },
            metadata: Self.metadata(allowance), timing: timing.onWire)
        guard outbound.hasLane(call) else {
            Self.write(header, call: call, into: &outbound.ready)
            return
        }
        var frame = ByteBuffer()
        Self.write(header, call: call, into: &frame)
        outbound.append(frame, call: call)
    }

    /// What the plan has left.
    private static func metadata(_ allowance: Allowance?) -> [MetadataEntry] {
        allowance?.fields.map { MetadataEntry(key: $0.name, value: $0.value) } ?? []
    }

    private static func write(_ header: ReplyHeader, call: UInt32, into buffer: inout ByteBuffer) {
        var frame = buffer.openFrame(.reply, .end, call: call)
        header.encode(into: &buffer)
        buffer.closeHeader(of: &frame)
        buffer.closeFrame(frame)
    }

    /// One message: a frame when it fits into a part, otherwise a lane of parts.
    private func write(
        _ answer: Answer, timing: Timing?, _ allowance: Allowance? = nil, call: UInt32,
        as type: FrameType, ends: Bool
    ) {
        let bytes = AnswerEncoder.byteCount(of: answer)
        let header = ReplyHeader(
            metadata: Self.metadata(allowance), timing: timing?.onWire)
        // A reply that succeeded has a header of a few dozen bytes, with a plan's fields of two hundred.
        guard bytes <= partBytesMax - 512 else {
            queue(AnswerEncoder.pieces(of: answer), bytes, header, call, ends: ends)
            return
        }
        Self.write(type, FrameFlags(ends: ends), call, header, answer, into: &outbound)
    }

    /// One access to the door's state for a whole frame.
    private static func write(
        _ type: FrameType, _ flags: FrameFlags, _ call: UInt32, _ header: ReplyHeader,
        _ answer: Answer, into outbound: inout Outbound
    ) {
        guard outbound.hasLane(call) else {
            outbound.prepare()
            write(type, flags, call, header, answer, into: &outbound.ready)
            return
        }
        var frame = ByteBuffer()
        write(type, flags, call, header, answer, into: &frame)
        outbound.append(frame, call: call)
    }

    private static func write(
        _ type: FrameType, _ flags: FrameFlags, _ call: UInt32, _ header: ReplyHeader,
        _ answer: Answer, into buffer: inout ByteBuffer
    ) {
        var frame = buffer.openFrame(type, flags, call: call)
        if type == .reply {
            header.encode(into: &buffer)
            buffer.closeHeader(of: &frame)
        }
        AnswerEncoder.encode(answer, into: &buffer)
        buffer.closeFrame(frame)
    }

    /// A message of several parts opens with REPLY, also in a stream: its header says how long it is.
    private func queue(
        _ pieces: [ByteBuffer], _ length: Int, _ header: ReplyHeader, _ call: UInt32, ends: Bool
    ) {
        var header = header
        header.messageLength = UInt64(length)
        var bytes = ByteBuffer()
        header.encode(into: &bytes)
        outbound.append(
            MessageSplitter(.reply, call: call, header: bytes, pieces: pieces, ends: ends))
    }

    // MARK: Frames of the connection

    func writeGoAway(last: UInt32, _ code: Ending.Code, _ reason: String, drain: Nanoseconds) {
        write(
            .goAway,
            GoAway(
                lastCall: last, code: GoAway.Code(rawValue: code.rawValue), reason: reason,
                drainMilliseconds: UInt32(clamping: drain.milliseconds)))
    }

    func writeServerHello(_ result: Result<Nanoseconds?, CallFailure>, token: Bool) {
        var hello = ServerHello(limits)
        hello.minor = ConnectionMachine.minor
        hello.idleMilliseconds = UInt32(clamping: machine.idleTime.milliseconds)
        hello.connectionID = connection
        hello.server = server
        if token { hello.auth = AuthResult(result.shortened(to: Self.textBytes)) }
        write(.hello, hello)
    }

    func writeAuthResult(_ result: Result<Nanoseconds?, CallFailure>) {
        write(.auth, AuthResult(result.shortened(to: Self.textBytes)))
    }

    private func write(_ type: FrameType, _ header: some HeaderMessage) {
        var frame = outbound.ready.openFrame(type)
        header.encode(into: &outbound.ready)
        outbound.ready.closeHeader(of: &frame)
        outbound.ready.closeFrame(frame)
    }

    // MARK: To the channel

    /// Within a turn its end flushes; otherwise one flush for all that finishes in this tick of the loop.
    func flushLater() {
        guard !isReading, !isFlushScheduled, !isClosing, let context else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().execute { [self] in
            isFlushScheduled = false
            settle()
        }
    }

    func flush(_ context: ChannelHandlerContext) {
        guard hasGreeted, !isClosing else { return }
        var wrote = false
        var turn = 0
        while context.channel.isWritable {
            var payload: ByteBuffer?
            if outbound.hasLanes, turn < Self.turnBytes {
                payload = outbound.nextPart(bodyMax: partBytesMax)
            }
            let hasReady = outbound.ready.readableBytes > 0
            guard hasReady || payload != nil else { break }
            if hasReady {
                context.write(wrapOutboundOut(outbound.ready), promise: nil)
            }
            if let payload {
                turn += payload.readableBytes
                context.write(wrapOutboundOut(payload), promise: nil)
            }
            outbound.readyWasWritten()
            wrote = true
        }
        if wrote { context.flush() }
        let isBlocked = outbound.bytes > 0 && !context.channel.isWritable
        if isBlocked { now = max(now, clock(context)) }
        machine.writability(!isBlocked, at: now)
        if outbound.hasLanes, !isBlocked { flushNextTurn() }
    }

    /// Goes on with long messages once the loop has asked its sockets: a task given to the loop now would run before that,
    /// and a long message would go out whole while every other connection and this one's reading wait.
    private func flushNextTurn() {
        guard !isFlushScheduled, let context else { return }
        isFlushScheduled = true
        context.eventLoop.assumeIsolated().scheduleTask(in: Self.turnPause) { [self] in
            isFlushScheduled = false
            settle()
        }
    }

    /// Sends all that is left and closes behind it.
    func close(_ context: ChannelHandlerContext) {
        guard !isClosing else { return }
        isClosing = true
        timer?.cancel()
        timer = nil
        let sent = context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenComplete { [self] _ in
            self.context?.close(promise: nil)
        }
        timer = context.eventLoop.assumeIsolated().scheduleTask(in: Self.closingTime) { [self] in
            self.context?.close(promise: nil)
        }
        let last = outbound.ready
        outbound.dropAll()
        context.writeAndFlush(wrapOutboundOut(last), promise: sent)
    }
}

extension Timing {
    /// Left out when there is nothing to tell.
    fileprivate var onWire: Timing? {
        var shown = self
        // Not for callers.
        shown.residentBytes = 0
        shown.cpu = .zero
        return shown == Timing() ? nil : shown
    }
}
