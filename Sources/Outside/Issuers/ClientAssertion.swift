// How the gateway proves who it is with a private key (RFC 7523 section 3): a token of its own, good for one
// minute and one question.

package import Contract
import Foundation
import TLS

package enum ClientAssertion {
    static let type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    static let seconds: Int64 = 60

    private struct Header: Encodable {
        var alg: String
        var kid: String?
        var typ = "JWT"
    }

    private struct Claims: Encodable {
        var iss: String
        var sub: String
        var aud: String
        var jti: String
        var iat: Int64
        var exp: Int64
    }

    /// - Parameters:
    ///   - audience: Who is asked: the introspection's address for some servers, the token's for others.
    ///   - now: seconds since 1970.
    package static func make(
        clientID: String, audience: String, key: AssertionKey, keyID: String?, now: Int64
    ) throws -> Secret {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let header = try encoder.encode(Header(alg: key.algorithm.rawValue, kid: keyID))
        let claims = try encoder.encode(
            Claims(
                iss: clientID, sub: clientID, aud: audience,
                jti: Cryptography.base64URL(Cryptography.randomBytes(16)), iat: now,
                exp: now + seconds))
        let input =
            Cryptography.base64URL(Array(header)) + "." + Cryptography.base64URL(Array(claims))
        let signature = try key.sign(Array(input.utf8))
        return Secret(input + "." + Cryptography.base64URL(signature))
    }
}
