// The wire format of protobuf (protobuf.dev, "Encoding"), as far as a request of traces needs it.

/// A message while it is written. Zeros and empty texts are left out, as proto3 does it, unless they are asked for.
struct ProtobufBytes {
    private(set) var bytes: [UInt8] = []

    mutating func number(_ field: UInt64, _ value: UInt64, always: Bool = false) {
        guard always || value != 0 else { return }
        varint(field << 3)
        varint(value)
    }

    mutating func fixed(_ field: UInt64, _ value: UInt64) {
        varint(field << 3 | 1)
        for shift in stride(from: 0, to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(shift)))
        }
    }

    mutating func fixed(_ field: UInt64, _ value: UInt32) {
        varint(field << 3 | 5)
        for shift in stride(from: 0, to: 32, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(shift)))
        }
    }

    mutating func text(_ field: UInt64, _ text: String, always: Bool = false) {
        guard always || !text.isEmpty else { return }
        varint(field << 3 | 2)
        varint(UInt64(text.utf8.count))
        bytes.append(contentsOf: text.utf8)
    }

    mutating func bytes(_ field: UInt64, _ content: [UInt8]) {
        guard !content.isEmpty else { return }
        varint(field << 3 | 2)
        varint(UInt64(content.count))
        bytes.append(contentsOf: content)
    }

    /// A message within this one, also when it is empty.
    mutating func message(_ field: UInt64, _ fill: (inout ProtobufBytes) -> Void) {
        var inner = ProtobufBytes()
        fill(&inner)
        varint(field << 3 | 2)
        varint(UInt64(inner.bytes.count))
        bytes.append(contentsOf: inner.bytes)
    }

    private mutating func varint(_ value: UInt64) {
        var value = value
        while value > 0x7F {
            bytes.append(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        bytes.append(UInt8(value))
    }
}

/// A message that was read: its fields in their order.
struct ProtobufFields {
    enum Content {
        case number(UInt64)
        case bytes(ArraySlice<UInt8>)
    }

    private(set) var all: [(field: UInt64, content: Content)] = []

    /// Nil for what is no message, or has groups, which nobody uses any more.
    init?(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        while !rest.isEmpty {
            guard let tag = ProtobufFields.varint(&rest), tag >> 3 != 0 else { return nil }
            switch tag & 7 {
            case 0:
                guard let value = ProtobufFields.varint(&rest) else { return nil }
                all.append((tag >> 3, .number(value)))
            case 2:
                guard let count = ProtobufFields.varint(&rest), count <= rest.count else {
                    return nil
                }
                all.append((tag >> 3, .bytes(rest.prefix(Int(count)))))
                rest = rest.dropFirst(Int(count))
            case 1, 5:
                let count = tag & 7 == 1 ? 8 : 4
                guard rest.count >= count else { return nil }
                rest = rest.dropFirst(count)
            default: return nil
            }
        }
    }

    private static func varint(_ bytes: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0, to: 64, by: 7) {
            guard let byte = bytes.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << UInt64(shift)
            if byte < 0x80 { return value }
        }
        return nil
    }
}
