// One signed token in its compact form (RFC 7515 section 7.1), taken apart and not believed yet. Whoever checks
// the signature chooses the key: nothing in the header (jwk, jku, x5u, x5c) is ever used as one.

/// Why a token is no signed token we read.
package enum SignedTokenFault: Error, Equatable, CustomStringConvertible {
    case tooLong(Int)
    case notThreeParts
    case notBase64URL
    case badJSON
    case notAnObject
    case member(String)
    /// RFC 7515 section 4.1.11: extensions that must be understood, and none is.
    case critical

    package var description: String {
        switch self {
        case .tooLong(let maximum): "it has more than \(maximum) bytes"
        case .notThreeParts: "it has not three parts"
        case .notBase64URL: "a part is not base64url"
        case .badJSON: "a part is not JSON, or names a member twice"
        case .notAnObject: "a part is no JSON object"
        case .member(let name): "'\(name)' of the header is missing or has the wrong type"
        case .critical: "the header demands extensions (crit)"
        }
    }
}

package struct SignedToken: Sendable, Equatable {
    /// `alg`, as it is written.
    package var algorithm: String
    /// `kid`; nil when the token names no key.
    package var keyID: String?
    /// `typ` in lower case without `application/`; nil when there is none.
    package var type: String?
    package var payload: JSONValue
    /// What was signed: the first two parts with the point between them.
    package var signedBytes: [UInt8]
    package var signature: [UInt8]

    package static func read(
        _ bytes: [UInt8], byteCountMax: Int
    ) throws(SignedTokenFault) -> SignedToken {
        guard bytes.count <= byteCountMax else { throw .tooLong(byteCountMax) }
        // An encrypted token has five parts.
        let parts = bytes.split(
            separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3 else { throw .notThreeParts }
        guard let headerBytes = Base64URL.decode(parts[0]),
            let payloadBytes = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2]), !signature.isEmpty
        else { throw .notBase64URL }
        let header = try object(headerBytes)
        guard header["crit"] == nil else { throw .critical }
        guard let algorithm = try text(header, "alg") else { throw .member("alg") }
        return SignedToken(
            algorithm: algorithm, keyID: try text(header, "kid"),
            type: try text(header, "typ").map(plainType), payload: try object(payloadBytes),
            signedBytes: Array(bytes[..<parts[1].endIndex]), signature: signature)
    }

    private static func object(_ bytes: [UInt8]) throws(SignedTokenFault) -> JSONValue {
        let value: JSONValue
        do {
            value = try JSONReader.read(bytes)
        } catch {
            throw .badJSON
        }
        guard case .object = value else { throw .notAnObject }
        return value
    }

    private static func text(
        _ header: JSONValue, _ member: String
    ) throws(SignedTokenFault) -> String? {
        guard let value = header[member] else { return nil }
        guard case .string(let text) = value, ClaimReader.isReadable(text) else {
            throw .member(member)
        }
        return text
    }

    /// Media types are compared without case, and `application/` may be left out (RFC 7515 section 4.1.9).
    private static func plainType(_ text: String) -> String {
        let type = text.lowercased()
        return type.hasPrefix("application/") ? String(type.dropFirst("application/".count)) : type
    }
}
