// Binary tensor data (OIP 4.1): tensors behind the JSON, both kinds mixed, and sizes that do not add up.

import Contract
import NIOCore
import OpenInference
import Testing

@Suite struct BinaryTests {
    private func input(_ name: String, _ datatype: String, _ shape: String, _ size: String)
        -> String
    {
        #"{"name":"\#(name)","datatype":"\#(datatype)","shape":\#(shape),"parameters":{"binary_data_size":\#(size)}}"#
    }

    private func document(_ inputs: String...) -> String {
        #"{"inputs":[\#(inputs.joined(separator: ","))]}"#
    }

    @Test func tensorsAreSlicesInTheirOrder() throws {
        let text = document(
            input("a", "FP32", "[1]", "4"),
            #"{"name":"j","datatype":"INT8","shape":[2],"data":[5,6]}"#,
            input("e", "FP16", "[0]", "0"), input("b", "BF16", "[2]", "4"))
        let found = try decoded(text, binary: [1, 2, 3, 4, 5, 6, 7, 8]).request.inputs
        #expect(found.map(\.name) == ["a", "j", "e", "b"])
        #expect(
            found.map { Array($0.bytes.readableBytesView) } == [
                [1, 2, 3, 4], [5, 6], [], [5, 6, 7, 8],
            ])
    }

    @Test func noByteIsCopied() throws {
        let text = document(input("a", "UINT8", "[100000]", "100000"))
        var body = ByteBuffer(string: text)
        body.writeRepeatingByte(7, count: 100_000)
        let limits = DocumentLimits()
        let found = try InferenceDocument.decode(
            body, headerLength: text.utf8.count, limits: limits)
        func address(_ buffer: ByteBuffer) -> Int {
            unsafe buffer.withVeryUnsafeBytes { Int(bitPattern: $0.baseAddress) }
        }
        let bytes = found.request.inputs[0].bytes
        #expect(bytes.readableBytes == 100_000)
        let base = address(body)
        let inside = address(bytes)
        #expect(inside >= base && inside < base + body.capacity)
    }

    @Test(
        arguments: [
            ("4", [1, 2, 3], "unexpected size for input"), ("4", [], "unexpected size for input"),
            ("4", [1, 2, 3, 4, 5], "unexpected additional input data: 1 bytes"),
            ("3", [1, 2, 3], "binary_data_size is 3, FP32 [1] has 4 bytes"),
            ("8", [1, 2, 3, 4, 5, 6, 7, 8], "binary_data_size is 8, FP32 [1] has 4 bytes"),
            ("-4", [1, 2, 3, 4], "must be a whole number, 0 or more"),
            ("4.0", [1, 2, 3, 4], "must be a whole number"),
            ("\"4\"", [1, 2, 3, 4], "must be a whole number"),
            ("true", [1, 2, 3, 4], "must be a whole number"),
            ("9223372036854775807", [1], "binary_data_size is 9223372036854775807"),
            ("9223372036854775808", [1], "must be a whole number"),
        ] as [(String, [UInt8], String)])
    func sizesThatDoNotAddUpAreRefused(_ size: String, _ binary: [UInt8], _ why: String) {
        let text = document(input("a", "FP32", "[1]", size))
        let found = failure(text, binary: binary, headerLength: text.utf8.count)
        #expect(found?.code == .invalidArgument)
        #expect(found?.message.contains(why) == true, "\(found?.message ?? "")")
    }

    @Test func impossibleShapesAreRefused() {
        for shape in ["[4294967296,4294967296]", "[4611686018427387904]"] {
            let text = document(input("a", "FP32", shape, "4"))
            #expect(failure(text, binary: [1, 2, 3, 4])?.reason == .badTensor)
        }
    }

    @Test func theHeaderSaysWhereTheJSONEnds() throws {
        let text = document(input("a", "UINT8", "[2]", "2"))
        let length = text.utf8.count
        #expect(try decoded(text, binary: [1, 2], headerLength: length).request.inputs.count == 1)
        for wrong in [length - 1, length + 1, length + 2] {
            #expect(failure(text, binary: [1, 2], headerLength: wrong)?.code == .invalidArgument)
        }
        for wrong in [-1, length + 3, .max] {
            let found = failure(text, binary: [1, 2], headerLength: wrong)
            #expect(found?.message.contains("Inference-Header-Content-Length is \(wrong)") == true)
        }
        #expect(
            failure(text)?.message.contains("needs the header Inference-Header-Content-Length")
                == true)
        // JSON that ends where the body does, as perf_analyzer sends it.
        let json = one("INT8", "[1]", "[1]")
        #expect(try decoded(json, headerLength: json.utf8.count).request.inputs.count == 1)
        #expect(
            failure(json, binary: [0], headerLength: json.utf8.count)?.message.contains(
                "additional") == true)
    }

    @Test func aTensorComesOnce() {
        let text =
            #"{"inputs":[{"name":"a","datatype":"INT8","shape":[1],"data":[1],"parameters":{"binary_data_size":1}}]}"#
        #expect(failure(text, binary: [1])?.message.contains("has both") == true)
    }

    @Test func byteStringsAreLeftToTheModelsCheck() throws {
        let text = document(input("a", "BYTES", "[2]", "9"))
        let found = try decoded(text, binary: [1, 0, 0, 0, 65, 0, 0, 0, 0])
        #expect(found.request.inputs[0].bytes.readableBytes == 9)
    }

    @Test func aRawBodyIsKeptForTheModelsInput() throws {
        var body = ByteBuffer(string: "?")
        body.moveReaderIndex(forwardBy: 1)
        body.writeBytes([1, 2, 3])
        let found = try InferenceDocument.decode(body, headerLength: 0, limits: DocumentLimits())
        #expect(found.rawInput.map { Array($0.readableBytesView) } == [1, 2, 3])
        #expect(found.request.inputs.isEmpty && found.form == AnswerForm(binaryOutput: true))
    }
}
