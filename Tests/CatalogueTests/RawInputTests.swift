// Raw requests: nothing but the bytes of the model's one input.

import Catalogue
import Contract
import NIOCore
import Testing

@Suite struct RawInputTests {
    private static func signature(_ inputs: (ElementType, Shape)...) -> Signature {
        Signature(
            inputs: inputs.enumerated().map {
                TensorSpecification(
                    name: "x\($0.offset)", datatype: $0.element.0, shape: $0.element.1)
            },
            outputs: [TensorSpecification(name: "y", datatype: .fp32, shape: [-1])])
    }

    private static func request(_ bytes: [UInt8]) -> InferenceRequest {
        var request = InferenceRequest(model: "", version: "", id: "", inputs: [], outputs: [])
        request.rawInput = ByteBuffer(bytes: bytes)
        return request
    }

    @Test(
        arguments: [
            (.fp32, [-1, 2], 24, [3, 2]), (.fp32, [-1, 2], 0, [0, 2]),
            (.fp32, [2, 3], 24, [2, 3]),
            (.uint8, [], 1, []), (.fp64, [1, -1], 24, [1, 3]), (.uint8, [-1], 5, [5]),
        ] as [(ElementType, Shape, Int, Shape)])
    func aFreeDimensionIsAsLongAsTheBytesMakeIt(
        datatype: ElementType, declared: Shape, count: Int, shape: Shape
    ) throws {
        let entry = try Samples.entry("m", Self.signature((datatype, declared)))
        let bytes = [UInt8](repeating: 1, count: count)
        let prepared = try entry.prepare(Self.request(bytes))
        #expect(
            prepared.inputs == [
                Tensor(
                    name: "x0", datatype: datatype, shape: shape, bytes: ByteBuffer(bytes: bytes))
            ])
        #expect(prepared.byteCount == count && prepared.outputs == [0])
    }

    @Test(arguments: [[-1], [1], [1, -1], []] as [Shape])
    func allOfItIsOneByteString(declared: Shape) throws {
        let entry = try Samples.entry("m", Self.signature((.bytes, declared)))
        let input = try entry.prepare(Self.request([7, 8])).inputs[0]
        #expect(input.shape.dimensions == declared.dimensions.map { _ in 1 })
        #expect(Array(input.bytes.readableBytesView) == [2, 0, 0, 0, 7, 8])
    }

    @Test(arguments: [
        (signature((.fp32, [-1, 2])), 12, "do not fill FP32 [1,2]"),
        (signature((.fp32, [2, 2])), 12, "do not fill FP32 [2,2]"),
        (signature((.fp32, [-1, 0])), 4, "do not fill FP32 [0,0]"),
        (signature((.fp32, [-1, -1])), 8, "has 2 free dimensions"),
        (signature((.fp32, [-1]), (.fp32, [-1])), 8, "has 2 inputs"),
        (signature((.bytes, [-1, 2])), 8, "more than one byte string"),
        (signature((.fp32, [1 << 40, 1 << 40, -1])), 8, "than can be counted"),
        (signature((.bool, [-1])), 3, "holds the byte 2"),
    ]) func whatDoesNotFit(signature: Signature, count: Int, message: String) throws {
        let entry = try Samples.entry("m", signature)
        let failure = try #require(throws: CallFailure.self) {
            try entry.prepare(Self.request([UInt8](repeating: 2, count: count)))
        }
        #expect(failure.code == .invalidArgument && failure.reason == .badTensor)
        #expect(failure.message.contains(message), "\(failure.message)")
    }
}
