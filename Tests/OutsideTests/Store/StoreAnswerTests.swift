// The XML of listings and errors: what stores send, what they should not, and anything at all.

import Outside
import Testing

@Suite struct StoreAnswerTests {
    static let page = """
        <?xml version='1.0' encoding='UTF-8'?>
        <!-- a store's own words -->
        <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>models</Name>
        <Prefix>a/</Prefix><KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys>
        <IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1=</NextContinuationToken>
        <Contents><Key>a/iris/1/manifest.json</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>
        <ETag>&quot;15986a&quot;</ETag><Size>597</Size><Owner><ID>o</ID></Owner></Contents>
        <Contents><Key>a/x &lt;y&gt; &#228;&#xE9;<![CDATA[<&]]></Key><ETag>"b"</ETag><Size>0</Size>
        <StorageClass/></Contents><CommonPrefixes><Prefix>q</Prefix></CommonPrefixes>
        </ListBucketResult>
        """

    private func listing(_ text: String) throws -> ListingPage {
        try StoreAnswer.listing(Array(text.utf8))
    }

    @Test func aPageIsRead() throws {
        let page = try listing(Self.page)
        #expect(page.continuation == "t&1=")
        #expect(
            page.objects == [
                ListedObject(key: "a/iris/1/manifest.json", byteCount: 597, tag: "\"15986a\""),
                ListedObject(key: "a/x <y> äé<&", byteCount: 0, tag: "\"b\""),
            ])
    }

    @Test func anEmptyBucketIsAPage() throws {
        #expect(try listing("<ListBucketResult/>") == ListingPage())
        let last =
            "<a:ListBucketResult><IsTruncated>false</IsTruncated><NextContinuationToken>x"
            + "</NextContinuationToken></a:ListBucketResult>"
        #expect(try listing(last) == ListingPage())
    }

    @Test(
        "What is no listing is refused",
        arguments: [
            "", "text", "<html><body/></html>", "<ListBucketResult>", "<ListBucketResult></Other>",
            "<!DOCTYPE x [<!ENTITY a 'b'>]><ListBucketResult/>",
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "<ListBucketResult><Contents><Size>many</Size></Contents></ListBucketResult>",
            "<ListBucketResult><Contents><Size>-1</Size></Contents></ListBucketResult>",
            "<ListBucketResult>&unknown;</ListBucketResult>",
            "<ListBucketResult>&#xD800;</ListBucketResult>",
            "<ListBucketResult>&", "<ListBucketResult a='>", "<>", "<ListBucketResult></>",
        ])
    func refused(text: String) {
        #expect(throws: StoreAnswerFault.self) { try listing(text) }
    }

    @Test func whatGrowsIsBounded() {
        let deep = String(repeating: "<a>", count: 100)
        #expect(throws: StoreAnswerFault.self) { try listing(deep) }
        let long = "<ListBucketResult><Name>" + String(repeating: "a", count: 10_000)
        #expect(throws: StoreAnswerFault.self) { try listing(long) }
        let name = "<" + String(repeating: "a", count: 1_000) + ">"
        #expect(throws: StoreAnswerFault.self) { try listing(name) }
        let many = String(
            repeating: "<Contents><Size>1</Size></Contents>", count: StoreAnswer.objectsMax + 1)
        #expect(throws: StoreAnswerFault.self) {
            try listing("<ListBucketResult>\(many)</ListBucketResult>")
        }
    }

    @Test func errorsAreRead() throws {
        let body =
            "<?xml version=\"1.0\"?><Error><Code>SignatureDoesNotMatch</Code>"
            + "<Message>The request\u{7} signature</Message><RequestId>tx</RequestId></Error>"
        let error = try #require(StoreAnswer.error(Array(body.utf8)))
        #expect(error.code == "SignatureDoesNotMatch")
        #expect(error.message == "The request? signature")
        #expect(StoreAnswer.error(Array("<html>nginx</html>".utf8)) == nil)
        #expect(StoreAnswer.error([]) == nil)
        #expect(StoreAnswer.error([0xFF, 0x3C, 0x00]) == nil)
    }

    /// Nothing that comes over the wire may end the process or take long.
    @Test func anythingIsSurvived() {
        let seed = UInt64.random(in: 0 ... .max)
        var dice = Dice(seed: seed)
        let original = Array(Self.page.utf8)
        var understood = 0
        for _ in 0..<20_000 {
            var bytes = original
            for _ in 0..<Int.random(in: 1...6, using: &dice) {
                let place = Int.random(in: 0..<bytes.count, using: &dice)
                switch Int.random(in: 0..<4, using: &dice) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &dice)
                case 1: bytes.remove(at: place)
                case 2:
                    bytes.insert(
                        contentsOf: Array("<&>/;!?[\"".utf8).shuffled(using: &dice).prefix(2),
                        at: place)
                default: bytes.removeLast(Int.random(in: 0..<bytes.count / 2, using: &dice))
                }
            }
            do throws(StoreAnswerFault) {
                let page = try StoreAnswer.listing(bytes)
                #expect(page.objects.count <= 3, "seed \(seed)")
                understood += 1
            } catch {
                #expect(!error.message.isEmpty, "seed \(seed)")
            }
            _ = StoreAnswer.error(bytes)
        }
        #expect(understood > 100 && understood < 20_000, "seed \(seed)")
    }
}

/// SplitMix64, so that a walk can be repeated from its printed seed.
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
