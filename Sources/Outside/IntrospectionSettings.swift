// How one introspection endpoint is asked, checked before anything is sent to it.

package import Contract

package struct IntrospectionSettings: Sendable {
    package enum ClientAuthentication: String, Sendable, CaseIterable {
        /// `client_secret_basic`: an Authorization header (RFC 6749 section 2.3.1).
        case basic
        /// `client_secret_post`: members of the form.
        case post
        /// An assertion signed by a key of ours (RFC 7523).
        case privateKeyJWT = "private_key_jwt"
        /// A client certificate (RFC 8705 section 2); the form names the client.
        case tls
    }

    package enum Answers: String, Sendable, CaseIterable {
        case json
        /// Signed (RFC 9701).
        case jwt
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
    /// `private_key_jwt`: the key in PEM, its name at the issuer, its algorithm (nil: as the key is) and whom
    /// assertions are for (nil: ``url``).
    package var assertionKey = Secret("")
    package var assertionKeyID: String?
    package var assertionAlgorithm: SignatureAlgorithm?
    package var assertionAudience: String?
    /// `tls`.
    package var clientCertificate: ClientCertificate?
    package var answers = Answers.json
    /// Whose signatures are believed; needed for signed answers, with ``issuer``.
    package var signatures: SignatureSettings?
    /// A PEM file with the authorities to trust; nil: the system's.
    package var trustedCertificates: String?
    /// One of them must be among the answer's `aud`; empty: any.
    package var audiences: [String] = []
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
        if let fault = IssuerConnection.fault(
            of: url, allowsPlaintextOnLoopback: allowsPlaintextOnLoopback)
        {
            throw GatewayError(
                .configuration, "\(setting).url \(fault)",
                mend: "A token and the client's secret travel on this connection")
        }
        guard !clientID.isEmpty else {
            throw GatewayError(.configuration, "\(setting) needs client_id")
        }
        let isProvable =
            switch clientAuthentication {
            case .basic, .post: !clientSecret.isEmpty
            case .privateKeyJWT: !assertionKey.isEmpty
            case .tls: clientCertificate != nil
            }
        guard isProvable else {
            throw GatewayError(
                .configuration,
                "\(setting) lacks what client_auth: \(clientAuthentication.rawValue) needs",
                mend: "basic and post need client_secret_file, private_key_jwt needs key_file, "
                    + "tls needs client_certificate and client_key")
        }
        guard answers == .json || (signatures != nil && issuer != nil) else {
            throw GatewayError(
                .configuration, "\(setting): signed answers need issuer and its keys")
        }
        guard (0...30).contains(skewSeconds) else {
            throw GatewayError(.configuration, "\(setting): a skew of 0 to 30 seconds is allowed")
        }
    }
}
