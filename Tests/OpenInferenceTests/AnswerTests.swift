// Inference answers: the form of the document, of each datatype's elements, binary outputs and classification.

import Contract
import NIOCore
import OpenInference
import Testing

@Suite struct AnswerTests {
    @Test func keysComeInTritonsOrder() throws {
        let label = tensor(.int64, [1], [2, 0, 0, 0, 0, 0, 0, 0], name: "label")
        let scores = tensor(.fp32, [1, 2], [0, 0, 0x80, 0x3F, 0, 0, 0x20, 0xC0], name: "p\"q")
        let (json, binary, length) = try encoded([label, scores], id: "7\n")
        #expect(
            json == #"{"id":"7\u000a","model_name":"m","model_version":"1","outputs":["#
                + #"{"name":"label","datatype":"INT64","shape":[1],"data":[2]},"#
                + #"{"name":"p\"q","datatype":"FP32","shape":[1,2],"data":[1.0,-2.5]}]}"#)
        #expect(binary.isEmpty && length == nil)
        #expect(try encoded([]).json == #"{"model_name":"m","model_version":"1","outputs":[]}"#)
    }

    @Test(
        arguments: [
            (.bool, [1, 0, 2], "true,false,true"), (.uint8, [0, 9, 255], "0,9,255"),
            (.int8, [0x80, 0x7F, 0xFF], "-128,127,-1"), (.uint16, [0xFF, 0xFF, 10, 0], "65535,10"),
            (.int16, [0, 0x80, 0xFE, 0xFF], "-32768,-2"), (.int32, [0, 0, 0, 0x80], "-2147483648"),
            (.uint32, [255, 255, 255, 255, 99, 0, 0, 0], "4294967295,99"),
            (.uint64, [255, 255, 255, 255, 255, 255, 255, 255], "18446744073709551615"),
            (.int64, [0, 0, 0, 0, 0, 0, 0, 0x80], "-9223372036854775808"),
            (.fp32, [0, 0, 0, 0x80, 0xCD, 0xCC, 0xCC, 0x3D], "-0.0,0.1"),
            (.fp64, [0, 0, 0, 0, 0, 0, 0xF0, 0x3F], "1.0"),
            (.bytes, [2, 0, 0, 0, 0x61, 0x22, 0, 0, 0, 0], #""a\"","""#),
        ] as [(ElementType, [UInt8], String)])
    func elementsAsText(_ datatype: ElementType, _ bytes: [UInt8], _ text: String) throws {
        let count = datatype.width.map { bytes.count / $0 } ?? 2
        let json = try encoded([tensor(datatype, [Int64(count)], bytes)]).json
        #expect(json.hasSuffix("\"data\":[\(text)]}]}"), "\(json)")
    }

    /// Digits are written eight at once where there is room behind them, and one by one at its end.
    @Test func wholeNumbersOfEveryLength() throws {
        var numbers: [UInt64] = [0, .max]
        var power: UInt64 = 1
        for digits in 1...20 {
            numbers += [power - 1, power, power + 1, power &* 9 &+ 7]
            for _ in 0..<20 { numbers.append(UInt64.random(in: 0...power)) }
            if digits < 20 { power *= 10 }
        }
        for chosen in numbers.map({ [$0] }) + [numbers] {
            let bytes = chosen.flatMap { number in
                (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * $0)) }
            }
            let json = try encoded([tensor(.uint64, [Int64(chosen.count)], bytes)]).json
            let data = chosen.map { String($0) }.joined(separator: ",")
            #expect(json.hasSuffix("\"data\":[\(data)]}]}"), "\(json.prefix(200))")
        }
    }

    @Test func emptyTensorsHaveNoElements() throws {
        for datatype in ElementType.allCases where datatype != .fp16 && datatype != .bf16 {
            #expect(try encoded([tensor(datatype, [0], [])]).json.hasSuffix("\"data\":[]}]}"))
        }
    }

    @Test(
        arguments: [
            (.fp32, [0, 0, 0xC0, 0x7F], "not finite"), (.fp32, [0, 0, 0x80, 0xFF], "not finite"),
            (.fp64, [0, 0, 0, 0, 0, 0, 0xF0, 0x7F], "not finite"),
            (.fp16, [0, 0], "FP16 does not travel in JSON"),
            (.bf16, [0, 0], "BF16 does not travel in JSON"),
            (.bytes, [1, 0, 0, 0, 0xFF], "not UTF-8"),
        ] as [(ElementType, [UInt8], String)])
    func whatHasNoTextHintsAtTheBinaryForm(_ datatype: ElementType, _ bytes: [UInt8], _ why: String)
        throws
    {
        let output = tensor(datatype, [1], bytes)
        let failure = #expect(throws: CallFailure.self) { try encoded([output]) }
        #expect(failure?.code == .invalidArgument && failure?.reason == .badTensor)
        #expect(failure?.message.contains(why) == true, "\(failure?.message ?? "")")
        #expect(failure?.message.contains("binary_data") == true)
        #expect(try encoded([output], form: AnswerForm(binaryOutput: true)).binary == bytes)
    }

    @Test func byteStringsComeBackAsBase64WhenAsked() throws {
        let output = tensor(
            .bytes, [4], [1, 0, 0, 0, 0xFF, 0, 0, 0, 0, 2, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0, 1, 2])
        let form = AnswerForm(outputs: [RequestedOutput("y", isBase64: true)])
        let json = try encoded([output], form: form).json
        #expect(
            json.hasSuffix(
                #""shape":[4],"parameters":{"content_type":"base64"},"data":["/w==","","AQI=","AAEC"]}]}"#
            ))
    }

    @Test func bytesThatContradictTheirShapeAreOurFault() {
        for output in [
            tensor(.fp32, [2], [1, 2, 3, 4]), tensor(.fp32, [-1], []),
            tensor(.bytes, [1], [9, 0, 0, 0, 1]),
            tensor(.bytes, [1], [1, 0]), tensor(.int8, [4_294_967_296, 4_294_967_296], []),
        ] {
            let failure = #expect(throws: CallFailure.self) { try encoded([output]) }
            #expect(failure?.code == .internal && failure?.reason == .runFailed)
        }
    }

    @Test func binaryOutputsFollowTheJSON() throws {
        let small = tensor(.fp16, [2], [1, 2, 3, 4], name: "a")
        let text = tensor(.int8, [1], [5], name: "b")
        let large = tensor(.uint8, [9_000], [UInt8](repeating: 6, count: 9_000), name: "c")
        let last = tensor(.bytes, [1], [1, 0, 0, 0, 7], name: "d")
        let empty = tensor(.fp32, [0], [], name: "e")
        let form = AnswerForm(outputs: [RequestedOutput("b", binary: false)], binaryOutput: true)
        let (json, binary, length) = try encoded([small, text, large, last, empty], form: form)
        #expect(length == json.utf8.count)
        #expect(binary == [1, 2, 3, 4] + [UInt8](repeating: 6, count: 9_000) + [1, 0, 0, 0, 7])
        #expect(
            json == #"{"model_name":"m","model_version":"1","outputs":["#
                + #"{"name":"a","datatype":"FP16","shape":[2],"parameters":{"binary_data_size":4}},"#
                + #"{"name":"b","datatype":"INT8","shape":[1],"data":[5]},"#
                + #"{"name":"c","datatype":"UINT8","shape":[9000],"parameters":{"binary_data_size":9000}},"#
                + #"{"name":"d","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}},"#
                + #"{"name":"e","datatype":"FP32","shape":[0],"parameters":{"binary_data_size":0}}]}"#
        )
        let reply = InferenceReply(model: "m", version: "1", id: "", outputs: [large])
        let pieces = try InferenceAnswer.encode(reply, for: AnswerForm(binaryOutput: true)).pieces
        #expect(pieces.count == 2 && pieces[1] == large.bytes)
    }

    // MARK: - Classification

    private func classes(
        _ output: Tensor, _ most: Int, labels: [String]? = nil
    ) throws -> (shape: String, data: String) {
        var form = AnswerForm(outputs: [RequestedOutput("y", classification: most)])
        if let labels { form.labels = ["y": labels] }
        let json = try encoded([output], form: form).json
        let match = try #require(
            json.firstMatch(of: #/"datatype":"BYTES","shape":(\[[^\]]*\]),"data":\[(.*)\]\}\]\}$/#))
        return (String(match.1), String(match.2))
    }

    private func floats(_ shape: Shape, _ values: [Float]) -> Tensor {
        var bytes = ByteBuffer()
        for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
        return Tensor(name: "y", datatype: .fp32, shape: shape, bytes: bytes)
    }

    @Test func theHighestComeFirst() throws {
        let scores = floats([4], [0.1, 0.5, 0.5, 0.25])
        #expect(try classes(scores, 3) == ("[3]", #""0.5:1","0.5:2","0.25:3""#))
        #expect(
            try classes(scores, 9, labels: ["cat", "a\"b"]) == (
                "[4]", #""0.5:1:a\"b","0.5:2","0.25:3","0.1:0:cat""#
            ))
        // A class without a name among named ones, and every row's own.
        #expect(
            try classes(floats([2, 2], [1, 2, 4, 3]), 2, labels: ["", "yes"]) == (
                "[2,2]", #""2.0:1:yes","1.0:0","4.0:0","3.0:1:yes""#
            ))
        let batch = floats([2, 3], [1, 2, 3, 6, 5, 4])
        #expect(try classes(batch, 2) == ("[2,2]", #""3.0:2","2.0:1","6.0:0","5.0:1""#))
        #expect(
            try classes(floats([2, 2, 2], [1, 2, 3, 4, 8, 7, 6, 5]), 1) == (
                "[2,1]", #""4.0:3","8.0:0""#
            ))
        #expect(try classes(floats([0, 3], []), 2) == ("[0,2]", ""))
        #expect(
            try classes(floats([3], [.nan, 1, .infinity]), 3) == (
                "[3]", #""inf:2","1.0:1","nan:0""#
            ))
    }

    @Test func everyOrderIsTheNumbers() throws {
        let signs = floats([5], [-0.0, 0, -1.5, -.infinity, -2])
        #expect(try classes(signs, 5).data == #""-0.0:0","0.0:1","-1.5:2","-2.0:4","-inf:3""#)
        let large = tensor(
            .uint64, [2], [1] + [UInt8](repeating: 0, count: 7) + [UInt8](repeating: 255, count: 8))
        #expect(try classes(large, 2).data == #""18446744073709551615:1","1:0""#)
        #expect(
            try classes(tensor(.int8, [3], [0x80, 0, 0x7F]), 3).data == #""127:2","0:1","-128:0""#)
        #expect(
            try classes(tensor(.uint8, [3], [0x80, 0, 0x7F]), 3).data == #""128:0","127:2","0:1""#)
        let doubles = [Double.nan, -1, 3].flatMap { value in
            (0..<8).map { UInt8(truncatingIfNeeded: value.bitPattern >> UInt64(8 * $0)) }
        }
        #expect(try classes(tensor(.fp64, [3], doubles), 3).data == #""3.0:2","-1.0:1","nan:0""#)
    }

    @Test func integersAreComparedWhole() throws {
        var bytes = ByteBuffer()
        for value: Int64 in [9_007_199_254_740_992, 9_007_199_254_740_993, -1] {
            bytes.writeInteger(value, endianness: .little)
        }
        let output = Tensor(name: "y", datatype: .int64, shape: [3], bytes: bytes)
        #expect(try classes(output, 2) == ("[2]", #""9007199254740993:1","9007199254740992:0""#))
        let failure = #expect(throws: CallFailure.self) {
            try classes(tensor(.bytes, [1], [0, 0, 0, 0]), 1)
        }
        #expect(failure?.message.contains("classification sorts numbers, not BYTES") == true)
    }
}
