// The words of the wire: what a frame is. Shared by the gateway's door and the SDK; no protobuf, no I/O.
// proto/README.md is the normative text.

package import NIOCore

/// The kind of a frame: the fifth byte on the wire.
package enum FrameType: Sendable, Hashable {
    /// First frame each way.
    case hello
    /// Client: opens a call.
    case call
    /// Both: the next part of a message, or the next message of a stream.
    case data
    /// Server: an answer, its first part, or the end of a stream.
    case reply
    /// Client: no longer interested.
    case cancel
    /// Both: eight bytes which come back with ACK.
    case ping
    /// Both: open no more calls.
    case goAway
    /// Client: another token. Server: what became of it.
    case auth
    /// Server: how far the waking of a model has come.
    case progress
    /// 0x40...0x7F: skipped by whoever does not know it.
    case `extension`(UInt8)

    /// The type of a wire byte, or nil when there is none.
    package init?(byte: UInt8) {
        switch byte {
        case 0x00: self = .hello
        case 0x01: self = .call
        case 0x02: self = .data
        case 0x03: self = .reply
        case 0x04: self = .cancel
        case 0x05: self = .ping
        case 0x06: self = .goAway
        case 0x07: self = .auth
        case 0x08: self = .progress
        case 0x40...0x7F: self = .extension(byte)
        default: return nil
        }
    }

    package var byte: UInt8 {
        switch self {
        case .hello: 0x00
        case .call: 0x01
        case .data: 0x02
        case .reply: 0x03
        case .cancel: 0x04
        case .ping: 0x05
        case .goAway: 0x06
        case .auth: 0x07
        case .progress: 0x08
        case .extension(let byte): byte
        }
    }
}

extension FrameType: CustomStringConvertible {
    /// As the protocol's text writes it, for example `CALL`.
    package var description: String {
        switch self {
        case .hello: "HELLO"
        case .call: "CALL"
        case .data: "DATA"
        case .reply: "REPLY"
        case .cancel: "CANCEL"
        case .ping: "PING"
        case .goAway: "GOAWAY"
        case .auth: "AUTH"
        case .progress: "PROGRESS"
        case .extension(let byte): "EXTENSION(\(byte))"
        }
    }
}

/// The sixth byte of a frame.
package struct FrameFlags: OptionSet, Sendable, Hashable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The last frame of this side's half of the call.
    package static let end = FrameFlags(rawValue: 0x01)
    /// This message continues in the call's next frame.
    package static let more = FrameFlags(rawValue: 0x02)
    /// A PING that answers one.
    package static let ack = FrameFlags(rawValue: 0x08)

    // On the path of a call: an option set's own `contains` and array literals are not always specialised.
    package var isEnd: Bool { rawValue & 0x01 != 0 }
    package var isMore: Bool { rawValue & 0x02 != 0 }
    /// END when `ends`, nothing otherwise.
    package init(ends: Bool) { self.init(rawValue: ends ? 0x01 : 0x00) }
}

extension FrameFlags: CustomStringConvertible {
    /// For example `END`, `MORE` or nothing.
    package var description: String {
        var words: [String] = []
        if contains(.end) { words.append("END") }
        if contains(.more) { words.append("MORE") }
        if contains(.ack) { words.append("ACK") }
        let rest = rawValue & ~0x0B
        if rest != 0 { words.append("0x" + String(rest, radix: 16)) }
        return words.joined(separator: "+")
    }
}

/// One frame. `header` and `payload` are slices of the bytes they came in: keeping one keeps those bytes.
package struct Frame: Sendable, Equatable {
    package var type: FrameType
    package var flags: FrameFlags
    /// 0 for a frame of the connection.
    package var call: UInt32
    package var header: ByteBuffer
    package var payload: ByteBuffer

    package init(
        _ type: FrameType, _ flags: FrameFlags = [], call: UInt32 = 0,
        header: ByteBuffer = ByteBuffer(), payload: ByteBuffer = ByteBuffer()
    ) {
        self.type = type
        self.flags = flags
        self.call = call
        self.header = header
        self.payload = payload
    }

    /// Bytes before the header: length, type, flags, header length, call.
    package static let headBytes = 12
    /// What the length counts besides header and payload.
    package static let countedHeadBytes = 8
    /// The largest call id; 0xFFFFFFFF is GOAWAY's "no last call yet".
    package static let callMax: UInt32 = 0xFFFF_FFFE
}

/// Which end of the connection reads.
package enum WireSide: Sendable, Hashable { case server, client }

/// What a peer may send at most. In bytes.
package struct WireLimits: Sendable, Hashable {
    /// `max_frame`: header and payload of one frame together.
    package var frameBytes: Int
    /// `max_header`: a frame's header; its field has 16 bits, so 65,535 at most.
    package var headerBytes: Int
    /// The body of the first frame, HELLO.
    package var helloBytes: Int

    package init(
        frameBytes: Int = 256 << 10, headerBytes: Int = 16 << 10, helloBytes: Int = 4_096
    ) {
        self.frameBytes = frameBytes
        self.headerBytes = headerBytes
        self.helloBytes = helloBytes
    }
}
