// Looks through a message before protobuf-c sees it: depth, counts, lengths, tags, UTF-8.

// protobuf-c.h is part of both modules, and which one Swift takes a name from is chance: import both.
import CMessages
import CProtobufC

/// A limit on a repeated field, and how often the field has been seen. Safe: the pointer is only compared.
@safe struct CountRule {
    /// Whether the count starts anew with each message of the parent's type.
    enum Scope { case message, parent }

    let parent: UnsafePointer<ProtobufCMessageDescriptor>
    let field: UInt32
    let maximum: Int
    let scope: Scope
    /// For the fault's text: what is counted, and the setting that bounds it.
    let what: StaticString
    var count = 0
}

/// Walks the bytes of a message along its description and throws unless protobuf-c can be trusted with them:
/// every tag is valid and known wire types only, every length lies inside its parent, nesting stays under a
/// depth, repeated fields under their counts, strings are UTF-8 without NUL, and no singular message comes
/// twice (which protobuf-c would have to merge; no encoder writes that).
struct BoundingScanner: ~Copyable {
    /// Unknown fields are skipped, as protobuf wants; more than this many are not a newer peer but an attack.
    static let unknownFieldsMax = 1_024

    private let depthMax: Int
    private var rules: [CountRule]
    private var unknownFields = 0
    /// The top-level field that is noted instead of being kept for protobuf-c (raw tensor contents).
    private let detached: UInt32?
    private let detachedMax: Int
    /// Where the detached field's values lie.
    private(set) var detachedRanges: [Range<Int>] = []
    /// Where the rest lies; neighbours are joined.
    private(set) var keptRanges: [Range<Int>] = []

    init(
        depthMax: Int, rules: [CountRule] = [], detaching detached: UInt32? = nil,
        atMost detachedMax: Int = 0
    ) {
        self.depthMax = depthMax
        self.rules = rules
        self.detached = detached
        self.detachedMax = detachedMax
    }

    mutating func scan(
        _ bytes: Span<UInt8>, as descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    ) throws(MessageFault) {
        try unsafe scan(bytes, 0..<bytes.count, descriptor, depth: 1)
    }

    private mutating func scan(
        _ bytes: Span<UInt8>, _ range: Range<Int>,
        _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>, depth: Int
    ) throws(MessageFault) {
        guard depth <= depthMax else {
            throw MessageFault(
                .tooLarge, "messages are nested deeper than \(depthMax) (limits.nesting_depth)")
        }
        unsafe startParent(descriptor)
        var singularMessages: UInt64 = 0
        var position = range.lowerBound
        while position < range.upperBound {
            let start = position
            guard let tag = WireFormat.varint(bytes, &position, end: range.upperBound),
                position - start <= 5, 1...WireFormat.fieldNumberMax ~= tag >> 3
            else { throw BoundingScanner.malformed("a field's tag") }
            let number = UInt32(truncatingIfNeeded: tag >> 3)
            let wireType = UInt8(truncatingIfNeeded: tag & 7)
            let value = try BoundingScanner.value(
                bytes, &position, end: range.upperBound, wireType)

            if depth == 1, let detached, number == detached {
                try detach(value, wireType)
                continue
            }
            if detached != nil && depth == 1 { keep(start..<position) }
            guard
                let field = unsafe protobuf_c_message_descriptor_get_field(descriptor, number)
            else {
                unknownFields += 1
                guard unknownFields <= BoundingScanner.unknownFieldsMax else {
                    throw MessageFault(.malformed, "the message has too many unknown fields")
                }
                continue
            }
            if unsafe field.pointee.type == PROTOBUF_C_TYPE_MESSAGE
                && field.pointee.label != PROTOBUF_C_LABEL_REPEATED
            {
                let bit = unsafe UInt64(1) << UInt64(field - descriptor.pointee.fields)
                guard singularMessages & bit == 0 else {
                    throw unsafe BoundingScanner.malformed("\(BoundingScanner.name(field)) twice")
                }
                singularMessages |= bit
            }
            try unsafe check(bytes, value, wireType, field, descriptor, depth: depth)
        }
    }

    /// Moves over one value and answers where it lies (without its length).
    private static func value(
        _ bytes: Span<UInt8>, _ position: inout Int, end: Int, _ wireType: UInt8
    ) throws(MessageFault) -> Range<Int> {
        let start = position
        switch wireType {
        case WireFormat.varint:
            guard WireFormat.varint(bytes, &position, end: end) != nil else {
                throw malformed("a number")
            }
        case WireFormat.fixed64:
            guard end - position >= 8 else { throw malformed("a 64-bit value") }
            position += 8
        case WireFormat.fixed32:
            guard end - position >= 4 else { throw malformed("a 32-bit value") }
            position += 4
        case WireFormat.lengthDelimited:
            guard let range = WireFormat.delimited(bytes, &position, end: end) else {
                throw malformed("a length")
            }
            return range
        case 3, 4:
            throw MessageFault(.malformed, "the message holds a group, which proto3 has not")
        default:
            throw malformed("a wire type")
        }
        return start..<position
    }

    /// Checks one known field's value.
    private mutating func check(
        _ bytes: Span<UInt8>, _ value: Range<Int>, _ wireType: UInt8,
        _ field: UnsafePointer<ProtobufCFieldDescriptor>,
        _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>, depth: Int
    ) throws(MessageFault) {
        let type = unsafe field.pointee.type
        let expected = BoundingScanner.wireType(of: type)
        let repeated = unsafe field.pointee.label == PROTOBUF_C_LABEL_REPEATED
        if wireType == expected {
            if repeated { try unsafe count(1, field, descriptor) }
            if type == PROTOBUF_C_TYPE_STRING {
                guard BoundingScanner.isText(bytes, value) else {
                    throw unsafe MessageFault(
                        .malformed,
                        "\(BoundingScanner.name(field)) is not UTF-8 text without NUL")
                }
            } else if type == PROTOBUF_C_TYPE_MESSAGE {
                guard let inner = unsafe field.pointee.descriptor else {
                    preconditionFailure("a message field has a description")
                }
                try unsafe scan(
                    bytes, value,
                    inner.assumingMemoryBound(to: ProtobufCMessageDescriptor.self),
                    depth: depth + 1)
            }
        } else if repeated && wireType == WireFormat.lengthDelimited {
            guard let elements = BoundingScanner.packedCount(bytes, value, expected) else {
                throw unsafe BoundingScanner.malformed(BoundingScanner.name(field))
            }
            try unsafe count(elements, field, descriptor)
        } else {
            throw unsafe BoundingScanner.malformed("the type of \(BoundingScanner.name(field))")
        }
    }

    private mutating func startParent(
        _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    ) {
        for index in rules.indices
        where unsafe rules[index].scope == .parent && rules[index].parent == descriptor {
            rules[index].count = 0
        }
    }

    private mutating func count(
        _ elements: Int, _ field: UnsafePointer<ProtobufCFieldDescriptor>,
        _ descriptor: UnsafePointer<ProtobufCMessageDescriptor>
    ) throws(MessageFault) {
        for index in rules.indices
        where unsafe rules[index].field == field.pointee.id && rules[index].parent == descriptor {
            rules[index].count += elements
            guard rules[index].count <= rules[index].maximum else {
                throw MessageFault(
                    .tooLarge,
                    "\(rules[index].count) \(rules[index].what): at most "
                        + "\(rules[index].maximum) are allowed")
            }
        }
    }

    private mutating func detach(_ value: Range<Int>, _ wireType: UInt8) throws(MessageFault) {
        guard wireType == WireFormat.lengthDelimited else {
            throw BoundingScanner.malformed("the type of raw contents")
        }
        guard detachedRanges.count < detachedMax else {
            throw MessageFault(
                .tooLarge,
                "more than \(detachedMax) raw contents (limits.tensors_per_message)")
        }
        detachedRanges.append(value)
    }

    private mutating func keep(_ range: Range<Int>) {
        if let last = keptRanges.last, last.upperBound == range.lowerBound {
            keptRanges[keptRanges.count - 1] = last.lowerBound..<range.upperBound
        } else {
            keptRanges.append(range)
        }
    }

    private static func wireType(of type: ProtobufCType) -> UInt8 {
        switch type {
        case PROTOBUF_C_TYPE_FLOAT, PROTOBUF_C_TYPE_FIXED32, PROTOBUF_C_TYPE_SFIXED32:
            WireFormat.fixed32
        case PROTOBUF_C_TYPE_DOUBLE, PROTOBUF_C_TYPE_FIXED64, PROTOBUF_C_TYPE_SFIXED64:
            WireFormat.fixed64
        case PROTOBUF_C_TYPE_STRING, PROTOBUF_C_TYPE_BYTES, PROTOBUF_C_TYPE_MESSAGE:
            WireFormat.lengthDelimited
        default: WireFormat.varint
        }
    }

    /// How many elements a packed field holds; nil when they do not fill it exactly, or cannot be packed.
    private static func packedCount(
        _ bytes: Span<UInt8>, _ value: Range<Int>, _ element: UInt8
    ) -> Int? {
        switch element {
        case WireFormat.fixed32: return value.count % 4 == 0 ? value.count / 4 : nil
        case WireFormat.fixed64: return value.count % 8 == 0 ? value.count / 8 : nil
        case WireFormat.varint:
            var position = value.lowerBound
            var count = 0
            while position < value.upperBound {
                guard WireFormat.varint(bytes, &position, end: value.upperBound) != nil else {
                    return nil
                }
                count += 1
            }
            return count
        default: return nil
        }
    }

    private static func isText(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Bool {
        let piece = bytes.extracting(range)
        for index in piece.indices where piece[index] == 0 { return false }
        return (try? UTF8Span(validating: piece)) != nil
    }

    private static func name(_ field: UnsafePointer<ProtobufCFieldDescriptor>) -> String {
        unsafe String(cString: field.pointee.name)
    }

    private static func malformed(_ what: String) -> MessageFault {
        MessageFault(.malformed, "the message is not well-formed protobuf: \(what)")
    }
}
