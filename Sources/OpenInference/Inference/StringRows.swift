// BYTES elements, text to bytes: each becomes a 32-bit length and what the string says, in UTF-8 or decoded from base64.

import Contract
import NIOCore

/// Collects byte strings.
struct StringRows: RowReader {
    private let words: DataWords
    private let isBase64: Bool
    /// Bytes the tensor may have.
    private let budget: Int
    private var buffer = ByteBuffer()
    /// Bytes on their way into the buffer.
    private var pending: [UInt8] = []
    private static let pendingMax = 16 << 10
    /// Where strings are unescaped and decoded.
    private var scratch: [UInt8] = []
    private var element = 0

    init(words: DataWords, isBase64: Bool, budget: Int) {
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
            for index in string.range { pending.append(bytes[index]) }
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
        pending.append(contentsOf: scratch)
    }

    /// Writes an element's length.
    private mutating func makeRoom(_ count: Int) throws(CallFailure) {
        guard count <= budget - buffer.readableBytes - pending.count - 4,
            let length = UInt32(exactly: count)
        else {
            throw DocumentFault.tooLarge(
                "\(words.place): its strings take more than the \(budget) bytes that are left of "
                    + "limits.message")
        }
        if pending.count >= StringRows.pendingMax { flush() }
        for shift: UInt32 in [0, 8, 16, 24] {
            pending.append(UInt8(truncatingIfNeeded: length >> shift))
        }
        element += 1
    }

    private mutating func flush() {
        buffer.writeBytes(pending)
        pending.removeAll(keepingCapacity: true)
    }

    consuming func finish() -> ByteBuffer {
        flush()
        return buffer
    }
}
