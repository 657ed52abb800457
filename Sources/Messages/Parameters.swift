// The parameters of requests (OIP 4.5): heard, and refused where one asks for what does not exist here.

import CMessages
import CProtobufC

/// Most parameters are hints and are ignored. One that would change the answer, and cannot be obeyed, ends the
/// call: silence would be a wrong answer.
enum Parameters {
    enum Place { case request, input, output }

    static func check(
        _ key: UnsafePointer<CChar>?, _ value: UnsafePointer<Inference__InferParameter>?,
        of place: Place
    ) throws(MessageFault) {
        let key = unsafe text(key)
        guard let value = unsafe value, unsafe Parameters.asks(value.pointee) else { return }
        switch (key, place) {
        case ("sequence_id", .request), ("sequence_start", .request), ("sequence_end", .request):
            throw MessageFault(
                .unsupported, "parameter \(key): sequences of calls are not supported")
        case ("shared_memory_region", .input), ("shared_memory_region", .output):
            throw MessageFault(
                .unsupported,
                "parameter \(key): shared memory is not supported; send the tensor's bytes")
        case ("classification", .output):
            throw MessageFault(
                .unsupported,
                "parameter \(key): classification is not supported; sort the output itself")
        default:
            return
        }
    }

    /// Whether the value is more than "no": clients send zero, false and "" for nothing.
    private static func asks(_ parameter: Inference__InferParameter) -> Bool {
        switch unsafe parameter.parameter_choice_case {
        case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM:
            return unsafe parameter.bool_param != 0
        case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_INT64_PARAM:
            return unsafe parameter.int64_param != 0
        case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_UINT64_PARAM:
            return unsafe parameter.uint64_param != 0
        case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_DOUBLE_PARAM:
            return unsafe parameter.double_param != 0
        case INFERENCE__INFER_PARAMETER__PARAMETER_CHOICE_STRING_PARAM:
            guard let string = unsafe parameter.string_param else { return false }
            return unsafe string.pointee != 0
        default:
            return false
        }
    }

    /// Whether a parameter of a load or unload request is set to more than "no".
    static func asks(_ parameter: Inference__ModelRepositoryParameter) -> Bool {
        switch unsafe parameter.parameter_choice_case {
        case INFERENCE__MODEL_REPOSITORY_PARAMETER__PARAMETER_CHOICE_BOOL_PARAM:
            return unsafe parameter.bool_param != 0
        case INFERENCE__MODEL_REPOSITORY_PARAMETER__PARAMETER_CHOICE_INT64_PARAM:
            return unsafe parameter.int64_param != 0
        case INFERENCE__MODEL_REPOSITORY_PARAMETER__PARAMETER_CHOICE_STRING_PARAM:
            guard let string = unsafe parameter.string_param else { return false }
            return unsafe string.pointee != 0
        case INFERENCE__MODEL_REPOSITORY_PARAMETER__PARAMETER_CHOICE_BYTES_PARAM:
            return unsafe parameter.bytes_param.len != 0
        default:
            return false
        }
    }
}
