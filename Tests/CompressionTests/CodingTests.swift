import Compression
import Testing

@Suite struct CodingTests {
    @Test func theWordsAreThoseOfHTTP() {
        #expect(ContentCoding(name: "gzip") == .gzip && ContentCoding(name: "X-GZip") == .gzip)
        #expect(ContentCoding(name: "Deflate") == .deflate)
        for other in ["br", "", "identity", "gzip, deflate", " gzip"] {
            #expect(ContentCoding(name: other) == nil, "\(other)")
        }
    }

    @Test(
        arguments: [
            ([], nil), ([""], nil), (["identity"], nil), (["br"], nil), (["gzip"], .gzip),
            (["deflate"], .deflate), (["gzip, deflate, br"], .gzip), (["deflate, gzip"], .gzip),
            (["gzip;q=0.5, deflate"], .deflate), (["gzip; q=0.5", "deflate;q=0.4"], .gzip),
            (["gzip;q=0"], nil), (["gzip;q=0.000, deflate;q=0.001"], .deflate), (["*"], .gzip),
            (["*;q=0, deflate"], .deflate), (["gzip;q=0, *"], .deflate), (["*;q=0"], nil),
            (["identity, gzip;q=0.5"], nil), (["identity;q=0.5, gzip"], .gzip),
            (["identity;q=0, gzip;q=0.1"], .gzip), (["GZIP;Q=1.0"], .gzip), (["x-gzip"], .gzip),
            // Not a weight: as if it were not said.
            (["gzip;q=2"], nil), (["gzip;q=1.001"], nil), (["gzip;q=0.1234"], nil),
            (["gzip;q=-1"], nil), (["gzip;q"], nil), (["gzip;level=1"], nil), (["gzip;q=.5"], nil),
            ([",,;q=1,gzip"], .gzip),
        ] as [([String], ContentCoding?)])
    func whatAReaderLikesBest(fields: [String], coding: ContentCoding?) {
        #expect(ContentCoding.preferred(by: fields) == coding, "\(fields)")
    }

    @Test func manyEntriesAreNotReadToTheirEnd() {
        let many = Array(repeating: "br", count: 16).joined(separator: ",")
        #expect(ContentCoding.preferred(by: [many + ",gzip"]) == nil)
    }
}
