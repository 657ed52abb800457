// BYTES elements, text to bytes: each becomes a 32-bit length and what the string says, in UTF-8 or decoded from base64.

import Contract
import NIOCore

/// Collects byte strings.
struct StringRows: RowReader {
    private let body: ByteBuffer
    private let words: DataWords
    private let isBase64: Bool
    /// Bytes the tensor may have.
    private let budget: Int
    private(set) var buffer = ByteBuffer()
    /// Where strings are unescaped and decoded.
    private var scratch: [UInt8] = []
    private var element = 0

    /// - Parameter body: the JSON, whose bytes the rows are read from.
    init(_ body: ByteBuffer, words: DataWords, isBase64: Bool, budget: Int) {
        self.body = body
        self.words = words
        self.isBase64 = isBase64
        self.budget = budget
    }

    mutating func row(
        _ bytes: Span<UInt8>, _ position: inout Int, count: Int
    ) throws(CallFailure) {
        var done = 0
        JSONBytes.skipSpace(bytes, &position)
        while done < count {
            try take(bytes, &position, done: done, count: count)
            done += 1
            JSONBytes.skipSpace(bytes, &position)
            if done < count {
                guard position < bytes.count, bytes[position] == JSONBytes.comma else {
                    throw words.separator(
                        bytes, position, done: done, count: count, element: element)
                }
                position += 1
                JSONBytes.skipSpace(bytes, &position)
            }
        }
        guard position < bytes.count, bytes[position] == JSONBytes.closeArray else {
            throw words.overrun(bytes, position, count: count, element: element)
        }
        position += 1
    }

    mutating func scalar(_ bytes: Span<UInt8>, _ position: inout Int) throws(CallFailure) {
        try take(bytes, &position, done: 0, count: 1)
    }

    private mutating func take(
        _ bytes: Span<UInt8>, _ position: inout Int, done: Int, count: Int
    ) throws(CallFailure) {
        guard position < bytes.count, bytes[position] == JSONBytes.quote else {
            throw words.unreadable(
                bytes, position, done: done, count: count, element: element, expected: "a string")
        }
        let start = position
        let string: JSONStringPlace
        do throws(JSONStringFault) {
            string = try JSONBytes.string(bytes, &position)
        } catch {
            throw words.fault(at: error.offset, element: element, error.message)
        }
        guard string.hasEscapes || isBase64 else {
            try makeRoom(string.range.count)
            let start = body.readerIndex + string.range.lowerBound
            if let text = body.getSlice(at: start, length: string.range.count) {
                buffer.writeImmutableBuffer(text)
            }
            return
        }
        scratch.removeAll(keepingCapacity: true)
        JSONBytes.unescape(bytes, string, into: &scratch)
        if isBase64 {
            guard let decoded = Base64.decode(scratch) else {
                throw words.fault(
                    at: start, element: element,
                    "parameters.content_type is base64: must be base64 with padding (RFC 4648 section 4)"
                )
            }
            scratch = decoded
        }
        try makeRoom(scratch.count)
        buffer.writeBytes(scratch)
    }

    /// Writes an element's length.
    private mutating func makeRoom(_ count: Int) throws(CallFailure) {
        guard count <= budget - buffer.readableBytes - 4, let length = UInt32(exactly: count)
        else {
            throw DocumentFault.tooLarge(
                "\(words.place): its strings take more than the \(budget) bytes that are left of "
                    + "limits.message")
        }
        buffer.writeInteger(length, endianness: .little)
        element += 1
    }
}
