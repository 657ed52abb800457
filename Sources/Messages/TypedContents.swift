// Typed tensor contents (OIP 2, InferTensorContents) and their raw form.

import CMessages
import CProtobufC
import Contract
import NIOCore

/// The one list of an `InferTensorContents` that fits a datatype. Points into an arena: lives inside the
/// closure that reads the message.
@unsafe struct TypedContents {
    @unsafe private enum List {
        case bool(UnsafeBufferPointer<protobuf_c_boolean>)
        case int(UnsafeBufferPointer<Int32>)
        case int64(UnsafeBufferPointer<Int64>)
        case uint(UnsafeBufferPointer<UInt32>)
        case uint64(UnsafeBufferPointer<UInt64>)
        case fp32(UnsafeBufferPointer<Float>)
        case fp64(UnsafeBufferPointer<Double>)
        case bytes(UnsafeBufferPointer<ProtobufCBinaryData>)
    }

    private let list: List
    private let datatype: ElementType
    let count: Int

    /// Nil when the datatype has no typed form, or another list holds elements too.
    init?(_ contents: Inference__InferTensorContents, as datatype: ElementType) {
        switch datatype {
        case .bool:
            unsafe list = .bool(
                .init(start: contents.bool_contents, count: contents.n_bool_contents))
            unsafe count = contents.n_bool_contents
        case .int8, .int16, .int32:
            unsafe list = .int(.init(start: contents.int_contents, count: contents.n_int_contents))
            unsafe count = contents.n_int_contents
        case .int64:
            unsafe list = .int64(
                .init(start: contents.int64_contents, count: contents.n_int64_contents))
            unsafe count = contents.n_int64_contents
        case .uint8, .uint16, .uint32:
            unsafe list = .uint(
                .init(start: contents.uint_contents, count: contents.n_uint_contents))
            unsafe count = contents.n_uint_contents
        case .uint64:
            unsafe list = .uint64(
                .init(start: contents.uint64_contents, count: contents.n_uint64_contents))
            unsafe count = contents.n_uint64_contents
        case .fp32:
            unsafe list = .fp32(
                .init(start: contents.fp32_contents, count: contents.n_fp32_contents))
            unsafe count = contents.n_fp32_contents
        case .fp64:
            unsafe list = .fp64(
                .init(start: contents.fp64_contents, count: contents.n_fp64_contents))
            unsafe count = contents.n_fp64_contents
        case .bytes:
            unsafe list = .bytes(
                .init(start: contents.bytes_contents, count: contents.n_bytes_contents))
            unsafe count = contents.n_bytes_contents
        case .fp16, .bf16:
            return nil
        }
        unsafe self.datatype = datatype
        guard unsafe count == TypedContents.total(contents) else { return nil }
    }

    /// Whether any list holds an element.
    static func holds(_ contents: Inference__InferTensorContents) -> Bool {
        unsafe total(contents) > 0
    }

    private static func total(_ contents: Inference__InferTensorContents) -> Int {
        let integers =
            unsafe contents.n_bool_contents + contents.n_int_contents
            + contents.n_int64_contents + contents.n_uint_contents + contents.n_uint64_contents
        return unsafe integers + contents.n_fp32_contents + contents.n_fp64_contents
            + contents.n_bytes_contents
    }

    /// Bytes of the raw form; nil when an element is longer than its 32-bit length can say.
    var rawByteCount: Int? {
        if let width = unsafe datatype.width { return unsafe count * width }
        guard case .bytes(let elements) = unsafe list else { return nil }
        var size = 0
        for index in elements.indices {
            let length = unsafe elements[index].len
            guard length <= UInt32.max else { return nil }
            size += 4 + length
        }
        return size
    }

    /// The raw form: little-endian, row-major. INT8 and INT16 are the low bytes of what came, as Triton has it.
    func raw(byteCount: Int) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(byteCount)
        switch unsafe (list, datatype) {
        case (.bool(let elements), _):
            unsafe TypedContents.write(elements, into: &buffer) { $0 == 0 ? UInt8(0) : 1 }
        case (.int(let elements), .int8):
            unsafe TypedContents.write(elements, into: &buffer) { Int8(truncatingIfNeeded: $0) }
        case (.int(let elements), .int16):
            unsafe TypedContents.write(elements, into: &buffer) { Int16(truncatingIfNeeded: $0) }
        case (.int(let elements), _):
            unsafe TypedContents.write(elements, into: &buffer) { $0 }
        case (.int64(let elements), _):
            unsafe TypedContents.write(elements, into: &buffer) { $0 }
        case (.uint(let elements), .uint8):
            unsafe TypedContents.write(elements, into: &buffer) { UInt8(truncatingIfNeeded: $0) }
        case (.uint(let elements), .uint16):
            unsafe TypedContents.write(elements, into: &buffer) { UInt16(truncatingIfNeeded: $0) }
        case (.uint(let elements), _):
            unsafe TypedContents.write(elements, into: &buffer) { $0 }
        case (.uint64(let elements), _):
            unsafe TypedContents.write(elements, into: &buffer) { $0 }
        case (.fp32(let elements), _):
            unsafe TypedContents.write(elements, into: &buffer) { $0.bitPattern }
        case (.fp64(let elements), _):
            unsafe TypedContents.write(elements, into: &buffer) { $0.bitPattern }
        case (.bytes(let elements), _):
            for index in elements.indices {
                let element = unsafe elements[index]
                unsafe buffer.writeInteger(UInt32(element.len), endianness: .little)
                unsafe buffer.writeBytes(
                    UnsafeRawBufferPointer(start: element.data, count: element.len))
            }
        }
        return buffer
    }

    private static func write<Source, Element: FixedWidthInteger>(
        _ elements: UnsafeBufferPointer<Source>, into buffer: inout ByteBuffer,
        _ convert: (Source) -> Element
    ) {
        let width = MemoryLayout<Element>.size
        let size = elements.count * width
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { room in
            for index in elements.indices {
                unsafe room.storeBytes(
                    of: convert(elements[index]).littleEndian, toByteOffset: index * width,
                    as: Element.self)
            }
            return size
        }
    }
}
