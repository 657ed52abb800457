// Reading protobuf's wire format without protobuf-c: what the hand paths and the bounding scanner share.

/// The pieces of the wire format (protobuf.dev, "Encoding"). Every function answers nil, and leaves `position`
/// anywhere, when the bytes are not well formed; none reads outside of `bytes`.
enum WireFormat {
    static let varint: UInt8 = 0
    static let fixed64: UInt8 = 1
    static let lengthDelimited: UInt8 = 2
    static let fixed32: UInt8 = 5
    static let fieldNumberMax: UInt64 = (1 << 29) - 1

    /// A varint of at most 64 bits in at most ten bytes.
    @inline(__always)
    static func varint(_ bytes: Span<UInt8>, _ position: inout Int, end: Int) -> UInt64? {
        guard position < end else { return nil }
        let first = bytes[position]
        if first < 0x80 {
            position += 1
            return UInt64(first)
        }
        return longVarint(bytes, &position, end: end)
    }

    private static func longVarint(
        _ bytes: Span<UInt8>, _ position: inout Int, end: Int
    ) -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while position < end {
            let byte = bytes[position]
            position += 1
            // The tenth byte carries the 64th bit and nothing else.
            if shift == 63 && byte > 1 { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }

    /// The range of a length-delimited value, with `position` moved behind it.
    @inline(__always)
    static func delimited(
        _ bytes: Span<UInt8>, _ position: inout Int, end: Int
    ) -> Range<Int>? {
        guard let length = varint(bytes, &position, end: end), length <= UInt64(end - position)
        else { return nil }
        let start = position
        position += Int(length)
        return start..<position
    }

    /// The text in a range: valid UTF-8 (proto3 strings) without NUL, at which a C string would end early.
    @inline(__always)
    static func text(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String? {
        guard !range.isEmpty else { return "" }
        let piece = bytes.extracting(range)
        for index in piece.indices where piece[index] == 0 { return nil }
        guard let checked = try? UTF8Span(validating: piece) else { return nil }
        return String(copying: checked)
    }

    /// How many bytes `value` takes as a varint.
    @inline(__always)
    static func varintByteCount(_ value: UInt64) -> Int {
        (70 - (value | 1).leadingZeroBitCount) / 7
    }

    /// How many bytes a field with a one-byte tag and a length-delimited value of `count` bytes takes.
    @inline(__always)
    static func delimitedByteCount(_ count: Int) -> Int {
        1 + varintByteCount(UInt64(count)) + count
    }
}
