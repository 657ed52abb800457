// What an introspection answer means (RFC 7662 section 2.2). Pure: bytes, expectations and the wall clock in,
// a verdict out. Strict in meaning, lenient in form: only `"active": true` lets anybody in.

package import Contract

/// Why an answer means nothing. It is the issuer's fault, never the token's: the caller gets UNAVAILABLE.
package enum AnswerFault: Error, Equatable, CustomStringConvertible {
    case json(JSONFault)
    case notAnObject
    case wrongType(member: String)
    case unreadableText(member: String)

    package var description: String {
        switch self {
        case .json(let fault): "bad JSON (\(fault.kind.rawValue) at byte \(fault.position))"
        case .notAnObject: "the answer is no JSON object"
        case .wrongType(let member): "'\(member)' is missing or has the wrong type"
        case .unreadableText(let member): "'\(member)' is too long or has control characters"
        }
    }
}

/// What the settings demand of an answer.
package struct AnswerExpectation: Sendable, Equatable {
    /// The issuer's name in the settings.
    package var issuerName: String
    /// Must be in `aud`; nil: any.
    package var audience: String?
    /// Must be `iss` when the answer has one; nil: any.
    package var issuer: String?
    /// How far the issuer's clock may be off, in seconds.
    package var skewSeconds: Int64

    package init(issuerName: String, audience: String?, issuer: String?, skewSeconds: Int64) {
        self.issuerName = issuerName
        self.audience = audience
        self.issuer = issuer
        self.skewSeconds = skewSeconds
    }
}

package enum IntrospectionAnswer {
    /// - Parameter now: seconds since 1970.
    package static func read(
        _ bytes: [UInt8], expectation: AnswerExpectation, now: Int64
    ) throws(AnswerFault) -> Verdict {
        let answer: JSONValue
        do {
            answer = try JSONReader.read(bytes)
        } catch {
            throw .json(error)
        }
        guard case .object = answer else { throw .notAnObject }
        guard case .bool(let active)? = answer["active"] else { throw .wrongType(member: "active") }
        guard active else { return .inactive }

        let expires = try integer(answer, "exp")
        let notBefore = try integer(answer, "nbf")
        _ = try integer(answer, "iat")
        let audiences = try strings(answer, "aud")
        let issuer = try text(answer, "iss")
        let digest = try boundCertificate(answer)
        let identity = Identity(
            issuer: expectation.issuerName, client: try text(answer, "client_id") ?? "",
            subject: try text(answer, "sub") ?? "", scopes: try scopes(answer),
            validFor: expires.map { validFor($0, now: now) },
            certificateDigest: digest.digest)

        if let expires, expires.addingSaturated(expectation.skewSeconds) <= now { return .expired }
        if let notBefore, notBefore > now.addingSaturated(expectation.skewSeconds) {
            return .inactive
        }
        if let audience = expectation.audience, !audiences.contains(audience) { return .inactive }
        if let wanted = expectation.issuer, let issuer, issuer != wanted { return .inactive }
        // Bound to something we cannot check: not for us.
        guard digest.canBeChecked else { return .inactive }
        return .active(identity)
    }

    /// Within the skew the issuer's word counts, but it is asked again each second.
    private static func validFor(_ expires: Int64, now: Int64) -> Nanoseconds {
        let (seconds, overflow) = max(expires, 0).subtractingReportingOverflow(now)
        let left = UInt64(max(1, overflow ? .max : seconds))
        let (count, tooLong) = left.multipliedReportingOverflow(by: 1_000_000_000)
        return Nanoseconds(tooLong ? .max : count)
    }

    private static func integer(_ answer: JSONValue, _ member: String) throws(AnswerFault)
        -> Int64?
    {
        guard let value = answer[member] else { return nil }
        guard case .integer(let integer) = value else { throw .wrongType(member: member) }
        return integer
    }

    /// A text that may be logged: at most 512 bytes, no control characters.
    private static func text(_ answer: JSONValue, _ member: String) throws(AnswerFault) -> String? {
        guard let value = answer[member] else { return nil }
        guard case .string(let text) = value else { throw .wrongType(member: member) }
        guard text.utf8.count <= 512,
            text.unicodeScalars.allSatisfy({ $0.properties.generalCategory != .control })
        else { throw .unreadableText(member: member) }
        return text
    }

    /// A string, or an array of strings (`aud`, RFC 7519 section 4.1.3).
    private static func strings(_ answer: JSONValue, _ member: String) throws(AnswerFault)
        -> [String]
    {
        guard let value = answer[member] else { return [] }
        if case .string(let text) = value { return [text] }
        guard case .array(let elements) = value else { throw .wrongType(member: member) }
        var texts: [String] = []
        for element in elements {
            guard case .string(let text) = element else { throw .wrongType(member: member) }
            texts.append(text)
        }
        return texts
    }

    private static func scopes(_ answer: JSONValue) throws(AnswerFault) -> [String] {
        guard let value = answer["scope"] else { return [] }
        guard case .string(let text) = value else { throw .wrongType(member: "scope") }
        return text.split(separator: " ").map(String.init)
    }

    /// RFC 8705 section 3.2: `"cnf": {"x5t#S256": "..."}`.
    private static func boundCertificate(_ answer: JSONValue) throws(AnswerFault)
        -> (digest: [UInt8], canBeChecked: Bool)
    {
        guard let confirmation = answer["cnf"] else { return ([], true) }
        guard case .object(let members) = confirmation else { throw .wrongType(member: "cnf") }
        guard let value = confirmation["x5t#S256"] else { return ([], false) }
        guard case .string(let text) = value, let digest = base64URL(text), digest.count == 32
        else {
            throw .wrongType(member: "cnf.x5t#S256")
        }
        return (digest, members.count == 1)
    }

    /// RFC 4648 section 5 without padding; nil when it is not that, or not in its only form.
    package static func base64URL(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for character in text.utf8 {
            let digit: UInt8
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): digit = character - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = character - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = character - UInt8(ascii: "0") + 52
            case UInt8(ascii: "-"): digit = 62
            case UInt8(ascii: "_"): digit = 63
            default: return nil
            }
            bits = (bits << 6 | UInt32(digit)) & 0xFFFF
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        guard count < 6, bits & (1 << UInt32(count) - 1) == 0 else { return nil }
        return bytes
    }
}

extension Int64 {
    fileprivate func addingSaturated(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other > 0 ? .max : .min) : sum
    }
}
