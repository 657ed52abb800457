import OpenInference
import Testing

@Suite struct JSONTextTests {
    @Test func whatCouldEndAStringIsEscaped() {
        #expect(JSONText.quoted("a\"b\\c\n\u{0}\u{7F}é") == #""a\"b\\c\u000a\u0000\u007fé""#)
        #expect(JSONText.array(["a", "b"]) == #"["a","b"]"#)
    }
}
