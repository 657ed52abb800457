// Why bytes are not sluice/1. A fault ends the connection: after it nothing can be read safely.

/// A framing mistake of the peer: the rule it broke, the limit and what it sent.
package struct WireFault: Error, Sendable, Hashable {
    /// The rules, in the order in which the decoder checks them (proto/README.md, Frame).
    package enum Rule: String, Sendable, Hashable, CaseIterable {
        /// The length counts at least the eight bytes behind it.
        case lengthTooShort
        /// `max_frame`, or 4,096 bytes for HELLO.
        case lengthTooLong
        /// The type byte has no meaning.
        case typeUnknown
        /// A type that only the other side may send.
        case typeOfOtherSide
        /// HELLO comes first, and once.
        case helloExpected
        case helloRepeated
        /// A frame of the connection bears call 0.
        case callNotZero
        /// A frame of a call bears a call id of 1...0xFFFFFFFE.
        case callZero
        /// A new call's id is greater than all before.
        case callGoesBack
        /// The call was never opened.
        case callUnknown
        /// Header longer than its frame.
        case headerOverFrame
        /// `max_header`.
        case headerTooLong
        /// This type has no header.
        case headerUnwanted
        /// This type has no payload, or PING's has not eight bytes.
        case payloadLength
        /// A flag this type does not have.
        case flagsUnknown
        /// END and MORE in one frame.
        case flagsContradict
        // What only the owner of a connection can see
        /// A part of a message for a half that has ended.
        case frameAfterEnd
        /// A call after the peer's own GOAWAY.
        case callAfterGoAway
        /// A second AUTH before the first has been answered.
        case authOverlaps
        /// A header message that is not the protobuf message it must be, where no call can be blamed.
        case headerBroken
        /// No minor version in common.
        case versionUnknown
    }

    package var rule: Rule
    /// The frame's type byte, where it had been read.
    package var type: UInt8?
    package var limit: Int
    package var actual: Int

    package init(_ rule: Rule, type: UInt8? = nil, limit: Int = 0, actual: Int = 0) {
        self.rule = rule
        self.type = type
        self.limit = limit
        self.actual = actual
    }
}

extension WireFault: CustomStringConvertible {
    /// A sentence for logs and for GOAWAY's reason; holds nothing the peer sent but numbers.
    package var description: String {
        let name = type.flatMap(FrameType.init(byte:)).map { "\($0)" } ?? "frame"
        switch rule {
        case .lengthTooShort:
            return "length \(actual) is below the \(limit) bytes a frame's head counts"
        case .lengthTooLong: return "length \(actual) is over the limit of \(limit) bytes"
        case .typeUnknown: return "frame type \(actual) is unknown"
        case .typeOfOtherSide: return "\(name) is for the other side to send"
        case .helloExpected: return "the first frame must be HELLO, not \(name)"
        case .helloRepeated: return "HELLO came twice"
        case .callNotZero: return "\(name) must bear call 0, not \(actual)"
        case .callZero: return "\(name) must bear a call id of 1 to 4294967294, not \(actual)"
        case .callGoesBack: return "call id \(actual) is not above \(limit)"
        case .callUnknown: return "\(name) for call \(actual), which was never opened"
        case .headerOverFrame:
            return "header of \(actual) bytes in a frame that has \(limit) bytes for it"
        case .headerTooLong: return "header of \(actual) bytes is over the limit of \(limit) bytes"
        case .headerUnwanted: return "\(name) has no header, but \(actual) bytes came"
        case .payloadLength: return "payload of \(name) must have \(limit) bytes, not \(actual)"
        case .flagsUnknown: return "\(name) has no flags \(actual)"
        case .flagsContradict: return "\(name) says both END and MORE"
        case .frameAfterEnd: return "\(name) for call \(actual) after its END"
        case .callAfterGoAway: return "call \(actual) was opened after GOAWAY"
        case .authOverlaps: return "AUTH came before the answer to the token before it"
        case .headerBroken: return "the header of \(name) is not its protobuf message"
        case .versionUnknown: return "minor version \(actual) is above \(limit), the highest here"
        }
    }
}
