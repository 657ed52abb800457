import Compression
import Testing

@Suite struct CodingTests {
    @Test func theWordsAreThoseOfHTTP() {
        #expect(ContentCoding(rawValue: "gzip") == .gzip)
        #expect(ContentCoding(rawValue: "deflate") == .deflate)
        #expect(ContentCoding(rawValue: "br") == nil)
    }
}
