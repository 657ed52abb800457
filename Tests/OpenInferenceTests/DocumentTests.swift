// Infer requests: each rule of OIP.md sections 1.1, 4.1, 4.5 and 7, and the bridge's rows of SECURITY.md.

import Contract
import NIOCore
import OpenInference
import Testing

@Suite struct DocumentTests {
    /// OIP.md section 8.
    @Test(
        arguments: [
            ("BYTES", "[2]", #"["ab",""]"#, [2, 0, 0, 0, 0x61, 0x62, 0, 0, 0, 0]),
            ("BOOL", "[2]", "[true,false]", [1, 0]), ("FP32", "[1]", "[1.0]", [0, 0, 0x80, 0x3F]),
            ("INT16", "[1]", "[-2]", [0xFE, 0xFF]),
            ("FP64", "[1]", "[1]", [0, 0, 0, 0, 0, 0, 0xF0, 0x3F]),
            ("UINT8", "[3]", "[0,7,255]", [0, 7, 255]),
            ("INT8", "[2]", "[-128,127]", [0x80, 0x7F]),
            ("UINT16", "[1]", "[65535]", [0xFF, 0xFF]),
            ("UINT32", "[1]", "[4294967295]", [0xFF, 0xFF, 0xFF, 0xFF]),
            ("INT32", "[2]", "[-2147483648,-0]", [0, 0, 0, 0x80, 0, 0, 0, 0]),
            ("UINT64", "[1]", "[18446744073709551615]", [UInt8](repeating: 0xFF, count: 8)),
            ("INT64", "[1]", "[9007199254740993]", [1, 0, 0, 0, 0, 0, 0x20, 0]),
            ("INT64", "[1]", "[-9223372036854775808]", [0, 0, 0, 0, 0, 0, 0, 0x80]),
            ("INT64", "[1]", "[9223372036854775807]", [255, 255, 255, 255, 255, 255, 255, 0x7F]),
        ] as [(String, String, String, [UInt8])])
    func elementsBecomeBytes(
        _ datatype: String, _ shape: String, _ data: String, _ expected: [UInt8]
    ) throws {
        #expect(try bytes(one(datatype, shape, data)) == expected)
    }

    @Test(arguments: [
        ("INT32", "1.0"), ("INT32", "1e2"), ("INT32", "2147483648"), ("INT32", "-2147483649"),
        ("INT8", "128"), ("INT8", "-129"), ("UINT8", "256"), ("UINT8", "-1"), ("UINT16", "65536"),
        ("UINT64", "18446744073709551616"), ("UINT64", "-1"), ("INT64", "9223372036854775808"),
        ("INT64", "-9223372036854775809"), ("INT64", "99999999999999999999999"),
        ("INT64", #""1""#), ("INT64", "true"), ("INT64", "null"),
    ])
    func integersAreTakenStrictly(_ datatype: String, _ text: String) {
        let found = failure(one(datatype, "[2]", "[0,\(text)]"))
        #expect(found?.reason == .badTensor && found?.code == .invalidArgument)
        #expect(found?.message.contains(#"inputs[0] "x", element 1 (byte"#) == true)
        #expect(found?.message.contains("a whole number from ") == true, "\(found?.message ?? "")")
    }

    @Test(arguments: [
        ("BOOL", "1", "true or false"), ("BOOL", "True", "true or false"),
        ("BOOL", #""true""#, "not a string"), ("FP32", #""1""#, "not a string"),
        ("FP32", "null", "found 'n'"), ("FP32", "{}", "found '{'"), ("BYTES", "1", "a string"),
        ("BYTES", "null", "a string"), ("BYTES", #""\ud800""#, "a surrogate must be"),
        ("BYTES", "\"\u{1}\"", "control character"), ("FP32", "NaN", "in binary form"),
        ("FP64", "-Infinity", "in binary form"), ("FP32", "Infinity", "in binary form"),
        ("FP32", "1.", "must be a number"), ("FP32", ".5", "found '.'"),
        ("FP32", "+1", "found '+'"),
        ("FP32", "01", "expected ',' or ']', found '1'"), ("FP32", "0x1", "found 'x'"),
    ])
    func elementsOfAnotherKindAreRefused(_ datatype: String, _ text: String, _ why: String) {
        let found = failure(one(datatype, "[1]", "[\(text)]"))
        #expect(found?.message.contains("element ") == true)
        #expect(found?.message.contains(why) == true, "\(found?.message ?? "")")
    }

    @Test(arguments: ["FP16", "BF16"])
    func halvesNeedTheBinaryForm(_ datatype: String) {
        let message = failure(one(datatype, "[1]", "[1]"))?.message
        #expect(message?.contains("\(datatype) does not travel in JSON") == true)
        #expect(message?.contains("binary_data_size") == true)
    }

    // MARK: - Shapes

    @Test(arguments: [
        ("[2,2]", "[1,2,3,4]"), ("[2,2]", "[[1,2],[3,4]]"), ("[2,2]", " [ [ 1 , 2 ] ,\n[3,4 ] ] "),
        ("[4]", "[1,2,3,4]"), ("[2,2,1]", "[[[1],[2]],[[3],[4]]]"), ("[1,4]", "[[1,2,3,4]]"),
        ("[1,1,1,1,1,1,2,2]", "[[[[[[[[1,2],[3,4]]]]]]]]"), ("[4,1]", "[[1],[2],[3],[4]]"),
    ])
    func dataIsFlatOrNestedAsItsShape(_ shape: String, _ data: String) throws {
        #expect(try bytes(one("UINT8", shape, data)) == [1, 2, 3, 4])
    }

    @Test(arguments: [
        ("[0]", "[]"), ("[2,0]", "[]"), ("[2,0]", "[[],[]]"), ("[0,3]", "[]"), ("[0,3]", "[ ]"),
        ("[3,0,2]", "[[],[],[]]"),
    ])
    func emptyTensorsAreAllowed(_ shape: String, _ data: String) throws {
        #expect(try bytes(one("FP32", shape, data)) == [])
    }

    @Test func scalarsHaveNoDimensions() throws {
        #expect(try bytes(one("UINT8", "[]", "[7]")) == [7])
        #expect(try bytes(one("UINT8", "[]", "7")) == [7])
        #expect(try bytes(one("BYTES", "[]", #""a""#)) == [1, 0, 0, 0, 0x61])
        #expect(failure(one("UINT8", "[1]", "7"))?.message.contains("must be an array") == true)
    }

    @Test(arguments: [
        ("[2,2]", "[[1,2],[3]]", "fewer elements"), ("[2,2]", "[[1,2],[3,4,5]]", "more elements"),
        ("[2,2]", "[[1,2]]", "must have the shape [2,2] exactly"),
        ("[2,2]", "[[1,2],[3,4],[5,6]]", "must have the shape"),
        ("[2,2]", "[[1,2],3,4]", "must have the shape"),
        ("[2,2]", "[1,[2],3,4]", "must have the shape"),
        ("[2,2]", "[[[1],[2]],[[3],[4]]]", "must have the shape"),
        ("[2,2,1]", "[[1,2],[3,4]]", "must have the shape"),
        ("[4]", "[[1,2,3,4]]", "must have the shape"),
        ("[2,2]", "[[],[]]", "fewer elements"), ("[2]", "[]", "fewer elements"),
        ("[2]", "[1]", "fewer elements"), ("[2]", "[1,]", "a comma must be followed"),
        ("[2]", "[1,2,3]", "more elements"), ("[2]", "[1,2,]", "more elements"),
        ("[0]", "[1]", "has none"), ("[2,0]", "[[],[1]]", "has none"),
        ("[0,2]", "[[1,2]]", "must have the"),
        ("[2]", "{}", "must be an array"), ("[2]", "[1 2]", "expected ',' or ']', found '2'"),
        ("[2,2]", "[[1,2],]", "must have the shape"),
        ("[2,2]", "[[1,2][3,4]]", "must have the shape"),
    ])
    func dataOfAnotherShapeIsRefused(_ shape: String, _ data: String, _ why: String) {
        for datatype in ["UINT8", "FP32"] {
            let found = failure(one(datatype, shape, data))
            #expect(found?.reason == .badTensor)
            #expect(found?.message.contains(why) == true, "\(data): \(found?.message ?? "")")
        }
    }

    @Test func aShapeIsBelievedOnlyAsFarAsTheBodyGoes() {
        #expect(
            failure(one("FP32", "[-1]", "[]"))?.message.contains("must not be negative") == true)
        let large = failure(one("FP32", "[1099511627776]", "[]"))
        #expect(large?.reason == .messageTooLarge && large?.code == .resourceExhausted)
        #expect(large?.message.contains("limits.message") == true)
        let product = failure(one("UINT8", "[4294967296,4294967296]", "[]"))
        #expect(product?.message.contains("impossible shape") == true)
        #expect(failure(one("FP64", "[4611686018427387904]", "[]"))?.reason == .messageTooLarge)
        // Within the limit, but not within the text: nothing is made for it.
        let fewer = failure(one("FP64", "[8000000]", "[1]"))
        #expect(fewer?.message.contains("fewer elements than its shape") == true)
        #expect(failure(one("BYTES", "[15000000]", "[]"))?.message.contains("fewer") == true)
        #expect(
            failure(one("FP32", "[1,1,1,1,1,1,1,1,1]", "[1]"))?.message.contains("at most 8")
                == true)
        for shape in ["[1.0]", "[\"1\"]", "[null]", "[1e0]", "[9223372036854775808]"] {
            #expect(failure(one("FP32", shape, "[1]"))?.message.contains("a dimension of") == true)
        }
    }

    // MARK: - Keys

    @Test func keysComeInAnyOrder() throws {
        let document = try decoded(
            #"""
            {"outputs":[{"parameters":{"binary_data":true},"name":"y"},{"name":"z"}],
             "inputs":[{"data":[[1,2],[3,4]],"shape":[2,2],"name":"x","datatype":"INT8"}],
             "parameters":{"timeout":1500000,"priority":2,"binary_data_output":true,"hint":"a"},
             "id":"\u0031","model_name":"other","more":[{"deep":[1,2,{"a":null}]}]}
            """#)
        #expect(document.request.id == "1" && document.request.model.isEmpty)
        #expect(document.request.inputs.map(\.name) == ["x"])
        #expect(Array(document.request.inputs[0].bytes.readableBytesView) == [1, 2, 3, 4])
        #expect(document.outputs == [RequestedOutput("y", binary: true), RequestedOutput("z")])
        #expect(document.request.outputs == ["y", "z"])
        #expect(document.timeout == .microseconds(1_500_000) && document.priority == .batch)
        #expect(document.binaryOutput && document.rawInput == nil)
    }

    @Test func dataThatCameFirstIsCheckedAllTheSame() {
        let text = #"{"inputs":[{"data":[1,2],"shape":[3],"name":"x","datatype":"INT8"}]}"#
        #expect(failure(text)?.message.contains(#"inputs[0] "x" (byte 23"#) == true)
        let broken = #"{"inputs":[{"data":[1,2,],"shape":[3],"name":"x","datatype":"INT8"}]}"#
        #expect(failure(broken)?.reason == .badMessage)
    }

    @Test func absentIsTheSameAsNull() throws {
        let document = try decoded(
            #"{"id":null,"parameters":null,"outputs":null,"inputs":[{"name":"x","shape":[1],"datatype":"INT8","parameters":null,"data":[1]}]}"#
        )
        #expect(document.request.id.isEmpty && document.outputs.isEmpty)
        #expect(
            try decoded(#"{"id":"","inputs":[]}"#).request
                == InferenceRequest(
                    model: "", version: "", id: "", inputs: [], outputs: []))
    }

    @Test(arguments: [
        ("{}", #"the request has no "inputs""#), ("[]", "the document must be an object"),
        (#"{"inputs":{}}"#, "inputs must be an array"),
        (#"{"inputs":[1]}"#, "inputs[0] must be an object"),
        (#"{"inputs":null}"#, "inputs must be an array, not null"),
        (#"{"id":7,"inputs":[]}"#, "id must be a string"),
        (#"{"inputs":[{}]}"#, #"inputs[0] has no "name""#),
        (#"{"inputs":[{"name":"x"}]}"#, #"inputs[0] "x" has no "datatype""#),
        (#"{"inputs":[{"name":"x","datatype":"FP32"}]}"#, #"has no "shape""#),
        (#"{"inputs":[{"name":"x","datatype":"FP32","shape":[1]}]}"#, #"has neither "data" nor"#),
        (
            #"{"inputs":[{"name":"x","datatype":"float","shape":[1],"data":[1]}]}"#,
            #"is "float": one of BOOL"#
        ),
        (
            #"{"inputs":[{"name":"x","datatype":"FP32","shape":1,"data":[1]}]}"#,
            "inputs[0].shape must be an array"
        ),
        (#"{"inputs":[],"outputs":[{}]}"#, #"outputs[0] has no "name""#),
        (#"{"inputs":[],"outputs":["y"]}"#, "outputs[0] must be an object"),
        (#"{"inputs":[],"inputs":[]}"#, #"the key "inputs" comes twice"#),
        (#"{"inputs":[]} {}"#, "expected the end of the document"),
        (#"{"inputs":[],"parameters":[]}"#, "parameters must be an object"),
        (
            #"{"inputs":[],"parameters":{"a":{}}}"#,
            "parameters.a must be a string, a number, true or false"
        ),
        (
            #"{"inputs":[],"parameters":{"binary_data_output":1}}"#,
            "binary_data_output must be true or false"
        ),
        (
            #"{"inputs":[],"parameters":{"timeout":-1}}"#,
            "parameters.timeout must be a whole number"
        ),
        (#"{"inputs":[],"parameters":{"timeout":9223372036854775807}}"#, "longer than any time"),
        (
            #"{"inputs":[],"parameters":{"priority":"high"}}"#,
            "parameters.priority must be a whole number"
        ),
        (
            #"{"inputs":[],"parameters":{"triton_final":true}}"#,
            "names that begin with triton_ are reserved"
        ),
        (#"{"inputs":[],"parameters":{"a":1,"a":1}}"#, #"the key "a" comes twice"#),
    ])
    func whatIsNoRequestSaysWhy(_ text: String, _ why: String) {
        let found = failure(text)
        #expect(found?.code == .invalidArgument && found?.notStarted == true)
        #expect(found?.message.contains(why) == true, "\(found?.message ?? "")")
    }

    @Test func messagesHoldNoMoreOfTheInputThanAName() throws {
        for name in [
            String(repeating: "x", count: 100_000),
            "e" + String(repeating: "\u{301}", count: 100_000),
        ] {
            let input = #"{"name":"\#(name)","datatype":"INT8","shape":[1],"data":[300]}"#
            let message = try #require(failure(#"{"inputs":[\#(input)]}"#)?.message)
            #expect(message.utf8.count < 300 && message.contains("..."))
        }
    }

    @Test func aNameComesOnce() {
        let input = #"{"name":"x","datatype":"INT8","shape":[1],"data":[1]}"#
        let found = failure(#"{"inputs":[\#(input),\#(input)]}"#)
        #expect(found?.message == #"inputs[1]: the name "x" comes twice"#)
    }

    @Test(arguments: [
        (#"{"inputs":[],"parameters":{"sequence_id":7}}"#, "sequences of calls"),
        (#"{"inputs":[],"parameters":{"sequence_id":"a"}}"#, "sequences of calls"),
        (#"{"inputs":[],"parameters":{"sequence_start":true}}"#, "sequences of calls"),
        (
            #"{"inputs":[{"name":"x","datatype":"INT8","shape":[1],"parameters":{"shared_memory_region":"r"}}]}"#,
            "shared memory"
        ),
        (
            #"{"inputs":[],"outputs":[{"name":"y","parameters":{"shared_memory_region":"r"}}]}"#,
            "shared memory"
        ),
    ])
    func whatDoesNotExistHereIsRefusedAsSuch(_ text: String, _ why: String) {
        let found = failure(text)
        #expect(found?.code == .unimplemented)
        #expect(found?.message.contains(why) == true)
    }

    @Test func clientsSendNoForNothing() throws {
        let document = try decoded(
            #"{"inputs":[],"parameters":{"sequence_id":0,"sequence_start":false,"sequence_end":false,"priority":0,"timeout":0,"sequence_":null,"x":1.5}}"#
        )
        #expect(document.timeout == nil && document.priority == .interactive)
        #expect(try decoded(#"{"inputs":[],"parameters":{"priority":1}}"#).priority == .interactive)
        let output = #"{"name":"y","parameters":{"classification":0,"binary_data":false}}"#
        #expect(
            try decoded(#"{"inputs":[],"outputs":[\#(output)]}"#).outputs == [
                RequestedOutput("y", binary: false)
            ])
    }

    @Test func limitsAreReached() throws {
        var limits = DocumentLimits()
        limits.tensors = 2
        limits.parameters = 3
        func inputs(_ count: Int) -> String {
            let inputs = (0..<count).map {
                #"{"name":"x\#($0)","datatype":"INT8","shape":[1],"data":[1]}"#
            }
            return #"{"inputs":[\#(inputs.joined(separator: ","))]}"#
        }
        #expect(try decoded(inputs(2), limits: limits).request.inputs.count == 2)
        #expect(
            failure(inputs(3), limits: limits)?.message.contains("limits.tensors_per_message")
                == true)
        #expect(failure(inputs(257))?.reason == .messageTooLarge)
        let outputs = #"{"inputs":[],"outputs":[{"name":"a"},{"name":"b"},{"name":"c"}]}"#
        #expect(failure(outputs, limits: limits)?.message.contains("more than 2 outputs") == true)
        let parameters =
            #"{"parameters":{"a":1,"b":1},"inputs":[],"outputs":[{"name":"y","parameters":{"c":1,"d":1}}]}"#
        #expect(
            failure(parameters, limits: limits)?.message.contains("limits.parameters_per_message")
                == true)
        limits.messageBytes = 100
        let long = one(
            "INT8", "[1]", "[1]", more: #","pad":""# + String(repeating: " ", count: 100) + "\"")
        #expect(
            failure(long, limits: limits)?.message.contains(
                "at most 100 are allowed (limits.message)") == true)
    }

    @Test func convertedBytesAreBoundedTogether() {
        var limits = DocumentLimits()
        let zeros = (0..<100).map { _ in "0" }.joined(separator: ",")
        let inputs = (0..<4).map {
            #"{"name":"x\#($0)","datatype":"FP64","shape":[100],"data":[\#(zeros)]}"#
        }
        let text = #"{"inputs":[\#(inputs.joined(separator: ","))]}"#
        limits.messageBytes = text.utf8.count
        #expect(text.utf8.count < 1_600)
        let found = failure(text, limits: limits)
        #expect(found?.reason == .messageTooLarge)
        #expect(
            found?.message.contains(#"inputs[1] "x1": FP64 [100] takes more than the "#) == true,
            "\(found?.message ?? "")")
    }

    // MARK: - Strings

    @Test func stringsAreTheirUTF8() throws {
        let data = #"["é\u00e9\ud83d\ude00\n\"\\\/\u0000"]"#
        let expected = Array("éé😀\n\"\\/\u{0}".utf8)
        #expect(
            try bytes(one("BYTES", "[1]", data)) == [UInt8(expected.count), 0, 0, 0] + expected)
        var bad = Array(one("BYTES", "[1]", #"["ab?"]"#).utf8)
        bad[try #require(bad.firstIndex(of: UInt8(ascii: "?")))] = 0xFF
        let body = ByteBuffer(bytes: bad)
        #expect(throws: CallFailure.self) {
            try InferenceDocument.decode(body, headerLength: nil, limits: DocumentLimits())
        }
    }

    @Test(
        arguments: [
            ("", []), ("AA==", [0]), ("AAE=", [0, 1]), ("AAEC", [0, 1, 2]), ("/+8=", [0xFF, 0xEF]),
            (#"\/+8="#, [0xFF, 0xEF]), ("AAECAw==", [0, 1, 2, 3]),
        ] as [(String, [UInt8])])
    func stringsMayBeBase64(_ text: String, _ expected: [UInt8]) throws {
        let parameters = #","parameters":{"content_type":"base64"}"#
        let after = one("BYTES", "[1]", "[\"\(text)\"]", more: parameters)
        #expect(try bytes(after) == [UInt8(expected.count), 0, 0, 0] + expected)
        let before =
            #"{"inputs":[{"name":"x","datatype":"BYTES","shape":[1]\#(parameters),"data":["\#(text)"]}]}"#
        #expect(try bytes(before) == bytes(after))
    }

    @Test(arguments: [
        "A", "AA", "AA=", "A===", "====", "AB==", "AAF=", "AA==AA==", "A A=", "AA-_", "AAEC=",
    ])
    func base64IsTakenStrictly(_ text: String) {
        let found = failure(
            one(
                "BYTES", "[2]", "[\"\",\"\(text)\"]",
                more: #","parameters":{"content_type":"base64"}"#))
        #expect(found?.message.contains("element 1") == true)
        #expect(found?.message.contains("RFC 4648") == true)
    }
}
