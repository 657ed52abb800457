// Elements of fixed width, text to bytes: the loop that most of a request's time is spent in.

import Contract
import NIOCore

/// How one datatype is written in JSON.
protocol ElementText {
    associatedtype Bits: FixedWidthInteger & BitwiseCopyable
    /// For failures, for example `a number within FP32`.
    static var expected: String { get }
    /// Takes one element; nil when none stands there, or it does not fit.
    static func read(_ bytes: Span<UInt8>, _ position: inout Int) -> Bits?
}

enum FloatText: ElementText {
    static let expected = "a number within FP32"

    @inline(__always)
    static func read(_ bytes: Span<UInt8>, _ position: inout Int) -> UInt32? {
        let start = position
        return DecimalNumber.scan(bytes, &position)?.float(bytes, start..<position)?.bitPattern
    }
}

enum DoubleText: ElementText {
    static let expected = "a number within FP64"

    @inline(__always)
    static func read(_ bytes: Span<UInt8>, _ position: inout Int) -> UInt64? {
        let start = position
        return DecimalNumber.scan(bytes, &position)?.double(bytes, start..<position)?.bitPattern
    }
}

enum IntegerText<Number: FixedWidthInteger & BitwiseCopyable>: ElementText {
    static var expected: String {
        "a whole number from \(Number.min) to \(Number.max), without '.' or exponent"
    }

    @inline(__always)
    static func read(_ bytes: Span<UInt8>, _ position: inout Int) -> Number? {
        let start = position
        return DecimalNumber.scan(bytes, &position)?.integer(
            Number.self, bytes, start..<position)
    }
}

enum BooleanText: ElementText {
    static let expected = "true or false"

    @inline(__always)
    static func read(_ bytes: Span<UInt8>, _ position: inout Int) -> UInt8? {
        if JSONBytes.isTrue(bytes, position) {
            position += 4
            return 1
        }
        guard JSONBytes.isFalse(bytes, position) else { return nil }
        position += 5
        return 0
    }
}

/// Fills a tensor's bytes, whose number is known before.
struct ElementRows<Text: ElementText>: RowReader {
    private let words: DataWords
    private(set) var buffer = ByteBuffer()
    /// Elements so far.
    private var element = 0

    private static var width: Int { Text.Bits.bitWidth / 8 }

    /// - Parameter byteCount: of all elements.
    init(words: DataWords, byteCount: Int) {
        self.words = words
        buffer.writeRepeatingByte(0, count: byteCount)
    }

    mutating func row(
        _ bytes: Span<UInt8>, _ position: inout Int, count: Int
    ) throws(CallFailure) {
        let (words, element) = (words, element)
        var room = buffer.mutableReadableBytesSpan
        var at = position
        var done = 0
        var offset = element &* ElementRows.width
        JSONBytes.skipSpace(bytes, &at)
        while done < count {
            let start = at
            guard let bits = Text.read(bytes, &at) else {
                throw words.unreadable(
                    bytes, start, done: done, count: count, element: element + done,
                    expected: Text.expected)
            }
            room.storeBytes(of: bits.littleEndian, toByteOffset: offset, as: Text.Bits.self)
            offset &+= ElementRows.width
            done &+= 1
            JSONBytes.skipSpace(bytes, &at)
            guard done < count else { break }
            guard at < bytes.count, bytes[at] == JSONBytes.comma else {
                throw words.separator(
                    bytes, at, done: done, count: count, element: element + done)
            }
            at &+= 1
            JSONBytes.skipSpace(bytes, &at)
        }
        guard at < bytes.count, bytes[at] == JSONBytes.closeArray else {
            throw words.overrun(bytes, at, count: count, element: element + done)
        }
        self.element = element + count
        position = at + 1
    }

    mutating func scalar(_ bytes: Span<UInt8>, _ position: inout Int) throws(CallFailure) {
        let start = position
        guard let bits = Text.read(bytes, &position) else {
            throw words.unreadable(
                bytes, start, done: 0, count: 1, element: 0, expected: Text.expected)
        }
        var room = buffer.mutableReadableBytesSpan
        room.storeBytes(of: bits.littleEndian, toByteOffset: 0, as: Text.Bits.self)
    }
}
