// Signed tokens: how they are read, whose signatures are believed, what their claims mean, and that no trick with
// algorithms or keys lets anybody in.

import Contract
import Foundation
import Logging
import NIOPosix
import Outside
import TLS
import Testing

private let now: Int64 = 1_800_000_000
private let issuer = "https://as.example"

func base64URL(_ text: String) -> String { Cryptography.base64URL(Array(text.utf8)) }

/// A signed token of any header and payload.
func mint(
    _ payload: String, header: String, key: String, algorithm: SignatureAlgorithm? = nil
) async throws -> String {
    let key = try await AssertionKey.read(
        pem: Secret(key), algorithm: algorithm, setting: "test")
    let input = base64URL(header) + "." + base64URL(payload)
    return input + "." + Cryptography.base64URL(try key.sign(Array(input.utf8)))
}

func withVerifier<Value>(
    _ settings: JWKSSettings, book: LogBook = LogBook(), wallClock: Int64? = nil,
    clock: @escaping @Sendable () -> Instant = { Instant.now() },
    body: (JWKSVerifier) async throws -> Value
) async throws -> Value {
    let verifier = try JWKSVerifier(
        settings, group: MultiThreadedEventLoopGroup.singleton, logger: book.logger, clock: clock,
        wallClock: { wallClock ?? Int64(Date().timeIntervalSince1970) })
    let result: Result<Value, any Error>
    do {
        result = .success(try await body(verifier))
    } catch {
        result = .failure(error)
    }
    try await verifier.close()
    return try result.get()
}

func word(_ verifier: JWKSVerifier, _ token: String) async -> String {
    do throws(CallFailure) {
        switch try await verifier.verify(Secret(token)) {
        case .active: return "active"
        case .inactive: return "inactive"
        case .expired: return "expired"
        }
    } catch {
        return error.reason.rawValue
    }
}

@Suite struct SignedTokenReadingTests {
    private func fault(_ text: String) -> SignedTokenFault? {
        do throws(SignedTokenFault) {
            _ = try SignedToken.read(Array(text.utf8), byteCountMax: 16 << 10)
            return nil
        } catch {
            return error
        }
    }

    private func token(_ header: String, _ payload: String = "{}", _ signature: String = "AA")
        -> String
    { base64URL(header) + "." + base64URL(payload) + "." + signature }

    @Test func aGoodOneIsTakenApart() throws {
        let text = token(#"{"alg":"ES256","kid":"k","typ":"Application/AT+JWT"}"#, #"{"a":1}"#)
        let read = try SignedToken.read(Array(text.utf8), byteCountMax: 1_000)
        #expect(read.algorithm == "ES256" && read.keyID == "k" && read.type == "at+jwt")
        #expect(read.payload["a"] == .integer(1) && read.signature == [0])
        #expect(String(decoding: read.signedBytes, as: UTF8.self) + ".AA" == text)
    }

    @Test func whatIsNoSignedTokenIsRefused() {
        let good = #"{"alg":"ES256"}"#
        #expect(fault("") == .notThreeParts)
        #expect(fault("a.b") == .notThreeParts)
        #expect(fault("a.b.c.d.e") == .notThreeParts)
        #expect(fault(token(good, "{}", "")) == .notBase64URL)
        #expect(fault(token(good, "{}", "AA=")) == .notBase64URL)
        #expect(fault(token(good, "{}", "AB")) == .notBase64URL, "one spelling only")
        #expect(fault(token(good, "[]")) == .notAnObject)
        #expect(fault(token(good, #"{"a":1,"a":2}"#)) == .badJSON)
        #expect(fault(token(#"{"alg":"ES256","alg":"none"}"#)) == .badJSON)
        #expect(fault(token("{}")) == .member("alg"))
        #expect(fault(token(#"{"alg":1}"#)) == .member("alg"))
        #expect(fault(token(#"{"alg":"ES256","kid":["k"]}"#)) == .member("kid"))
        #expect(fault(token(#"{"alg":"ES256","crit":["exp"],"exp":1}"#)) == .critical)
        #expect(fault(token(#"{"alg":"ES256","crit":[]}"#)) == .critical)
        let long = String(repeating: "x", count: 16 << 10)
        #expect(fault(token(good, #"{"a":"\#(long)"}"#)) == .tooLong(16 << 10))
    }

    @Test func mutationsNeverTrap() {
        let seed = UInt64.random(in: 0..<100_000)
        print("SignedTokenReadingTests seed \(seed)")
        var random = SplitMix(seed: seed)
        let real = Array(token(#"{"alg":"ES256","kid":"k"}"#, #"{"exp":1,"aud":["a"]}"#).utf8)
        for _ in 0..<5_000 {
            var bytes = real
            for _ in 0...Int(random.next() % 3) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            do throws(SignedTokenFault) {
                let read = try SignedToken.read(bytes, byteCountMax: 16 << 10)
                #expect(read.signedBytes.count < bytes.count)
            } catch {
                #expect(error != .tooLong(16 << 10), "seed \(seed)")
            }
        }
    }
}

@Suite struct KeySetTests {
    private func fault(_ text: String) -> String {
        do throws(KeySetFault) {
            _ = try KeySet.read(Array(text.utf8))
            return ""
        } catch {
            return error.description
        }
    }

    @Test func keysAreChosenByNameAndAlgorithm() throws {
        let set = try KeySet.read(
            Array(
                #"{"keys":[{\#(TestKeys.ecJWK),"kid":"a","use":"sig"},{\#(TestKeys.rsaJWK),"kid":"b","alg":"RS256"},{\#(TestKeys.otherJWK),"kid":"c"}]}"#
                    .utf8))
        #expect(set.keys.count == 3 && set.skipped.isEmpty)
        #expect(set.key(id: "a", for: .es256)?.id == "a")
        #expect(set.key(id: "b", for: .rs256)?.id == "b")
        #expect(set.key(id: nil, for: .rs256)?.id == "b", "the only one")
        #expect(set.key(id: nil, for: .es256) == nil, "two: keys are not tried")
        #expect(set.key(id: "b", for: .ps256) == nil, "its alg says RS256")
        #expect(set.key(id: "b", for: .es256) == nil && set.key(id: "a", for: .rs256) == nil)
        #expect(set.key(id: "a", for: .es384) == nil && set.key(id: "z", for: .es256) == nil)
    }

    @Test func whatCannotBeUsedIsLeftOut() throws {
        let bad = [
            (TestKeys.smallJWK, "is RSA of 1024 bits"), (#""kty":"oct","k":"AAAA""#, "not public"),
            (TestKeys.ecJWK + #","use":"enc""#, "not for signatures"),
            (TestKeys.ecJWK + #","key_ops":["sign"]"#, "not for verifying"),
            (TestKeys.ecJWK + #","d":"AAAA""#, "not public"),
            (TestKeys.ecJWK + #","alg":"RS256""#, "does not suit"),
            (TestKeys.ecJWK + #","alg":"HS256""#, "alg that is not used"),
            (TestKeys.ecJWK + #","kid":7"#, "no text"),
            (#""kty":"EC","crv":"secp256k1","x":"AA","y":"AA""#, "curve"),
            (#""kty":"EC","crv":"P-256","x":"AA","y":"AA""#, "wrong length"),
            (#""kty":"OKP","crv":"X25519","x":"AA""#, "curve"), (#""kty":"XYZ""#, "kty"),
            (#""kty":"RSA","e":"AQAB","n":"A+A""#, "no base64url"),
            (TestKeys.rsaJWK.replacingOccurrences(of: "AQAB", with: "AQ"), "exponent"),
            (TestKeys.rsaJWK.replacingOccurrences(of: "AQAB", with: "AQAA"), "exponent"),
        ]
        for (jwk, why) in bad {
            let set = try KeySet.read(
                Array(#"{"keys":[{\#(jwk)},{\#(TestKeys.otherJWK),"kid":"good"}]}"#.utf8))
            #expect(set.keys.map(\.id) == ["good"], "\(why)")
            #expect(set.skipped.count == 1 && set.skipped[0].contains(why), "\(set.skipped)")
            #expect(fault(#"{"keys":[{\#(jwk)}]}"#).contains(why))
        }
    }

    @Test func whatIsNoSetIsRefused() {
        #expect(fault("").contains("bad JSON") && fault("<html>").contains("bad JSON"))
        #expect(fault("{}").contains("'keys'") && fault(#"{"keys":[]}"#).contains("'keys'"))
        #expect(fault(#"{"keys":[],"keys":[]}"#).contains("duplicateKey"))
        let twice = #"{\#(TestKeys.ecJWK),"kid":"a"},{\#(TestKeys.rsaJWK),"kid":"a"}"#
        #expect(fault(#"{"keys":[\#(twice)]}"#).contains("two keys"))
        let many = [String](repeating: "{}", count: 65).joined(separator: ",")
        #expect(fault(#"{"keys":[\#(many)]}"#).contains("65 keys"))
    }
}

#if JWT
    @Suite struct JWKSVerifierTests {
        private let payload =
            #"{"iss":"https://as.example","aud":"gw","sub":"s","client_id":"app","scope":"a b","exp":1800000100}"#

        private func settings(
            _ keys: String? = nil, adjust: (inout JWKSSettings) -> Void = { _ in }
        ) throws -> JWKSSettings {
            let keys =
                keys
                ?? #"{"keys":[{\#(TestKeys.ecJWK),"kid":"ec"},{\#(TestKeys.rsaJWK),"kid":"rsa"}]}"#
            var settings = JWKSSettings(
                expectation: TokenExpectation(
                    issuerName: "main", issuer: issuer, audiences: ["gw"]),
                signatures: SignatureSettings(source: .fixed(try KeySet.read(Array(keys.utf8)))))
            adjust(&settings)
            return settings
        }

        private func judge(
            _ token: String, _ settings: JWKSSettings, book: LogBook = LogBook()
        ) async throws -> String {
            try await withVerifier(settings, book: book, wallClock: now) { await word($0, token) }
        }

        @Test func everyAlgorithmThatIsAllowedWorks() async throws {
            let all =
                #"{"keys":[{\#(TestKeys.ecJWK),"kid":"ec"},{\#(TestKeys.rsaJWK),"kid":"rsa"},{\#(TestKeys.ec384JWK),"kid":"e3"},{\#(TestKeys.edJWK),"kid":"ed"}]}"#
            for (algorithm, kid, pem) in [
                (SignatureAlgorithm.es256, "ec", TestKeys.ec), (.rs256, "rsa", TestKeys.rsa),
                (.ps256, "rsa", TestKeys.rsa), (.es384, "e3", TestKeys.ec384),
                (.eddsa, "ed", TestKeys.ed),
            ] {
                let token = try await mint(
                    payload, header: #"{"alg":"\#(algorithm.rawValue)","kid":"\#(kid)"}"#, key: pem,
                    algorithm: algorithm)
                let allowed = try settings(all) { $0.signatures.algorithms = [algorithm] }
                #expect(try await judge(token, allowed) == "active", "\(algorithm)")
                let others = Set(SignatureAlgorithm.allCases).subtracting([algorithm])
                let forbidden = try settings(all) { $0.signatures.algorithms = others }
                #expect(try await judge(token, forbidden) == "inactive", "\(algorithm)")
            }
        }

        @Test func factsAreMappedToAnIdentity() async throws {
            let payload =
                #"{"iss":"https://as.example","aud":["x","gw"],"sub":"s","azp":"app","scp":["a","b"],"roles":["r"],"exp":1800000100,"cnf":{"x5t#S256":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"tid":"t"}"#
            let token = try await mint(
                payload, header: #"{"alg":"ES256","kid":"ec","typ":"JWT"}"#, key: TestKeys.ec)
            let verdict = try await withVerifier(
                try settings { $0.expectation.scopeClaims = ["scp", "roles"] }, wallClock: now
            ) { try await $0.verify(Secret(token)) }
            #expect(
                verdict
                    == .active(
                        Identity(
                            issuer: "main", client: "app", subject: "s", scopes: ["a", "b", "r"],
                            validFor: .seconds(100),
                            certificateDigest: [UInt8](repeating: 0, count: 32),
                            claims: ["tid": ["t"]])))
        }

        @Test func tricksWithAlgorithmsAndKeysFail() async throws {
            let settings = try settings()
            let ec = #"{"alg":"ES256","kid":"ec"}"#
            let good = try await mint(payload, header: ec, key: TestKeys.ec)
            #expect(try await judge(good, settings) == "active")
            let parts = good.split(separator: ".").map(String.init)

            // HMAC with the public key as its secret (algorithm confusion), in each form it is known in.
            for secret in [TestKeys.rsaPublic, TestKeys.rsaModulus, TestKeys.ecJWK] {
                for alg in ["HS256", "hs256"] {
                    let input =
                        base64URL(#"{"alg":"\#(alg)","kid":"rsa"}"#) + "." + base64URL(payload)
                    let mac = Cryptography.hmacSHA256(
                        key: Array(secret.utf8), message: Array(input.utf8))
                    let token = input + "." + Cryptography.base64URL(mac)
                    #expect(try await judge(token, settings) == "inactive")
                }
            }
            // No signature at all.
            for alg in ["none", "None", "NONE", ""] {
                let head = base64URL(#"{"alg":"\#(alg)","kid":"ec"}"#)
                for signature in ["AA", parts[2], ""] {
                    let token = head + "." + parts[1] + "." + signature
                    #expect(try await judge(token, settings) == "inactive", "\(alg)")
                }
            }
            // Signed by somebody else's key, under the issuer's kid; or under none.
            for header in [ec, #"{"alg":"ES256"}"#] {
                let token = try await mint(payload, header: header, key: TestKeys.other)
                #expect(try await judge(token, settings) == "inactive")
            }
            // The right key, named for another algorithm.
            let crossed = try await mint(
                payload, header: #"{"alg":"RS256","kid":"ec"}"#, key: TestKeys.rsa)
            #expect(try await judge(crossed, settings) == "inactive")
            // A kid that is a path, a query, or no text.
            for kid in ["../../dev/null", "' OR 1=1 --", "", "ec\\u0000"] {
                let token = try await mint(
                    payload, header: #"{"alg":"ES256","kid":"\#(kid)"}"#, key: TestKeys.other)
                #expect(try await judge(token, settings) == "inactive", "\(kid)")
            }
            // Keys and addresses of keys that the token brings along are never used.
            for extra in [
                #""jwk":{\#(TestKeys.otherJWK)}"#, #""jku":"http://127.0.0.1:9/jwks""#,
                #""x5u":"http://127.0.0.1:9/x""#, #""x5c":["AAAA"]"#,
            ] {
                let header = #"{"alg":"ES256","kid":"ec",\#(extra)}"#
                let forged = try await mint(payload, header: header, key: TestKeys.other)
                #expect(try await judge(forged, settings) == "inactive", "\(extra)")
                let own = try await mint(payload, header: header, key: TestKeys.ec)
                #expect(try await judge(own, settings) == "active", "ignored: \(extra)")
            }
            // Changed afterwards, or a signature of another form.
            let other = base64URL(payload.replacingOccurrences(of: "app", with: "adm"))
            #expect(
                try await judge(parts[0] + "." + other + "." + parts[2], settings) == "inactive")
            let zero = Cryptography.base64URL([UInt8](repeating: 0, count: 64))
            #expect(try await judge(parts[0] + "." + parts[1] + "." + zero, settings) == "inactive")
            let critical = try await mint(
                payload, header: #"{"alg":"ES256","kid":"ec","crit":["b64"],"b64":false}"#,
                key: TestKeys.ec)
            #expect(try await judge(critical, settings) == "inactive")
        }

        static let claims: [(String, String)] = [
            (#""iss":"https://as.example/","aud":"gw","exp":1800000100"#, "inactive"),
            (#""aud":"gw","exp":1800000100"#, "inactive"),
            (#""iss":"https://as.example","aud":"other","exp":1800000100"#, "inactive"),
            (#""iss":"https://as.example","exp":1800000100"#, "inactive"),
            (#""iss":"https://as.example","aud":{"gw":1},"exp":1800000100"#, "inactive"),
            (#""iss":"https://as.example","aud":"gw""#, "inactive"),
            (#""iss":"https://as.example","aud":"gw","exp":"1800000100""#, "inactive"),
            (#""iss":"https://as.example","aud":"gw","exp":1.8e9"#, "inactive"),
            (#""iss":"https://as.example","aud":"gw","exp":1799999971"#, "active"),
            (#""iss":"https://as.example","aud":"gw","exp":1799999970"#, "expired"),
            (#""iss":"https://as.example","aud":"gw","exp":1800000100,"nbf":1800000030"#, "active"),
            (
                #""iss":"https://as.example","aud":"gw","exp":1800000100,"nbf":1800000031"#,
                "inactive"
            ),
            (
                #""iss":"https://as.example","aud":"gw","exp":1800000100,"token_use":"id""#,
                "inactive"
            ),
            (
                #""iss":"https://as.example","aud":"gw","exp":1800000100,"token_use":"access""#,
                "active"
            ),
            (
                #""iss":"https://as.example","aud":"gw","exp":1800000100,"cnf":{"jkt":"x"}"#,
                "inactive"
            ),
            (#""iss":"https://as.example","aud":"gw","exp":1800000100,"scope":7"#, "inactive"),
        ]

        @Test(arguments: claims.indices) func claimsAreStrict(_ index: Int) async throws {
            let (members, expected) = Self.claims[index]
            let token = try await mint(
                "{\(members)}", header: #"{"alg":"ES256","kid":"ec"}"#, key: TestKeys.ec)
            #expect(try await judge(token, try settings()) == expected, "\(members)")
        }

        @Test func otherThingsTheSameKeySignsAreNoTokens() async throws {
            for (type, expected) in [
                ("at+jwt", "active"), ("application/at+JWT", "active"), ("JWT", "active"),
                ("token-introspection+jwt", "inactive"), ("logout+jwt", "inactive"),
                ("dpop+jwt", "inactive"),
            ] {
                let token = try await mint(
                    payload, header: #"{"alg":"ES256","kid":"ec","typ":"\#(type)"}"#,
                    key: TestKeys.ec)
                #expect(try await judge(token, try settings()) == expected, "\(type)")
            }
        }

        @Test func cognitoHasItsAudienceElsewhere() async throws {
            let token = try await mint(
                #"{"iss":"https://as.example","client_id":"1abc","token_use":"access","scope":"api/read","exp":1800000100,"cognito:groups":["g"]}"#,
                header: #"{"alg":"RS256","kid":"rsa"}"#, key: TestKeys.rsa)
            #expect(try await judge(token, try settings()) == "inactive")
            let cognito = try settings {
                $0.expectation.audienceClaim = "client_id"
                $0.expectation.audiences = ["0", "1abc"]
            }
            #expect(try await judge(token, cognito) == "active")
        }

        @Test func theOperatorLearnsWhyAndNoTokenIsSaid() async throws {
            let book = LogBook()
            let token = try await mint(
                payload, header: #"{"alg":"ES256","kid":"zzz"}"#, key: TestKeys.ec)
            #expect(try await judge(token, try settings(), book: book) == "inactive")
            #expect(book.all.map(\.level) == [.debug])
            #expect(book.all.first?.text.contains("the issuer has no such key") == true)
            #expect(book.all.first?.text.contains(token.suffix(20)) == false)
        }
    }
#endif
