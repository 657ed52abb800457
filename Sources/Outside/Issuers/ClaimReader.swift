// Reads what an issuer says of a token, whether in an introspection's answer (RFC 7662) or in the token itself
// (RFC 7519). Strict in meaning: a member of the wrong type is a fault, never a guess.

import Contract

/// Why an issuer's words mean nothing.
package enum AnswerFault: Error, Equatable, CustomStringConvertible {
    case json(JSONFault)
    case notAnObject
    case wrongType(member: String)
    case unreadableText(member: String)
    /// Signed answers only (RFC 9701).
    case notBelieved(why: String)

    package var description: String {
        switch self {
        case .json(let fault): "bad JSON (\(fault.kind.rawValue) at byte \(fault.position))"
        case .notAnObject: "the answer is no JSON object"
        case .wrongType(let member): "'\(member)' is missing or has the wrong type"
        case .unreadableText(let member): "'\(member)' is too long or has control characters"
        case .notBelieved(let why): why
        }
    }
}

/// The members of one JSON object.
struct ClaimReader {
    static let textBytesMax = 512
    /// Elements of one claim that is a list; Entra ID sends at most 200 groups.
    static let listMax = 256
    /// Bytes of all claims that are kept for the policy.
    static let claimBytesMax = 8 << 10

    let object: JSONValue

    func integer(_ member: String) throws(AnswerFault) -> Int64? {
        guard let value = object[member] else { return nil }
        guard case .integer(let integer) = value else { throw .wrongType(member: member) }
        return integer
    }

    /// A text that may be logged: at most 512 bytes, no control characters.
    func text(_ member: String) throws(AnswerFault) -> String? {
        guard let value = object[member] else { return nil }
        guard case .string(let text) = value else { throw .wrongType(member: member) }
        guard ClaimReader.isReadable(text) else { throw .unreadableText(member: member) }
        return text
    }

    /// A string, or an array of strings (`aud`, RFC 7519 section 4.1.3).
    func strings(_ member: String) throws(AnswerFault) -> [String] {
        guard let value = object[member] else { return [] }
        guard let texts = ClaimReader.texts(value) else { throw .wrongType(member: member) }
        return texts
    }

    /// Words with spaces between them (RFC 6749 section 3.3).
    func words(_ member: String) throws(AnswerFault) -> [String] {
        guard let value = object[member] else { return [] }
        guard case .string(let text) = value else { throw .wrongType(member: member) }
        return text.split(separator: " ").map(String.init)
    }

    /// Words with spaces between them, or a list of words, as issuers of JWTs have them.
    func wordsOrList(_ member: String) throws(AnswerFault) -> [String] {
        if case .array? = object[member] { return try strings(member) }
        return try words(member)
    }

    /// RFC 8705 section 3.1: `"cnf": {"x5t#S256": "..."}`. `canBeChecked` is false when the token is bound to
    /// something else, which nobody here can check.
    func boundCertificate() throws(AnswerFault) -> (digest: [UInt8], canBeChecked: Bool) {
        guard let confirmation = object["cnf"] else { return ([], true) }
        guard case .object(let members) = confirmation else { throw .wrongType(member: "cnf") }
        guard let value = confirmation["x5t#S256"] else { return ([], false) }
        guard case .string(let text) = value, let digest = Base64URL.decode(text.utf8),
            digest.count == 32
        else { throw .wrongType(member: "cnf.x5t#S256") }
        return (digest, members.count == 1)
    }

    /// Claims that are text or lists of text and have no place of their own in an identity, in the issuer's
    /// order, for the policy's rules. What is too long, unreadable or one too many is left out: a claim only
    /// ever grants.
    func claims(except known: Set<String>) -> [String: [String]] {
        guard case .object(let members) = object else { return [:] }
        var claims: [String: [String]] = [:]
        var bytes = 0
        for (name, value) in members where !known.contains(name) {
            guard claims.count < Identity.claimsMax else { break }
            guard let texts = ClaimReader.texts(value), !texts.isEmpty,
                texts.count <= ClaimReader.listMax, name.utf8.count <= 128,
                ClaimReader.isReadable(name), texts.allSatisfy(ClaimReader.isReadable)
            else { continue }
            let size = texts.reduce(name.utf8.count) { $0 + $1.utf8.count }
            guard bytes + size <= ClaimReader.claimBytesMax else { continue }
            bytes += size
            claims[name] = texts
        }
        return claims
    }

    private static func texts(_ value: JSONValue) -> [String]? {
        if case .string(let text) = value { return [text] }
        guard case .array(let elements) = value else { return nil }
        var texts: [String] = []
        for element in elements {
            guard case .string(let text) = element else { return nil }
            texts.append(text)
        }
        return texts
    }

    static func isReadable(_ text: String) -> Bool {
        text.utf8.count <= textBytesMax
            && text.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control }
    }
}

/// Whether a token is valid by the clock.
enum ClaimTime {
    case valid
    case early
    case over

    /// All in seconds since 1970; the issuer's clock may be off by `skew`.
    static func judge(expires: Int64?, notBefore: Int64?, now: Int64, skew: Int64) -> ClaimTime {
        if let expires, expires.addingSaturated(skew) <= now { return .over }
        if let notBefore, notBefore > now.addingSaturated(skew) { return .early }
        return .valid
    }

    /// Within the skew the issuer's word counts, but it is asked again each second.
    static func validFor(_ expires: Int64, now: Int64) -> Nanoseconds {
        let (seconds, overflow) = max(expires, 0).subtractingReportingOverflow(now)
        let left = UInt64(max(1, overflow ? .max : seconds))
        let (count, tooLong) = left.multipliedReportingOverflow(by: 1_000_000_000)
        return Nanoseconds(tooLong ? .max : count)
    }
}

extension Int64 {
    func addingSaturated(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other > 0 ? .max : .min) : sum
    }
}
