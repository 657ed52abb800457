// A signed answer to an introspection (RFC 9701). Pure, once the signature is believed: what the answer is about
// is read by IntrospectionAnswer like any other.

import Contract

package enum SignedAnswer {
    static let mediaType = "application/token-introspection+jwt"
    /// How old an answer may be, in seconds, besides the clocks' difference: an old one replayed is none.
    static let ageMaxSeconds: Int64 = 60

    /// The `token_introspection` of an answer from this issuer, to us, made now.
    /// - Parameters:
    ///   - names: What we are called in `aud`: our client id, or an audience of ours (servers differ).
    ///   - now: seconds since 1970.
    package static func open(
        _ token: SignedToken, issuer: String, names: [String], skewSeconds: Int64, now: Int64
    ) throws(AnswerFault) -> JSONValue {
        guard token.type == "token-introspection+jwt" else {
            throw .notBelieved(why: "the signed answer's typ is not token-introspection+jwt")
        }
        let reader = ClaimReader(object: token.payload)
        guard try reader.text("iss") == issuer else {
            throw .notBelieved(why: "the signed answer's 'iss' is not the issuer of the settings")
        }
        guard try reader.strings("aud").contains(where: names.contains) else {
            throw .notBelieved(why: "the signed answer's 'aud' names neither client nor audience")
        }
        guard let made = try reader.integer("iat") else { throw .wrongType(member: "iat") }
        guard made <= now.addingSaturated(skewSeconds),
            made.addingSaturated(ageMaxSeconds + skewSeconds) >= now
        else { throw .notBelieved(why: "the signed answer's 'iat' is not now") }
        guard let answer = token.payload["token_introspection"] else {
            throw .wrongType(member: "token_introspection")
        }
        return answer
    }
}
