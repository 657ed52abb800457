// `tls` and `proxy`: what the callers' port shows, whom it believes, and who may speak for others.

package import Contract

/// `tls`: the callers' port.
package struct TransportSettings: Sendable, Equatable {
    package enum ClientCertificates: String, Sendable, CaseIterable { case off, optional, required }
    package enum Version: String, Sendable, CaseIterable {
        case tls12 = "1.2"
        case tls13 = "1.3"
    }

    /// PEM; nil, with `key`: the gateway makes its own in the state folder.
    package var certificate: String?
    package var key: String?
    /// DER; an OCSP answer for `certificate`.
    package var ocsp: String?
    /// Shown to clients that ask for one of their names.
    package var certificates: [CertificateSettings] = []
    /// PEM; who may sign client certificates.
    package var clientAuthority: String?
    /// PEM; what those have revoked.
    package var clientRevocation: String?
    package var clientCertificates = ClientCertificates.off
    package var minimumVersion = Version.tls12
    /// How often the files are looked at; zero: only when the settings are loaded again.
    package var watch = Nanoseconds.seconds(5)
    /// The file of ticket keys that several processes share; nil: keys of this process alone.
    package var ticketKeys: String?

    package init() {}
}

/// One of `tls.certificates`.
package struct CertificateSettings: Sendable, Equatable {
    package var certificate = ""
    package var key = ""
    package var ocsp: String?

    /// The keys of one of `tls.certificates`.
    package static var keys: [String] { rules.map(\.key) }

    static let rules: [SettingRule<CertificateSettings>] = [
        .text("certificate", Settings.path, \.certificate, Settings.isPath),
        .text("key", Settings.path, \.key, Settings.isPath).hidden,
        .optionalText("ocsp", Settings.path, \.ocsp, Settings.isPath),
    ]
}

/// `proxy`: load balancers in front.
package struct ProxySettings: Sendable, Equatable {
    /// Addresses and networks whose connections begin with a PROXY header, version 2.
    package var from: [String] = []

    package init() {}
}

extension Settings {
    static let transportRules: [SettingRule<Settings>] = [
        .optionalText("tls.certificate", path, \.tls.certificate, isPath),
        .optionalText("tls.key", path, \.tls.key, isPath).hidden,
        .optionalText("tls.ocsp", path, \.tls.ocsp, isPath),
        .optionalText("tls.client_ca", path, \.tls.clientAuthority, isPath),
        .optionalText("tls.client_crl", path, \.tls.clientRevocation, isPath),
        .choice("tls.client_certificates", \.tls.clientCertificates),
        .choice("tls.minimum_version", \.tls.minimumVersion),
        .time("tls.watch", .milliseconds(50)...(.seconds(86_400)), \.tls.watch, orZero: true),
        .optionalText("tls.ticket_keys", path, \.tls.ticketKeys, isPath).hidden,
        .list(
            "proxy.from", "a list of addresses and networks, like [10.0.0.0/8, 127.0.0.1]",
            \.proxy.from, { AddressBlock($0) != nil }),
    ]

    static let handshakeRules: [SettingRule<Settings>] = [
        .count("limits.handshakes", 1...10_000_000, \.limits.handshakes),
        .count(
            "limits.handshakes_per_address", 0...10_000_000, \.limits.handshakesPerAddress),
    ]
}
