// The question of an introspection: form and credentials as bytes (RFC 7662 section 2.1).

package import Contract
import Foundation

package enum IntrospectionForm {
    /// `application/x-www-form-urlencoded`, in a form that percent-decoders read as well: everything but
    /// letters, digits, `-`, `.` and `_` is escaped, also the space.
    package static func encode(_ bytes: some Sequence<UInt8>, into form: inout [UInt8]) {
        let digits = Array("0123456789ABCDEF".utf8)
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"):
                form.append(byte)
            default:
                form.append(UInt8(ascii: "%"))
                form.append(digits[Int(byte >> 4)])
                form.append(digits[Int(byte & 15)])
            }
        }
    }

    /// The body. Holds the token, so it is handed to the connection and nowhere else.
    /// - Parameter assertion: For `private_key_jwt`.
    package static func body(
        token: Secret, settings: IntrospectionSettings, assertion: Secret? = nil
    ) -> [UInt8] {
        var form = Array("token=".utf8)
        token.reveal { encode($0, into: &form) }
        form.append(contentsOf: "&token_type_hint=access_token".utf8)
        switch settings.clientAuthentication {
        case .basic: break
        case .post, .tls:
            form.append(contentsOf: "&client_id=".utf8)
            encode(settings.clientID.utf8, into: &form)
            guard settings.clientAuthentication == .post else { break }
            form.append(contentsOf: "&client_secret=".utf8)
            settings.clientSecret.reveal { encode($0, into: &form) }
        case .privateKeyJWT:
            form.append(contentsOf: "&client_assertion_type=".utf8)
            encode(ClientAssertion.type.utf8, into: &form)
            form.append(contentsOf: "&client_assertion=".utf8)
            assertion?.reveal { encode($0, into: &form) }
        }
        return form
    }

    /// The value of the Authorization header; nil when the credentials travel in the form.
    package static func authorization(_ settings: IntrospectionSettings) -> Secret? {
        guard settings.clientAuthentication == .basic else { return nil }
        var pair: [UInt8] = []
        switch settings.credentialEncoding {
        case .form:
            encode(settings.clientID.utf8, into: &pair)
            pair.append(UInt8(ascii: ":"))
            settings.clientSecret.reveal { encode($0, into: &pair) }
        case .raw:
            pair.append(contentsOf: settings.clientID.utf8)
            pair.append(UInt8(ascii: ":"))
            settings.clientSecret.reveal { pair.append(contentsOf: $0) }
        }
        return Secret("Basic " + Data(pair).base64EncodedString())
    }
}
