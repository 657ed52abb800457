// AWS Signature Version 4 against Amazon's published vectors: the get-vanilla family of aws-sig-v4-test-suite, and the
// examples of "Authenticating Requests" in S3's documentation. botocore's signer gave the same for each.

import Contract
import Outside
import TLS
import Testing

@Suite struct SignatureTests {
    static let suite = StoreCredentials(
        accessKey: "AKIDEXAMPLE", secretKey: Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"))
    static let documentation = StoreCredentials(
        accessKey: "AKIAIOSFODNN7EXAMPLE",
        secretKey: Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))

    static let letters =
        "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    struct Vector: Sendable {
        var name: String
        var method = "GET"
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)] = []
        var signature: String
    }

    static let vectors = [
        Vector(
            name: "get-vanilla",
            signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        Vector(
            name: "get-vanilla-query-order-key-case",
            query: [("Param2", "value2"), ("Param1", "value1")],
            signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        Vector(
            name: "get-vanilla-query-order-value",
            query: [("Param1", "value2"), ("Param1", "value1")],
            signature: "5772eed61e12b33fae39ee5e7012498b51d56abc0abb7c60486157bd471c4694"),
        Vector(
            name: "get-vanilla-query-unreserved", query: [(letters, letters)],
            signature: "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"),
        Vector(
            name: "post-vanilla", method: "POST",
            signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        Vector(
            name: "get-header-value-trim",
            headers: [("My-Header1", " value1"), ("My-Header2", " \"a   b   c\" ")],
            signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        Vector(
            name: "post-sts-header-before", method: "POST",
            headers: [("X-Amz-Security-Token", stsToken)],
            signature: "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
    ]

    static let stsToken =
        "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfp"
        + "SPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPk"
        + "yQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqB"
        + "Az+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

    @Test("The test suite's vectors", arguments: vectors)
    func suite(vector: Vector) {
        let time = SigningTime(secondsSince1970: 1_440_938_160)
        #expect(time.moment == "20150830T123600Z")
        let signature = RequestSignature(
            method: vector.method, path: "/", query: vector.query,
            headers: [("Host", "example.amazonaws.com"), ("X-Amz-Date", time.moment)]
                + vector.headers,
            region: "us-east-1", service: "service")
        #expect(signature.signature(Self.suite, at: time) == vector.signature, "\(vector.name)")
    }

    private func documented(
        _ method: String, _ path: String, query: [(name: String, value: String)] = [],
        _ headers: [(name: String, value: String)] = [], body: String = ""
    ) -> (signature: String, authorization: String) {
        let time = SigningTime(secondsSince1970: 1_369_353_600)
        let payload = Cryptography.hex(Cryptography.sha256(Array(body.utf8)))
        let signature = RequestSignature(
            method: method, path: path, query: query,
            headers: [
                ("host", "examplebucket.s3.amazonaws.com"), ("x-amz-content-sha256", payload),
                ("x-amz-date", time.moment),
            ] + headers,
            payload: payload, region: "us-east-1")
        return (
            signature.signature(Self.documentation, at: time),
            signature.authorization(Self.documentation, at: time)
        )
    }

    @Test func getsAPartAsDocumented() {
        let (signature, header) = documented("GET", "/test.txt", [("Range", "bytes=0-9")])
        #expect(signature == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
        #expect(
            header
                == "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
                + "aws4_request,SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
                + "Signature=\(signature)")
    }

    @Test func putsAsDocumented() {
        let (signature, _) = documented(
            "PUT", "/" + RequestSignature.encoded("test$file.text"),
            [
                ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ], body: "Welcome to Amazon S3.")
        #expect(signature == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
    }

    @Test func asksForALifecycleAsDocumented() {
        let (signature, _) = documented("GET", "/", query: [("lifecycle", "")])
        #expect(signature == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
    }

    @Test func listsAsDocumented() {
        let (signature, _) = documented(
            "GET", "/", query: [("prefix", "J"), ("max-keys", "2")])
        #expect(signature == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
    }

    @Test func nothingHasItsKnownHash() {
        #expect(RequestSignature.emptyPayload == Cryptography.hex(Cryptography.sha256([])))
    }

    @Test(
        "Days are counted right",
        arguments: [
            (0, "19700101T000000Z"), (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"), (951_868_800, "20000301T000000Z"),
            (1_709_164_800, "20240229T000000Z"), (1_735_689_599, "20241231T235959Z"),
            (4_107_542_400, "21000301T000000Z"), (-5, "19700101T000000Z"),
        ])
    func days(seconds: Int, moment: String) {
        #expect(SigningTime(secondsSince1970: Int64(seconds)).moment == moment)
    }

    @Test func whatIsNotPlainIsEncoded() {
        #expect(RequestSignature.encoded("a b/ü~") == "a%20b%2F%C3%BC~")
        #expect(RequestSignature.encoded("a b/c+d", keepsSlashes: true) == "a%20b/c%2Bd")
    }
}
