// The strict reader of JSON: each rule of RFC 8259 that others are lenient about.

import Contract
import NIOCore
import OpenInference
import Testing

@Suite struct ScannerTests {
    /// Passes over a whole document; the failure's message, or nil.
    private func fault(_ bytes: [UInt8]) -> String? {
        do {
            var scanner = try JSONScanner(ByteBuffer(bytes: bytes))
            try scanner.skip()
            try scanner.finish()
            return nil
        } catch {
            #expect(error.code == .invalidArgument && error.reason == .badMessage)
            return error.message
        }
    }

    private func fault(_ text: String) -> String? { fault(Array(text.utf8)) }

    @Test(arguments: [
        "{}", "[]", " \t\r\n[ ] \n", "null", "true", "false", "0", "-0", "-0.0e+00", "1e5", "1E-5",
        "123456789012345678901234567890", #""""#, #""\"\\\/\b\f\n\r\t\u0041\ud83d\ude00""#,
        #"{"a":{"a":{"b":[1,{"a":2}]}},"b":1}"#, #"["é€😀"]"#, "[[],[[]]]", "\"\u{7F}\"",
    ])
    func whatIsJSONPasses(_ text: String) {
        #expect(fault(text) == nil)
    }

    @Test(arguments: [
        ("", "byte 0: expected a value, found the end"), ("  ", "byte 2: expected a value"),
        ("{", "byte 1: expected a member or the end, found the end"),
        ("[1,]", "byte 3: a comma must be followed by another value"),
        (#"{"a":1,}"#, "byte 7: a comma must be followed by another value"),
        ("[,1]", "byte 1: expected a value, found ','"), ("[1 2]", "byte 3: expected ',' or ']'"),
        (#"{"a" 1}"#, "byte 5: expected ':'"), ("{a:1}", "byte 1: expected a key in quotes"),
        ("{1:1}", "byte 1: expected a key in quotes"), (#"{"a":}"#, "byte 5: expected a value"),
        ("[1]x", "byte 3: expected the end of the document, found 'x'"),
        ("[1][1]", "byte 3: expected the end"), ("[1\u{0}]", "byte 2: expected ',' or ']', found"),
        ("'a'", "byte 0: expected a value"), ("[01]", "byte 2: expected ',' or ']'"),
        ("[+1]", "byte 1: expected a value"), ("[.5]", "byte 1: expected a value"),
        ("[1.]", "byte 3: expected a digit, found ']'"), ("[1e]", "byte 3: expected a digit"),
        ("[-]", "byte 2: expected a digit"), ("[1.5e+]", "byte 6: expected a digit"),
        ("[0x10]", "byte 2: expected ',' or ']'"), ("[tru]", "byte 1: expected true or false"),
        ("[nul]", "byte 1: expected null"), ("[True]", "byte 1: expected a value, found 'T'"),
        ("[NaN]", "byte 1: JSON has no NaN"), ("[Infinity]", "byte 1: JSON has no NaN"),
        ("[-Infinity]", "binary form"), ("[1]/**/", "byte 3: expected the end"),
        (#"["a]"#, "the string that began at byte 1 has no end"),
        ("[\"a\nb\"]", "byte 3: a control character (0x0a) must be escaped"),
        (#"["\x41"]"#, "byte 2: an escape must be one of"), (#"["\u12g4"]"#, "byte 2: \\u must be"),
        (#"["\u12"#, "byte 2: \\u must be"), (#"["\"#, "byte 3: the string has no end"),
        (#"["\ud800"]"#, "byte 2: a surrogate must be one half of a pair"),
        (#"["\ud800\u0041"]"#, "byte 2: a surrogate"),
        (#"["\udc00\ud800"]"#, "byte 2: a surrogate"),
        (#"{"a":1,"b":2,"a":3}"#, #"byte 13: the key "a" comes twice in one object"#),
        (#"{"a":1,"\u0061":3}"#, #"the key "a" comes twice"#),
        (#"[{"b":{"a":1,"a":2}}]"#, "byte 13: the key"),
    ])
    func whatIsNotSaysWhereAndWhy(_ text: String, _ message: String) {
        #expect(fault(text)?.contains(message) == true, "\(text): \(fault(text) ?? "taken")")
    }

    @Test func otherEncodingsAreNamed() {
        #expect(fault([0xEF, 0xBB, 0xBF] + Array("{}".utf8))?.contains("byte order mark") == true)
        #expect(fault([0xFE, 0xFF, 0, 0x7B])?.contains("UTF-16") == true)
        #expect(fault([0xFF, 0xFE, 0x7B, 0])?.contains("UTF-16") == true)
        #expect(fault([0x7B, 0, 0x7D, 0])?.contains("UTF-16") == true)
        #expect(fault([0, 0x7B, 0, 0x7D])?.contains("UTF-16") == true)
    }

    /// RFC 3629: what is too long, a surrogate, beyond the last scalar, cut off or alone.
    @Test(
        arguments: [
            [0xC0, 0xAF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5],
            [0xE2, 0x82], [0x80], [0xFF], [0xC3],
        ] as [[UInt8]])
    func badUTF8IsRefusedWhereItStands(_ bad: [UInt8]) {
        let message = fault(Array("[\"ab".utf8) + bad + Array("\"]".utf8))
        #expect(
            message?.contains("byte 4: a string must be UTF-8") == true, "\(message ?? "taken")")
        // Outside of strings no such byte stands at all.
        #expect(fault(Array("[".utf8) + bad + Array("]".utf8))?.contains("byte 1") == true)
    }

    @Test func nestingHasALimit() {
        func nested(_ depth: Int, _ open: String, _ close: String) -> String {
            String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
        }
        #expect(JSONScanner.depthMax == 32)
        #expect(fault(nested(32, "[", "]")) == nil)
        #expect(
            fault(nested(33, "[", "]"))?.contains("byte 32: objects and arrays are nested") == true)
        #expect(fault(nested(32, #"{"a":"#, "}")) == nil)
        #expect(fault(nested(33, #"{"a":"#, "}"))?.contains("at most 32 deep") == true)
        #expect(fault(String(repeating: "[", count: 1_000_000))?.contains("at most 32") == true)
    }

    @Test func membersHaveALimitAndManyAreStillCompared() {
        func object(_ count: Int, _ last: String) -> String {
            "{" + (0..<count).map { "\"k\($0)\":0," }.joined() + "\"\(last)\":0}"
        }
        #expect(fault(object(1_023, "last")) == nil)
        #expect(fault(object(1_024, "last"))?.contains("at most 1024 members") == true)
        for twice in ["k0", "k15", "k16", "k17", "k500", "k\\u0030"] {
            #expect(fault(object(600, twice))?.contains("comes twice") == true, "\(twice)")
        }
        // Two keys that only look alike are two keys.
        #expect(fault("{\"\u{E9}\":1,\"e\u{301}\":2}") == nil)
    }

    @Test func valuesArePulled() throws {
        var scanner = try JSONScanner(
            ByteBuffer(string: #"{"s":"a\u00e9\ud83d\ude00","b":true,"n":[-7,2.5,1e2],"z":null}"#))
        try scanner.beginObject()
        #expect(try scanner.nextKey() == "s")
        #expect(try scanner.string("s") == "aé😀")
        #expect(try scanner.nextKey() == "b")
        #expect(try scanner.takesNull() == false)
        #expect(try scanner.bool("b"))
        #expect(try scanner.nextKey() == "n")
        try scanner.beginArray("n")
        #expect(try scanner.nextElement())
        #expect(try scanner.integer("n") == -7)
        #expect(try scanner.nextElement())
        #expect(try scanner.number("n") == JSONNumber(double: 2.5, integer: nil))
        #expect(try scanner.nextElement())
        let message = #expect(throws: CallFailure.self) { try scanner.integer("n[2]") }?.message
        #expect(message?.contains("n[2] must be a whole number") == true)
    }

    @Test func aValueOfAnotherKindIsNamed() throws {
        var scanner = try JSONScanner(ByteBuffer(string: #"{"ready":"yes"}"#))
        try scanner.beginObject()
        #expect(try scanner.nextKey() == "ready")
        let message = #expect(throws: CallFailure.self) { try scanner.bool("ready") }?.message
        #expect(message == "the JSON body, byte 9: ready must be true or false, not a string")
    }
}
