// The messages of a connection, which are rare: SwiftProtobuf reads and writes them.

package import NIOCore
package import SluiceMessages
package import SwiftProtobuf

/// What became of a token.
package struct AuthOutcome {
    /// Nil when it was accepted.
    package var error: SluiceError?
}

package enum HelloCoding {
    /// A token longer than this does not fit HELLO's 4,096 bytes and follows in an AUTH frame.
    package static let helloTokenBytesMax = 3_500
    /// What the protocol allows for a header, before the gateway has said what it allows itself.
    private static let tokenBytesMax = 16 << 10

    /// A ClientHello.
    package static func hello(userAgent: String, token: String) throws(SluiceError) -> ByteBuffer {
        var hello = Sluice_ClientHello()
        hello.minorMin = 0
        hello.minorMax = 0
        hello.userAgent = cut(userAgent, to: 128)
        if token.utf8.count <= helloTokenBytesMax { hello.token = token }
        return try encoded(hello)
    }

    package static func authUpdate(_ token: String) throws(SluiceError) -> ByteBuffer {
        guard token.utf8.count < tokenBytesMax - 16 else {
            throw SluiceError(
                .invalidArgument, reason: Reason.headerTooLarge,
                "The token has \(token.utf8.count) bytes; the protocol allows \(tokenBytesMax - 17)."
            )
        }
        var update = Sluice_AuthUpdate()
        update.token = token
        return try encoded(update)
    }

    /// A GoAway that says why this side leaves.
    package static func goAway(protocolFault: String) -> ByteBuffer {
        var message = Sluice_GoAway()
        message.code = .goAwayProtocol
        message.reason = cut(protocolFault, to: 256)
        // Without a header the frame still says GOAWAY.
        return (try? encoded(message)) ?? ByteBuffer()
    }

    /// The settings in force and why the token was refused.
    package static func serverHello(_ header: ByteBuffer) -> (ConnectionSettings, SluiceError?)? {
        guard let hello: Sluice_ServerHello = decoded(header) else { return nil }
        var settings = ConnectionSettings()
        // 0 is a gateway that does not say: the protocol's defaults hold.
        if hello.maxFrame > 0 { settings.frameBytes = Int(hello.maxFrame) }
        if hello.maxMessage > 0 { settings.messageBytes = Int(clamping: hello.maxMessage) }
        if hello.maxHeader > 0 {
            settings.headerBytes = min(Int(hello.maxHeader), Int(UInt16.max))
        }
        if hello.maxConcurrentCalls > 0 {
            settings.concurrentCalls = Int(hello.maxConcurrentCalls)
        }
        if hello.minPingIntervalMs > 0 {
            settings.pingInterval = .milliseconds(Int64(hello.minPingIntervalMs))
        }
        settings.connectionID = hello.connectionID
        settings.server = hello.server
        return (settings, hello.hasAuth && hello.auth.hasStatus ? error(hello.auth.status) : nil)
    }

    package static func authResult(_ header: ByteBuffer) -> AuthOutcome? {
        guard let result: Sluice_AuthResult = decoded(header) else { return nil }
        return AuthOutcome(error: result.hasStatus ? error(result.status) : nil)
    }

    /// The last call that will be answered, and why the gateway leaves.
    package static func goAway(_ header: ByteBuffer) -> (lastCall: UInt32, why: String)? {
        guard let message: Sluice_GoAway = decoded(header) else { return nil }
        let code =
            switch message.code {
            case .goAwayNoError: "in good order"
            case .goAwayProtocol: "it saw the protocol broken"
            case .goAwayCalmDown: "it saw too many control frames"
            case .goAwayTimeout: "something took too long"
            case .goAwayLimit: "a limit was reached"
            case .UNRECOGNIZED(let number): "code \(number)"
            }
        return (message.lastCall, message.reason.isEmpty ? code : "\(code), \(message.reason)")
    }

    package static func progress(_ header: ByteBuffer) -> Progress? {
        guard let message: Sluice_Progress = decoded(header) else { return nil }
        let fraction = Double(message.fraction)
        return Progress(
            state: .init(rawValue: message.state.rawValue),
            fraction: (0...1).contains(fraction) ? fraction : nil,
            remaining: message.remainingMs == 0 ? nil : .milliseconds(message.remainingMs))
    }

    /// The error a Status means; nil when it says OK.
    package static func error(_ status: Sluice_Status) -> SluiceError? {
        guard status.code != 0 else { return nil }
        return SluiceError(
            .init(rawValue: Int(status.code)), reason: status.reason, status.message,
            retryAfter: status.retryAfterMs == 0 ? nil : .milliseconds(status.retryAfterMs),
            notStarted: status.notStarted,
            details: .init(
                status.details.map { ($0.key, $0.value) }, uniquingKeysWith: { _, last in last }))
    }

    // MARK: SwiftProtobuf and ByteBuffer

    package static func encoded(_ message: some Message) throws(SluiceError) -> ByteBuffer {
        do {
            let bytes: [UInt8] = try message.serializedBytes()
            return ByteBuffer(bytes: bytes)
        } catch {
            throw SluiceError(.internal, "A message cannot be encoded.", cause: error)
        }
    }

    package static func decoded<M: Message>(_ bytes: ByteBuffer) -> M? {
        try? M(serializedBytes: [UInt8](bytes.readableBytesView))
    }

    /// At most `bytes` bytes of UTF-8, no character cut in two.
    private static func cut(_ text: String, to bytes: Int) -> String {
        var text = text
        while text.utf8.count > bytes { text.removeLast() }
        return text
    }
}
