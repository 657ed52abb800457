// Answers of gateways that fill InferTensorContents instead of raw contents. Rare, so SwiftProtobuf reads them.

import NIOCore
import SluiceMessages
import SwiftProtobuf

enum TypedContents {
    /// The same elements as raw contents.
    static func rawContents(_ bytes: ByteBuffer, _ datatype: Datatype) throws -> ByteBuffer {
        let contents = try Inference_InferTensorContents(
            serializedBytes: [UInt8](bytes.readableBytesView))
        var raw = ByteBuffer()
        switch datatype {
        case .bool: Bool.write(contents.boolContents, to: &raw)
        case .int8: try write(contents.intContents, as: Int8.self, to: &raw)
        case .int16: try write(contents.intContents, as: Int16.self, to: &raw)
        case .int32: Int32.write(contents.intContents, to: &raw)
        case .int64: Int64.write(contents.int64Contents, to: &raw)
        case .uint8: try write(contents.uintContents, as: UInt8.self, to: &raw)
        case .uint16: try write(contents.uintContents, as: UInt16.self, to: &raw)
        case .uint32: UInt32.write(contents.uintContents, to: &raw)
        case .uint64: UInt64.write(contents.uint64Contents, to: &raw)
        case .fp32: Float.write(contents.fp32Contents, to: &raw)
        case .fp64: Double.write(contents.fp64Contents, to: &raw)
        case .bytes:
            for element in contents.bytesContents {
                raw.writeInteger(UInt32(clamping: element.count), endianness: .little)
                raw.writeBytes(element)
            }
        default: throw MalformedMessage()
        }
        return raw
    }

    private static func write<Element: TensorElement & FixedWidthInteger>(
        _ values: [some FixedWidthInteger], as: Element.Type, to raw: inout ByteBuffer
    ) throws {
        Element.write(
            try values.map {
                guard let element = Element(exactly: $0) else { throw MalformedMessage() }
                return element
            }, to: &raw)
    }
}
