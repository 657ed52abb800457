// How one introspection endpoint is asked, checked before anything is sent to it.

package import Contract
import Foundation

package struct IntrospectionSettings: Sendable {
    package enum ClientAuthentication: String, Sendable, CaseIterable {
        /// `client_secret_basic`: an Authorization header (RFC 6749 section 2.3.1).
        case basic
        /// `client_secret_post`: members of the form.
        case post
    }

    package enum CredentialEncoding: String, Sendable, CaseIterable {
        /// Id and secret are form-encoded before base64, as RFC 6749 section 2.3.1 says.
        case form
        /// As they are: for servers that do not decode them.
        case raw
    }

    /// The issuer's name in the settings, for messages and identities.
    package var name: String
    /// `https://...`
    package var url: String
    package var clientID: String
    package var clientSecret: Secret
    package var clientAuthentication = ClientAuthentication.basic
    package var credentialEncoding = CredentialEncoding.form
    /// A PEM file with the authorities to trust; nil: the system's.
    package var trustedCertificates: String?
    /// Must be among the answer's `aud`.
    package var audience: String?
    /// Must be the answer's `iss` when it has one.
    package var issuer: String?
    /// From the question to the last byte of the answer.
    package var timeout = Nanoseconds.seconds(2)
    package var answerBytesMax = 64 << 10
    package var connectionsMax = 16
    /// How far the issuer's clock may be off.
    package var skewSeconds: Int64 = 30
    /// Permits `http://` to this very machine, for tests and for a server behind a local TLS proxy.
    package var allowsPlaintextOnLoopback = false

    package init(name: String, url: String, clientID: String, clientSecret: Secret) {
        self.name = name
        self.url = url
        self.clientID = clientID
        self.clientSecret = clientSecret
    }

    /// Throws CONFIGURATION naming what is wrong.
    func check() throws(GatewayError) {
        let setting = "auth.issuers.\(name)"
        guard let parts = URLComponents(string: url), let host = parts.host, !host.isEmpty else {
            throw GatewayError(.configuration, "\(setting).url is no URL")
        }
        let loopback = ["localhost", "127.0.0.1", "::1", "[::1]"].contains(host)
        guard
            parts.scheme == "https"
                || (parts.scheme == "http" && loopback && allowsPlaintextOnLoopback)
        else {
            throw GatewayError(
                .configuration, "\(setting).url must begin with https://",
                mend: "A token and the client's secret travel on this connection")
        }
        guard parts.user == nil, parts.password == nil, parts.fragment == nil else {
            throw GatewayError(
                .configuration, "\(setting).url must hold neither credentials nor a fragment",
                mend: "Use client_id and client_secret_file")
        }
        guard !clientID.isEmpty, !clientSecret.isEmpty else {
            throw GatewayError(
                .configuration, "\(setting) needs client_id and client_secret_file")
        }
        guard (0...30).contains(skewSeconds) else {
            throw GatewayError(.configuration, "\(setting): a skew of 0 to 30 seconds is allowed")
        }
    }
}
