// One connection as a value: bytes and calls in, bytes and arrivals out. It knows the protocol and nothing of
// sockets, clocks or tasks (PROTOCOL.md; proto/README.md is the normative text).

package import NIOCore
import SluiceWire

/// The number a call has from its start to its end, whichever connections it sees.
package typealias Ticket = UInt64

/// What the gateway's HELLO put in force.
package struct ConnectionSettings: Equatable {
    package var frameBytes = 256 << 10
    package var messageBytes = 64 << 20
    package var headerBytes = 16 << 10
    package var concurrentCalls = 256
    package var pingInterval = TimeAmount.seconds(10)
    /// For logs on both sides.
    package var connectionID = ""
    /// Name and version of the gateway.
    package var server = ""
}

/// Something the gateway sent that matters outside of the connection.
package enum Arrival {
    /// The gateway's HELLO: calls may be opened. The error says why the token was refused.
    case welcomed(SluiceError?)
    /// What became of an AUTH frame.
    case authenticated(SluiceError?)
    /// A unary call's end.
    case answered(Ticket, ReplyHeader, ByteBuffer)
    /// A message of a stream, its end, or both.
    case streamed(Ticket, message: ByteBuffer?, end: ReplyHeader?)
    /// The gateway's answer makes no sense: the call fails, the connection lives.
    case broken(Ticket, SluiceError)
    case progressed(Ticket, Progress)
    /// No more calls here; those listed will not be answered and were not begun.
    case goingAway([Ticket], why: String)
    /// GOAWAY in place of HELLO.
    case refused(SluiceError)
    /// The connection cannot go on.
    case fault(SluiceError)
}

/// See the file's head. States: `greeting` until the gateway's HELLO; `open` while calls may be opened;
/// `draining` after GOAWAY, until the last call has ended; `closed` after a fault.
package struct ConnectionMachine {
    package enum Phase: Equatable { case greeting, open, draining, closed }

    private struct OpenCall {
        /// Nil when the caller has gone: the slot is free when the gateway says so.
        var ticket: Ticket?
        var isStream: Bool
    }

    package private(set) var phase = Phase.greeting
    package private(set) var settings = ConnectionSettings()
    private var decoder: FrameDecoder
    private var calls: [UInt32: OpenCall] = [:]
    private var assemblies: [UInt32: Assembly] = [:]
    private var nextCall: UInt32 = 1
    private var output = OutboundQueue()
    private let messageBytesMax: Int

    // Keep-alive
    private let keepAlive: SluiceClient.Configuration.KeepAlive?
    private var lastHeard: NIODeadline
    private var pingSent: NIODeadline?

    package init(
        limits: SluiceClient.Configuration.Limits,
        keepAlive: SluiceClient.Configuration.KeepAlive?, now: NIODeadline
    ) {
        decoder = FrameDecoder(.client)
        messageBytesMax = limits.messageBytes
        self.keepAlive = keepAlive
        lastHeard = now
    }

    /// Calls whose slot on the gateway is taken.
    package var openCalls: Int { calls.count }
    package var hasOutput: Bool { !output.isEmpty }
    /// Bytes that wait for the socket.
    package var outputBytes: Int { output.byteCount }
    /// True when a call may be opened now.
    package var hasRoom: Bool {
        phase == .open && calls.count < settings.concurrentCalls && nextCall <= Frame.callMax
    }

    // MARK: Out

    /// The first frame; see ``HelloCoding/hello(userAgent:token:)``.
    package mutating func greet(_ header: ByteBuffer) { output.append(Frame(.hello, header: header)) }

    package mutating func authenticate(_ token: String) throws(SluiceError) {
        output.append(Frame(.auth, header: try HelloCoding.authUpdate(token)))
    }

    /// Opens a call; its bytes wait in ``takeOutput(atMost:)``. Only when ``hasRoom``.
    ///
    /// - Parameter timeout: what is left of the call's time, in microseconds, at least 1.
    /// - Throws: ``SluiceError`` when a limit of the gateway forbids the call; nothing was sent then.
    package mutating func open(
        _ request: CallRequest, ticket: Ticket, timeout: UInt64, attempt: Int
    ) throws(SluiceError) -> UInt32 {
        precondition(hasRoom, "a call is opened only where there is room")
        let payload = request.payload.readableBytes
        guard payload <= settings.messageBytes else {
            throw SluiceError(
                .resourceExhausted, reason: Reason.messageTooLarge,
                """
                The call's message has \(payload) bytes; the gateway takes \
                \(settings.messageBytes) (its setting limits.message).
                """)
        }
        let call = nextCall
        try output.append(
            request, call: call, timeout: timeout, attempt: attempt, settings: settings)
        nextCall += 1
        decoder.opened(call)
        calls[call] = OpenCall(ticket: ticket, isStream: request.method.isStream)
        return call
    }

    /// The caller of `call` has gone. The gateway is told, unless it has not heard of the call yet.
    package mutating func cancel(_ call: UInt32) {
        guard calls[call]?.ticket != nil else { return }
        assemblies[call] = nil
        if output.withdraw(call) == .unheard {
            calls[call] = nil
        } else {
            calls[call]?.ticket = nil
            output.append(Frame(.cancel, call: call))
        }
    }

    /// Bytes for the socket, about `limit` of them; long messages take turns.
    package mutating func takeOutput(atMost limit: Int) -> [ByteBuffer] {
        output.take(atMost: limit, frameBytes: settings.frameBytes)
    }

    /// Says goodbye because the gateway broke the protocol.
    package mutating func sayGoodbye(_ error: SluiceError) {
        guard phase != .closed else { return }
        phase = .closed
        output.append(Frame(.goAway, header: HelloCoding.goAway(protocolFault: error.message)))
    }

    /// The connection has gone: the calls whose callers are still there.
    package mutating func close() -> [Ticket] {
        phase = .closed
        defer { calls = [:] }
        assemblies = [:]
        return calls.sorted { $0.key < $1.key }.compactMap(\.value.ticket)
    }

    // MARK: Time

    /// When ``tick(_:)`` has something to do.
    package var nextTick: NIODeadline? {
        guard let keepAlive, phase == .open || phase == .draining else { return nil }
        if let pingSent { return pingSent + .nanoseconds(keepAlive.timeout.nanoseconds) }
        return lastHeard + pingInterval(keepAlive)
    }

    /// Sends a PING when it was quiet for long; an error when the last one was not answered.
    package mutating func tick(_ now: NIODeadline) -> SluiceError? {
        guard let keepAlive, let nextTick, now >= nextTick else { return nil }
        if pingSent != nil {
            return SluiceError(
                .unavailable, reason: Reason.keepAliveTimedOut,
                "The gateway did not answer a PING within \(keepAlive.timeout).")
        }
        pingSent = now
        output.append(
            Frame(.ping, payload: ByteBuffer(integer: now.uptimeNanoseconds)))
        return nil
    }

    /// Nothing was read on purpose: the silence up to now is not the gateway's.
    package mutating func excuseSilence(_ now: NIODeadline) {
        lastHeard = now
        pingSent = nil
    }

    private func pingInterval(_ keepAlive: SluiceClient.Configuration.KeepAlive) -> TimeAmount {
        // A little over the allowed minimum, as the gateway's clock is not ours.
        let least = settings.pingInterval + .nanoseconds(settings.pingInterval.nanoseconds / 10)
        return max(.nanoseconds(keepAlive.interval.nanoseconds), least)
    }

    // MARK: In

    package mutating func received(_ bytes: ByteBuffer, now: NIODeadline) {
        decoder.append(bytes)
        lastHeard = now
        pingSent = nil
    }

    /// The next thing that arrived, or nil when more bytes are needed.
    package mutating func next(now: NIODeadline) -> Arrival? {
        while phase != .closed {
            do throws(WireFault) {
                guard let frame = try decoder.next() else { return nil }
                if let arrival = arrival(frame, now: now) { return arrival }
            } catch {
                return .fault(Self.broken("\(error)"))
            }
        }
        return nil
    }

    private mutating func arrival(_ frame: Frame, now: NIODeadline) -> Arrival? {
        switch frame.type {
        case .reply: return reply(frame, now: now)
        case .data: return data(frame, now: now)
        case .progress:
            guard let ticket = calls[frame.call]?.ticket,
                let progress = HelloCoding.progress(frame.header)
            else { return nil }
            return .progressed(ticket, progress)
        case .ping:
            if !frame.flags.contains(.ack) {
                output.append(Frame(.ping, .ack, payload: frame.payload))
            }
            return nil
        case .goAway: return goAway(frame)
        case .auth:
            guard let result = HelloCoding.authResult(frame.header) else {
                return .fault(Self.broken("the header of AUTH is no AuthResult"))
            }
            return .authenticated(result.error)
        case .hello: return hello(frame)
        case .extension, .call, .cancel: return nil
        }
    }

    private mutating func hello(_ frame: Frame) -> Arrival {
        guard let (settings, auth) = HelloCoding.serverHello(frame.header) else {
            return .fault(Self.broken("the gateway's HELLO is no ServerHello"))
        }
        self.settings = settings
        decoder.adopt(
            WireLimits(frameBytes: settings.frameBytes, headerBytes: settings.headerBytes))
        phase = .open
        return .welcomed(auth)
    }

    private mutating func goAway(_ frame: Frame) -> Arrival {
        guard let (last, why) = HelloCoding.goAway(frame.header) else {
            return .fault(Self.broken("the header of GOAWAY is no GoAway"))
        }
        if phase == .greeting {
            return .refused(
                SluiceError(
                    .unavailable, reason: Reason.goingAway,
                    "The gateway refused the connection: \(why).", notStarted: true))
        }
        phase = .draining
        let lost = calls.keys.filter { $0 > last }.sorted()
        let tickets = lost.compactMap { call in
            _ = output.withdraw(call)
            assemblies[call] = nil
            return calls.removeValue(forKey: call)?.ticket
        }
        return .goingAway(tickets, why: why)
    }

    private mutating func reply(_ frame: Frame, now: NIODeadline) -> Arrival? {
        guard let open = calls[frame.call] else { return stray(frame) }
        guard open.ticket != nil else { return ignore(frame) }
        guard assemblies[frame.call] == nil else {
            return breakCall(frame, "REPLY came inside a message")
        }
        guard let header = try? ReplyHeader(frame.header) else {
            return breakCall(frame, "the header of REPLY is no ReplyHeader")
        }
        guard frame.flags.contains(.more) else {
            return complete(frame, header: header, message: frame.payload)
        }
        return assemble(frame, header: header, now: now)
    }

    private mutating func data(_ frame: Frame, now: NIODeadline) -> Arrival? {
        guard let open = calls[frame.call] else { return stray(frame) }
        guard open.ticket != nil else { return ignore(frame) }
        if assemblies[frame.call] != nil || frame.flags.contains(.more) {
            return assemble(frame, header: nil, now: now)
        }
        return complete(frame, header: nil, message: frame.payload)
    }

    /// Takes one part of a message of several.
    private mutating func assemble(
        _ frame: Frame, header: ReplyHeader?, now: NIODeadline
    ) -> Arrival? {
        do throws(MessageFault) {
            var assembly: Assembly
            if let begun = assemblies.removeValue(forKey: frame.call) {
                assembly = begun
            } else {
                assembly = try Assembly(header: header, messageMax: messageBytesMax, now: now)
            }
            try assembly.append(frame.payload, now: now)
            if frame.flags.contains(.more) {
                assemblies[frame.call] = assembly
                return nil
            }
            return complete(frame, header: assembly.header, message: try assembly.finish())
        } catch {
            return breakCall(frame, "its message breaks \(error.rule)", fault: error)
        }
    }

    /// A whole message has arrived. `header` is there when it began with REPLY.
    private mutating func complete(
        _ frame: Frame, header: ReplyHeader?, message: ByteBuffer
    ) -> Arrival? {
        guard let open = calls[frame.call], let ticket = open.ticket else { return nil }
        let ends = frame.flags.contains(.end)
        guard open.isStream else {
            guard ends, let header else { return breakCall(frame, "a unary answer has one REPLY") }
            calls[frame.call] = nil
            return .answered(ticket, header, message)
        }
        if ends { calls[frame.call] = nil }
        // A REPLY opens or ends a stream; it is a message only when it bears one. DATA is one also when
        // empty, as an empty protobuf message is, unless all it says is END.
        let isMessage = message.readableBytes > 0 || (header == nil && !ends)
        let end = ends ? header ?? ReplyHeader() : nil
        if !isMessage, end == nil { return nil }
        return .streamed(ticket, message: isMessage ? message : nil, end: end)
    }

    private mutating func breakCall(
        _ frame: Frame, _ what: String, fault: MessageFault? = nil
    ) -> Arrival? {
        guard let ticket = calls[frame.call]?.ticket else { return nil }
        if frame.flags.contains(.end) {
            assemblies[frame.call] = nil
            calls[frame.call] = nil
        } else {
            cancel(frame.call)
        }
        if let fault, fault.rule == .tooLong {
            return .broken(
                ticket,
                SluiceError(
                    .resourceExhausted, reason: Reason.messageTooLarge,
                    """
                    The answer has \(fault.actual) bytes; this client takes \(fault.limit) \
                    (Configuration.limits.messageBytes).
                    """))
        }
        return .broken(
            ticket,
            SluiceError(
                .internal, reason: Reason.badReply, "The gateway's answer is broken: \(what)."))
    }

    /// A frame of a call whose caller has gone.
    private mutating func ignore(_ frame: Frame) -> Arrival? {
        if frame.flags.contains(.end) { calls[frame.call] = nil }
        return nil
    }

    /// A frame of a call that has ended: a mistake, unless GOAWAY ended it here first.
    private func stray(_ frame: Frame) -> Arrival? {
        phase == .draining
            ? nil : .fault(Self.broken("\(frame.type) for call \(frame.call) after its END"))
    }

    private static func broken(_ what: String) -> SluiceError {
        SluiceError(
            .unavailable, reason: Reason.protocolBroken, "The gateway broke the protocol: \(what).")
    }
}

/// A message of several parts on its way in.
private struct Assembly {
    /// Nil for a message of a stream that began with DATA.
    let header: ReplyHeader?
    private let messageMax: Int
    /// Known for a REPLY: its header says it.
    private var known: MessageAssembler?
    private var growing = ByteBuffer()

    init(header: ReplyHeader?, messageMax: Int, now: NIODeadline) throws(MessageFault) {
        self.header = header
        self.messageMax = messageMax
        if let header {
            known = try MessageAssembler(
                length: header.messageLength, messageMax: messageMax, room: messageMax, at: now)
        }
    }

    mutating func append(_ part: ByteBuffer, now: NIODeadline) throws(MessageFault) {
        guard known == nil else {
            try known?.append(part, at: now)
            return
        }
        let total = growing.readableBytes + part.readableBytes
        guard total <= messageMax else {
            throw MessageFault(.tooLong, limit: messageMax, actual: total)
        }
        growing.writeImmutableBuffer(part)
    }

    consuming func finish() throws(MessageFault) -> ByteBuffer {
        guard let known else { return growing }
        return try known.finish()
    }
}
