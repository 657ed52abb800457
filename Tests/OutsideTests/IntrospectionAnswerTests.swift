// What an answer means, as a table; and a reader of JSON that nothing can upset.

import Contract
import Outside
import Testing

private let now: Int64 = 1_800_000_000

private func read(
    _ text: String, audience: String? = nil, issuer: String? = nil
) throws(AnswerFault) -> Verdict {
    try IntrospectionAnswer.read(
        Array(text.utf8),
        expectation: AnswerExpectation(
            issuerName: "main", audiences: audience.map { [$0] } ?? [], issuer: issuer,
            skewSeconds: 30), now: now)
}

/// The verdict in one word, or `fault`.
private func word(_ text: String, audience: String? = nil, issuer: String? = nil) -> String {
    do throws(AnswerFault) {
        switch try read(text, audience: audience, issuer: issuer) {
        case .active: return "active"
        case .inactive: return "inactive"
        case .expired: return "expired"
        }
    } catch {
        return "fault"
    }
}

@Suite struct IntrospectionAnswerTests {
    @Test(arguments: [
        (#"{"active":true}"#, "active"), (#"{"active":false}"#, "inactive"),
        (#"{"active":"true"}"#, "fault"), (#"{"active":1}"#, "fault"),
        (#"{"active":null}"#, "fault"), (#"{}"#, "fault"), (#"{"Active":true}"#, "fault"),
        (#"[{"active":true}]"#, "fault"), (#"true"#, "fault"), ("", "fault"), ("null", "fault"),
        (#"{"active":true}x"#, "fault"), (#"{"active":true"#, "fault"),
        (#"{"active":true,"active":true}"#, "fault"),
        (#"{"active":false,"active":true}"#, "fault"),
        (#"{"active":true,"a":{"x":1,"x":2}}"#, "fault"),
        (#"{"active":true,"\u0061ctive":false}"#, "fault"),
        (#"{"active":true,}"#, "fault"), (#"{'active':true}"#, "fault"),
        (#" { "active" : true } "#, "active"),
        // exp
        (#"{"active":true,"exp":1800000100}"#, "active"),
        (#"{"active":true,"exp":1800000000}"#, "active"),
        (#"{"active":true,"exp":1799999971}"#, "active"),
        (#"{"active":true,"exp":1799999970}"#, "expired"), (#"{"active":true,"exp":0}"#, "expired"),
        (#"{"active":true,"exp":-1}"#, "expired"),
        (#"{"active":true,"exp":-9223372036854775808}"#, "expired"),
        (#"{"active":true,"exp":9223372036854775807}"#, "active"),
        (#"{"active":true,"exp":9223372036854775808}"#, "fault"),
        (#"{"active":true,"exp":99999999999999999999999}"#, "fault"),
        (#"{"active":true,"exp":1800000100.0}"#, "fault"),
        (#"{"active":true,"exp":18e8}"#, "fault"), (#"{"active":true,"exp":1e999}"#, "fault"),
        (#"{"active":true,"exp":"1800000100"}"#, "fault"),
        (#"{"active":true,"exp":true}"#, "fault"), (#"{"active":true,"exp":[]}"#, "fault"),
        (#"{"active":true,"exp":null}"#, "active"),
        (#"{"active":false,"exp":"x"}"#, "inactive"),
        // nbf, iat
        (#"{"active":true,"nbf":1800000030}"#, "active"),
        (#"{"active":true,"nbf":1800000031}"#, "inactive"),
        (#"{"active":true,"nbf":"0"}"#, "fault"), (#"{"active":true,"iat":1.5}"#, "fault"),
        (#"{"active":true,"nbf":9223372036854775807}"#, "inactive"),
        // names and scopes
        (#"{"active":true,"scope":["infer"]}"#, "fault"), (#"{"active":true,"sub":1}"#, "fault"),
        (#"{"active":true,"client_id":"a\nb"}"#, "fault"),
        (#"{"active":true,"client_id":{}}"#, "fault"), (#"{"active":true,"aud":1}"#, "fault"),
        (#"{"active":true,"aud":["a",1]}"#, "fault"),
        // cnf
        (#"{"active":true,"cnf":{"jkt":"x"}}"#, "inactive"),
        (#"{"active":true,"cnf":{}}"#, "inactive"),
        (#"{"active":true,"cnf":"x"}"#, "fault"),
        (#"{"active":true,"cnf":{"x5t#S256":"short"}}"#, "fault"),
        (
            #"{"active":true,"cnf":{"x5t#S256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#,
            "active"
        ),
        (
            #"{"active":true,"cnf":{"x5t#S256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","jkt":"x"}}"#,
            "inactive"
        ),
        (
            #"{"active":true,"cnf":{"x5t#S256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"}}"#,
            "fault"
        ),
    ])
    func meaning(answer: String, verdict: String) {
        #expect(word(answer) == verdict, "\(answer)")
    }

    @Test(arguments: [
        (#""aud":"https://gw""#, "active"), (#""aud":["x","https://gw"]"#, "active"),
        (#""aud":"https://other""#, "inactive"), (#""aud":[]"#, "inactive"),
        (#""aud":"https://gw/""#, "inactive"), (#""x":1"#, "inactive"),
        (#""aud":null"#, "inactive"),
    ])
    func theAudienceMustBeOurs(member: String, verdict: String) {
        #expect(word(#"{"active":true,\#(member)}"#, audience: "https://gw") == verdict)
    }

    @Test(arguments: [
        (#""iss":"https://as""#, "active"), (#""iss":"https://evil""#, "inactive"),
        (#""x":1"#, "active"), (#""iss":["https://as"]"#, "fault"),
    ])
    func theIssuerMustBeTheOneWeKnow(member: String, verdict: String) {
        #expect(word(#"{"active":true,\#(member)}"#, issuer: "https://as") == verdict)
    }

    @Test func oneOfSeveralAudiencesIsEnough() throws {
        let expectation = AnswerExpectation(
            issuerName: "main", audiences: ["a", "b"], issuer: nil, skewSeconds: 30)
        for (aud, isActive) in [(#"["x","b"]"#, true), (#""a""#, true), (#""c""#, false)] {
            let verdict = try IntrospectionAnswer.read(
                Array(#"{"active":true,"aud":\#(aud)}"#.utf8), expectation: expectation, now: now)
            #expect((verdict != .inactive) == isActive, "\(aud)")
        }
    }

    @Test func furtherClaimsAreKeptWithinBounds() throws {
        func claims(_ members: String) throws -> [String: [String]] {
            guard case .active(let identity) = try read(#"{"active":true,\#(members)}"#) else {
                return ["inactive": []]
            }
            return identity.claims
        }
        #expect(
            try claims(
                #""username":"u","groups":["a","b"],"n":1,"ok":true,"mixed":["a",1],"iss":"x","jti":"j","empty":[]"#
            ) == ["username": ["u"], "groups": ["a", "b"]])
        #expect(try claims(#""bad":"a\n","good":"b""#) == ["good": ["b"]])
        let long = String(repeating: "x", count: 513)
        #expect(try claims(#""long":"\#(long)","short":"y""#) == ["short": ["y"]])
        let many = (0..<40).map { #""c\#($0)":"v""# }.joined(separator: ",")
        #expect(try claims(many).count == Identity.claimsMax)
        let big = String(repeating: "x", count: 500)
        let heavy = (0..<30).map { #""c\#($0)":"\#(big)""# }.joined(separator: ",")
        #expect(try claims(heavy).count == 16, "8 KiB in all")
    }

    @Test func allFactsAreRead() throws {
        let verdict = try read(
            #"{"active":true,"client_id":"app","sub":"u\u00e9","scope":" infer  models:read ","exp":1800000060}"#
        )
        #expect(
            verdict
                == .active(
                    Identity(
                        issuer: "main", client: "app", subject: "u\u{e9}",
                        scopes: ["infer", "models:read"], validFor: .seconds(60))))
        guard case .active(let forever) = try read(#"{"active":true}"#) else { return }
        #expect(forever.validFor == nil && forever.scopes.isEmpty && forever.client.isEmpty)
        guard case .active(let huge) = try read(#"{"active":true,"exp":9223372036854775807}"#)
        else {
            return
        }
        #expect(huge.validFor == Nanoseconds(.max))
        guard case .active(let within) = try read(#"{"active":true,"exp":1799999990}"#) else {
            return
        }
        #expect(within.validFor == .seconds(1))
    }
}

@Suite struct JSONReaderTests {
    private func kind(_ bytes: [UInt8]) -> JSONFault.Kind? {
        do throws(JSONFault) {
            _ = try JSONReader.read(bytes)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test(arguments: [
        (#""\ud83d\ude00""#, JSONValue.string("\u{1F600}")),
        (#""\"\\\/\b\f\n\r\t\u0041""#, .string("\"\\/\u{8}\u{c}\n\r\tA")), ("0", .integer(0)),
        ("-7", .integer(-7)), ("-0", .otherNumber), ("0.5", .otherNumber), ("1E+2", .otherNumber),
        ("[]", .array([])), ("[1,[2]]", .array([.integer(1), .array([.integer(2)])])),
        ("\t{ }\r\n", .object([])), (#"{"a":null}"#, .object([("a", .null)])),
        ("[true,false]", .array([.bool(true), .bool(false)])),
    ])
    func good(text: String, value: JSONValue) throws {
        #expect(try JSONReader.read(Array(text.utf8)) == value)
    }

    @Test(arguments: [
        ("[01]", JSONFault.Kind.syntax), ("-", .unfinished), ("1.", .unfinished),
        ("1e", .unfinished),
        (".5", .syntax), ("+1", .syntax), ("NaN", .syntax), ("nul", .unfinished), ("nulx", .syntax),
        ("[1,]", .syntax), ("[1 2]", .syntax), (#"{"a" 1}"#, .syntax), ("{1:2}", .syntax),
        ("\"a", .unfinished), (#""\x""#, .syntax), (#""\ud800""#, .encoding),
        (#""\ud800\u0041""#, .encoding), (#""\udc00""#, .encoding), (#""\u12g4""#, .syntax),
        ("\"a\nb\"", .encoding), ("1 1", .trailing), (#"{"a":1,"a":1}"#, .duplicateKey),
        ("[[[[[[[[[1]]]]]]]]]", .tooDeep), ("\u{FEFF}{}", .syntax), ("// x", .syntax),
    ])
    func bad(text: String, kind expected: JSONFault.Kind) {
        #expect(kind(Array(text.utf8)) == expected, "\(text)")
    }

    @Test func brokenUTF8IsRefused() {
        for bytes: [UInt8] in [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82]] {
            #expect(kind([0x22] + bytes + [0x22]) == .encoding)
        }
    }

    @Test func valuesAndDepthAreBounded() {
        let many = "[" + String(repeating: "1,", count: 5_000) + "1]"
        #expect(kind(Array(many.utf8)) == .tooMany)
        #expect(kind([UInt8](repeating: UInt8(ascii: "["), count: 65_536)) == .tooDeep)
        let open = String(repeating: #"{"a":"#, count: 10_000)
        #expect(kind(Array(open.utf8)) == .tooDeep)
    }

    /// Seeded mutations of a real answer: a value or a fault, never a trap; and nothing that was not
    /// active becomes active by accident of parsing twice.
    @Test func mutationsNeverTrap() {
        let seed = UInt64.random(in: 0..<100_000)
        var random = SplitMix(seed: seed)
        let real = Array(
            #"{"client_id":"app1","aud":["infer","x"],"iat":1795353258,"jti":"8H\u0050R","active":true,"exp":1795356858,"scope":"infer","cnf":{"x5t#S256":"AA"},"n":[null,-1.5e3,"\ud83d\ude00"]}"#
                .utf8)
        let interesting = Array("{}[]\",:\\u0dE-+.tfn\u{0}\n ".utf8) + [0xFF, 0xC3, 0xED]
        for round in 0..<30_000 {
            var bytes = real
            for _ in 0...Int(random.next() % 4) where !bytes.isEmpty {
                let position = Int(random.next() % UInt64(bytes.count))
                switch random.next() % 4 {
                case 0: bytes[position] = UInt8(truncatingIfNeeded: random.next())
                case 1: bytes[position] = interesting.randomElement(using: &random) ?? 0
                case 2: bytes.remove(at: position)
                default:
                    let end = min(bytes.count, position + Int(random.next() % 20))
                    bytes.insert(contentsOf: bytes[position..<end], at: position)
                }
            }
            do throws(JSONFault) {
                let value = try JSONReader.read(bytes)
                #expect(try JSONReader.read(bytes) == value)
            } catch {
                #expect(error.position <= bytes.count, "seed \(seed) round \(round)")
            }
        }
    }
}

@Suite struct IntrospectionFormTests {
    private func settings() -> IntrospectionSettings {
        IntrospectionSettings(
            name: "main", url: "https://as/introspect", clientID: "gate way",
            clientSecret: Secret("s:e%c+r~é"))
    }

    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    @Test func theTokenIsEscaped() {
        let body = IntrospectionForm.body(token: Secret("a+b/c=~.-_&d"), settings: settings())
        #expect(text(body) == "token=a%2Bb%2Fc%3D%7E.-_%26d&token_type_hint=access_token")
    }

    @Test func credentialsInTheForm() {
        var settings = settings()
        settings.clientAuthentication = .post
        let body = text(IntrospectionForm.body(token: Secret("t"), settings: settings))
        #expect(
            body.hasSuffix("&client_id=gate%20way&client_secret=s%3Ae%25c%2Br%7E%C3%A9"))
        #expect(IntrospectionForm.authorization(settings)?.isEmpty == nil)
    }

    @Test(arguments: [
        (
            IntrospectionSettings.CredentialEncoding.form,
            "Basic Z2F0ZSUyMHdheTpzJTNBZSUyNWMlMkJyJTdFJUMzJUE5"
        ),
        (.raw, "Basic Z2F0ZSB3YXk6czplJWMrcn7DqQ=="),
    ])
    func credentialsInTheHeader(
        encoding: IntrospectionSettings.CredentialEncoding, header: String
    ) {
        var settings = settings()
        settings.credentialEncoding = encoding
        #expect(IntrospectionForm.authorization(settings)?.reveal(text) == header)
    }
}

/// A small seeded generator (SplitMix64).
struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
