// The datatypes of the house and the engine's numbers for them (onnxruntime_c_api.h, ONNXTensorElementDataType).

import COnnxRuntime
import Contract

/// What a run asks of a datatype, looked up once a session.
struct TensorKind: Sendable {
    let datatype: ElementType
    let engineType: ONNXTensorElementDataType
    /// Bytes of an element; 0 for BYTES.
    let width: Int

    init(_ datatype: ElementType) {
        self.datatype = datatype
        engineType = datatype.engineType
        width = datatype.width ?? 0
    }
}

extension ElementType {
    /// The engine's number for this datatype.
    var engineType: ONNXTensorElementDataType {
        switch self {
        case .bool: ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL
        case .uint8: ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8
        case .uint16: ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16
        case .uint32: ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32
        case .uint64: ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64
        case .int8: ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8
        case .int16: ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16
        case .int32: ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32
        case .int64: ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64
        case .fp16: ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16
        case .bf16: ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16
        case .fp32: ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT
        case .fp64: ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE
        case .bytes: ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING
        }
    }

    /// The datatype with the engine's number, or nil for the ones the protocol has no word for.
    init?(engineType: ONNXTensorElementDataType) {
        switch engineType {
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL: self = .bool
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8: self = .uint8
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16: self = .uint16
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32: self = .uint32
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64: self = .uint64
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8: self = .int8
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16: self = .int16
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: self = .int32
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: self = .int64
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16: self = .fp16
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16: self = .bf16
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: self = .fp32
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE: self = .fp64
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING: self = .bytes
        default: return nil
        }
    }
}
