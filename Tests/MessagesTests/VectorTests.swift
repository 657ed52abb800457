// The test vectors of OIP.md section 8, byte for byte.

import Contract
import Messages
import NIOCore
import Testing

@Suite struct VectorTests {
    static let x = Tensor(name: "x", datatype: .fp32, shape: [1], bytes: bytes("0000803F"))

    @Test func inferRequest() throws {
        let packed = bytes("0A016D 2A0C0A01781204465033321A0101 3A040000803F")
        let request = try InferenceBody(packed).inferenceRequest()
        #expect(request.model == "m")
        #expect(request.version == "" && request.id == "" && request.outputs.isEmpty)
        #expect(request.inputs == [VectorTests.x])
        let written = encoded { request.encode(into: &$0) }
        #expect(written == packed)
        #expect(request.wireByteCount == packed.readableBytes)
    }

    @Test func unpackedShape() throws {
        let unpacked = bytes("0A016D 2A0B0A0178120446503332 1801 3A040000803F")
        #expect(try InferenceBody(unpacked).inferenceRequest().inputs == [VectorTests.x])
        let bounds = MessageBounds(Limits())
        #expect(InferenceRequest.decodePlain(unpacked, bounds: bounds)?.inputs == [VectorTests.x])
        #expect(
            try InferenceRequest.decodeAny(unpacked, bounds: bounds).inputs == [VectorTests.x])
    }

    @Test func readiness() throws {
        let question = bytes("0A016D")
        let body = InferenceBody(method: .modelReady, message: question, limits: Limits())
        #expect(try body.question() == Question(model: "m"))
        #expect(encoded { Question(model: "m").encode(for: .modelReady, into: &$0) } == question)

        let answer = encoded { AnswerEncoder.encode(.serverReady(true), into: &$0) }
        #expect(answer == bytes("0801"))
        #expect(AnswerEncoder.byteCount(of: .serverReady(false)) == 0)
    }

    /// Typed contents become the raw form of section 8.
    @Test(arguments: [
        ("BYTES", 8, "0A026162 0A00", "02000000616200000000", 2),
        ("BOOL", 1, "0A020100", "0100", 2),
        ("FP32", 6, "0A040000803F", "0000803F", 1),
        ("INT16", 2, "0A0AFEFFFFFFFFFFFFFFFF01", "FEFF", 1),
    ]) func rawForms(datatype: String, field: Int, contents: String, raw: String, count: Int) throws
    {
        // The contents' tags are written for field 1; move them to the list's own field.
        var values = array(bytes(contents))
        values[0] = UInt8(field << 3 | 2)
        if datatype == "BYTES" { values[4] = UInt8(field << 3 | 2) }
        let message = RawMessage.make { message in
            message.message(5) { input in
                input.text(1, "x")
                input.text(2, datatype)
                input.number(3, UInt64(count))
                input.delimited(5, values)
            }
        }
        let tensor = try #require(try InferenceBody(message).inferenceRequest().inputs.first)
        #expect(tensor.bytes == bytes(raw))
        #expect(tensor.shape == [Int64(count)])
    }
}
