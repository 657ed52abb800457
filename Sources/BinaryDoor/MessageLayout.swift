// Where the tensor bytes lie inside a message, so that a long message can be put together with them aligned.

import NIOCore

enum MessageLayout {
    /// Tensor data shall begin at a multiple of this, counted from the start of the allocation.
    static let alignment = 64
    /// malloc's large blocks begin 16 bytes behind a page (glibc 2.36, malloc.c: a chunk's two size words).
    private static let blockOffset = 16
    /// `ModelInferRequest.raw_input_contents` (OIP 2): field 7, length-delimited.
    private static let rawContents: UInt64 = 7 << 3 | 2

    /// Bytes to leave free before the message so that its first raw tensor is aligned; 0 when the first part
    /// does not reach it. A hint only: nothing relies on it, a wrong message just gets a useless one.
    static func lead(firstPart: ByteBuffer) -> Int {
        guard let offset = rawOffset(firstPart) else { return 0 }
        return (alignment - (blockOffset + offset) % alignment) % alignment
    }

    /// The offset of the first raw tensor's bytes from the message's start.
    private static func rawOffset(_ message: ByteBuffer) -> Int? {
        var rest = message
        let start = rest.readerIndex
        // Fields before the tensors: names, parameters, one per input and output.
        for _ in 0..<1_024 {
            guard let tag = varint(&rest) else { return nil }
            switch tag & 7 {
            case 2:
                guard let length = varint(&rest) else { return nil }
                if tag == rawContents { return rest.readerIndex - start }
                guard length <= UInt64(rest.readableBytes) else { return nil }
                rest.moveReaderIndex(forwardBy: Int(length))
            case 0:
                guard varint(&rest) != nil else { return nil }
            default: return nil
            }
        }
        return nil
    }

    private static func varint(_ bytes: inout ByteBuffer) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = bytes.readInteger(as: UInt8.self) else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 { return value }
        }
        return nil
    }
}
