// Who asks: client_secret_basic or client_secret_post (RFC 6749 section 2.3.1), never both.

import Contract

package enum ClientAuthentication {
    /// The client's id and secret as it shows them. Throws INVALID_CLIENT when they are missing or malformed, and
    /// INVALID_REQUEST for two ways at once.
    static func credential(
        _ headers: [Secret], _ form: FormBody
    ) throws(AuthorizationRefusal) -> ClientCredential {
        guard headers.count <= 1 else {
            throw AuthorizationRefusal(.invalidRequest, "two Authorization fields")
        }
        guard let header = headers.first else {
            guard let id = form.text("client_id"), let secret = form.secret("client_secret") else {
                throw AuthorizationRefusal(
                    .invalidClient, "client_id and client_secret are needed, best by HTTP Basic")
            }
            return ClientCredential(id: id, secret: secret)
        }
        guard let credential = basic(header) else {
            throw AuthorizationRefusal(.invalidClient, "Authorization is not HTTP Basic")
        }
        guard form.secret("client_secret") == nil else {
            throw AuthorizationRefusal(
                .invalidRequest, "the client shows its secret in two ways at once")
        }
        if let id = form.text("client_id"), id != credential.id {
            throw AuthorizationRefusal(.invalidRequest, "two different client_ids")
        }
        return credential
    }

    /// `Basic base64(form(id):form(secret))`.
    private static func basic(_ header: Secret) -> ClientCredential? {
        guard let (scheme, text) = header.schemeAndRest, scheme == "basic",
            let pair = base64(text), let colon = pair.firstIndex(of: UInt8(ascii: ":"))
        else {
            return nil
        }
        guard let name = FormBody.decoded(pair[..<colon]),
            let id = String(validating: name, as: UTF8.self), !id.isEmpty,
            let secret = FormBody.decoded(pair[(colon + 1)...]), !secret.isEmpty
        else { return nil }
        return ClientCredential(id: id, secret: Secret(bytes: secret))
    }

    /// RFC 4648 section 4, with or without padding; at most 16 KiB come here.
    package static func base64(_ text: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var held = 0
        var letters = 0
        var padding = 0
        for letter in text {
            if letter == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = value(letter) else { return nil }
            letters += 1
            bits = bits << 6 | UInt32(value)
            held += 6
            if held >= 8 {
                held -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(held)))
            }
        }
        // A single letter left over is no byte; padding fills up to four, or is left out.
        guard letters % 4 != 1, padding == 0 || (letters + padding) % 4 == 0, padding <= 2 else {
            return nil
        }
        return bytes
    }

    private static func value(_ letter: UInt8) -> UInt8? {
        switch letter {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): letter - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): letter - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): letter - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
