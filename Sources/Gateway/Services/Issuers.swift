// The issuers of the settings, opened: who is asked about a token. New settings are opened beside the old ones:
// the gate takes the new issuers, and what only the old ones used is closed after the look-ups in progress.

import Admission
import Contract
import Issuer
import Logging
import NIOCore
import Outside

/// Opened issuers, and what has to be closed when they are not used any more.
struct Issuers: Sendable {
    private enum Resource: Sendable {
        case store(TokenStore)
        case introspection(IntrospectionClient)
        case keys(JWKSVerifier)

        var identifier: ObjectIdentifier {
            switch self {
            case .store(let store): ObjectIdentifier(store)
            case .introspection(let client): ObjectIdentifier(client)
            case .keys(let verifier): ObjectIdentifier(verifier)
            }
        }

        var verifier: any TokenVerifier {
            switch self {
            case .store(let store): store
            case .introspection(let client): client
            case .keys(let verifier): verifier
            }
        }

        func close() async throws {
            switch self {
            case .store(let store): try await store.close()
            case .introspection(let client): try await client.close()
            case .keys(let verifier): try await verifier.close()
            }
        }
    }

    private struct Opened: Sendable {
        var settings: IssuerSettings
        var state: String
        var resource: Resource
        /// Made once: answers are believed for as long as it is the same.
        var trusted: TrustedIssuer

        init(_ settings: IssuerSettings, state: String, resource: Resource) {
            self.settings = settings
            self.state = state
            self.resource = resource
            trusted = TrustedIssuer(
                name: settings.name, verifier: resource.verifier,
                vocabulary: settings.kind == .embedded ? .local : .foreign,
                maxTTL: settings.timeToLiveMax, tokenPrefix: settings.tokenPrefix,
                serverNames: settings.serverNames, stale: settings.stale,
                // A token whose key is known needs no question.
                asksPerToken: settings.kind != .jwks)
        }
    }

    private var opened: [Opened] = []

    /// For the gate, in the settings' order.
    var trusted: [TrustedIssuer] { opened.map(\.trusted) }

    /// The embedded issuer, when the settings have it.
    var embedded: TokenStore? {
        for issuer in opened { if case .store(let store) = issuer.resource { return store } }
        return nil
    }

    /// Opens all of them, or none. Throws CONFIGURATION, or what the embedded issuer's file says.
    /// - Parameter previous: Opened issuers that go on: the embedded one's file, and connections and keys of those
    ///   whose settings are the same and name no files, are taken over from them.
    static func open(
        _ settings: Settings, group: any EventLoopGroup, logger: Logger,
        keeping previous: Issuers = Issuers()
    ) async throws -> Issuers {
        var issuers = Issuers()
        do {
            for issuer in settings.auth.issuers {
                guard let kept = previous.opened(for: issuer, state: settings.state) else {
                    let resource = try await open(
                        issuer, state: settings.state, group: group, logger: logger)
                    issuers.opened.append(
                        previous.renewed(issuer, state: settings.state, resource: resource))
                    continue
                }
                issuers.opened.append(
                    kept.settings == issuer
                        ? kept : Opened(issuer, state: settings.state, resource: kept.resource))
            }
            return issuers
        } catch {
            try await issuers.close(except: previous)
            throw error
        }
    }

    /// What an issuer said stays believed when only the files it is reached with were read again.
    private func renewed(
        _ settings: IssuerSettings, state: String, resource: Resource
    ) -> Opened {
        var new = Opened(settings, state: state, resource: resource)
        guard let old = opened.first(where: { $0.settings == settings && $0.state == state })
        else { return new }
        new.trusted = old.trusted
        new.trusted.verifier = resource.verifier
        return new
    }

    private func opened(for settings: IssuerSettings, state: String) -> Opened? {
        opened.first { old in
            switch settings.kind {
            case .embedded:
                old.settings.kind == .embedded && old.settings.name == settings.name
                    && old.state == state
            // A file may have another content under the same name.
            case .introspection, .jwks:
                old.settings == settings && settings.files.allSatisfy { $0.path == nil }
            }
        }
    }

    private static func open(
        _ settings: IssuerSettings, state: String, group: any EventLoopGroup, logger: Logger
    ) async throws -> Resource {
        switch settings.kind {
        case .embedded:
            return .store(try await TokenStore.open(folder: state, issuer: settings.name))
        case .introspection:
            if settings.wantedAudiences.isEmpty {
                logger.warning(
                    "An issuer's tokens for any audience are let in",
                    metadata: ["auth.issuer": "\(settings.name)"])
            }
            return .introspection(
                try await IntrospectionClient.open(
                    IntrospectionSettings(settings), group: group, logger: logger))
        case .jwks:
            return .keys(
                try JWKSVerifier(JWKSSettings(settings), group: group, logger: logger))
        }
    }

    /// Closes what `kept` does not use. Questions in progress fail: after a change of settings wait for them, the
    /// gate's `lookupTime`.
    func close(except kept: Issuers = Issuers()) async throws {
        let used = Set(kept.opened.map(\.resource.identifier))
        for issuer in opened where !used.contains(issuer.resource.identifier) {
            try await issuer.resource.close()
        }
    }
}

extension IntrospectionSettings {
    init(_ settings: IssuerSettings) throws(GatewayError) {
        self.init(
            name: settings.name, url: settings.url, clientID: settings.clientID,
            clientSecret: settings.clientSecret.secret)
        clientAuthentication = settings.clientAuthentication
        credentialEncoding =
            switch settings.credentialEncoding {
            case .form: .form
            case .raw: .raw
            }
        assertionKey = settings.assertionKey.secret
        assertionKeyID = settings.assertionKeyID
        assertionAlgorithm = SignatureAlgorithm(rawValue: settings.assertionAlgorithm.rawValue)
        assertionAudience = settings.assertionAudience
        if let chain = settings.clientCertificate, let key = settings.clientKey {
            clientCertificate = ClientCertificate(chain: chain, key: key)
        }
        answers = settings.answers
        if answers == .jwt { signatures = try SignatureSettings(settings) }
        trustedCertificates = settings.authority
        audiences = settings.wantedAudiences
        issuer = settings.issuer
        timeout = settings.timeout
        allowsPlaintextOnLoopback = true
    }
}

extension JWKSSettings {
    init(_ settings: IssuerSettings) throws(GatewayError) {
        var expectation = TokenExpectation(
            issuerName: settings.name, issuer: settings.issuer ?? "",
            audiences: settings.wantedAudiences)
        expectation.audienceClaim = settings.audienceClaim
        expectation.clientClaims = settings.clientClaims
        expectation.scopeClaims = settings.scopeClaims
        self.init(expectation: expectation, signatures: try SignatureSettings(settings))
        trustedCertificates = settings.authority
        timeout = settings.timeout
        allowsPlaintextOnLoopback = true
    }
}

extension SignatureSettings {
    init(_ settings: IssuerSettings) throws(GatewayError) {
        let source: KeySource
        if let file = settings.keysFile {
            source = try Self.keys(
                file: file, setting: "auth.issuers.\(settings.name).jwks_file")
        } else if let url = settings.keysURL {
            source = .address(url)
        } else {
            source = .discovery(issuer: settings.issuer ?? "")
        }
        self.init(source: source)
        algorithms = Set(settings.algorithms.compactMap(SignatureAlgorithm.init))
    }
}
