// The authorization server's answers as HTTP: RFC 6749 sections 5.1 and 5.2, RFC 7662 section 2.2.

import Contract
import NIOHTTP1
import OpenInference

enum OAuthAnswer {
    /// - Parameter issuer: told as `iss`, when it is known.
    static func of(_ answer: AuthorizationAnswer, issuer: String?) -> HTTPAnswer {
        switch answer {
        case .granted(let grant):
            let token = grant.token.reveal { String(decoding: $0, as: UTF8.self) }
            return ok(
                "{\"access_token\":" + JSONText.quoted(token) + ",\"token_type\":\"Bearer\""
                    + ",\"expires_in\":\(grant.validFor.count / 1_000_000_000),\"scope\":"
                    + JSONText.quoted(grant.scopes.joined(separator: " ")) + "}\n")
        case .described(let token): return ok(described(token, issuer: issuer))
        case .inactive: return ok("{\"active\":false}\n")
        case .revoked: return ok("{}\n")
        }
    }

    private static func ok(_ text: String) -> HTTPAnswer {
        HTTPAnswer(status: .ok, fields: [("pragma", "no-cache")], text: text)
    }

    private static func described(_ token: TokenDescription, issuer: String?) -> String {
        var text = "{\"active\":true,\"token_type\":\"Bearer\",\"scope\":"
        text += JSONText.quoted(token.scopes.joined(separator: " "))
        text += ",\"client_id\":" + JSONText.quoted(token.client)
        text += ",\"sub\":" + JSONText.quoted(token.subject)
        text += ",\"jti\":" + JSONText.quoted(token.id) + ",\"iat\":\(token.issuedAt)"
        if let expires = token.expires { text += ",\"exp\":\(expires)" }
        if let issuer { text += ",\"iss\":" + JSONText.quoted(issuer) }
        switch token.audiences.count {
        case 0: break
        case 1: text += ",\"aud\":" + JSONText.quoted(token.audiences[0])
        default: text += ",\"aud\":" + JSONText.array(token.audiences)
        }
        return text + "}\n"
    }

    static func refused(_ refusal: AuthorizationRefusal) -> HTTPAnswer {
        var answer = HTTPAnswer(
            status: status(refusal.code),
            text: "{\"error\":" + JSONText.quoted(refusal.code.rawValue)
                + ",\"error_description\":" + JSONText.quoted(plain(refusal.description)) + "}\n")
        if refusal.code == .invalidClient {
            answer.fields.append(("www-authenticate", "Basic realm=\"sluice\", charset=\"UTF-8\""))
        }
        if let wait = refusal.retryAfter { answer.fields.append(HTTPAnswer.retryAfter(wait)) }
        return answer
    }

    private static func status(_ code: AuthorizationRefusal.Code) -> HTTPResponseStatus {
        switch code {
        case .invalidRequest, .invalidScope, .unsupportedGrantType: .badRequest
        case .invalidClient: .unauthorized
        case .unauthorizedClient: .forbidden
        case .slowDown: .tooManyRequests
        case .temporarilyUnavailable: .serviceUnavailable
        case .serverError: .internalServerError
        }
    }

    /// The characters RFC 6749 section 5.2 allows in a description.
    private static func plain(_ text: String) -> String {
        String(
            decoding: text.utf8.map { byte in
                byte >= 0x20 && byte < 0x7F && byte != UInt8(ascii: "\"")
                    && byte != UInt8(ascii: "\\") ? byte : UInt8(ascii: "'")
            }, as: UTF8.self)
    }
}
