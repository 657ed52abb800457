// The issuers of the settings, opened: who is asked about a token.

import Admission
import Contract
import Issuer
import Logging
import NIOCore
import Outside

/// Opened issuers, and what has to be closed when the gateway stops.
struct Issuers: Sendable {
    private(set) var trusted: [TrustedIssuer] = []
    private var stores: [TokenStore] = []
    /// The embedded issuer, when the settings have it.
    var embedded: TokenStore? { stores.first }
    private var clients: [IntrospectionClient] = []

    static func open(
        _ settings: Settings, group: any EventLoopGroup, logger: Logger
    ) async throws -> Issuers {
        var issuers = Issuers()
        do {
            for issuer in settings.auth.issuers {
                try await issuers.open(issuer, state: settings.state, group: group, logger: logger)
            }
            return issuers
        } catch {
            try await issuers.close()
            throw error
        }
    }

    private mutating func open(
        _ settings: IssuerSettings, state: String, group: any EventLoopGroup, logger: Logger
    ) async throws {
        let verifier: any TokenVerifier
        switch settings.kind {
        case .embedded:
            let store = try await TokenStore.open(
                folder: state, issuer: settings.name)
            stores.append(store)
            verifier = store
        case .introspection:
            let client = try IntrospectionClient(
                IntrospectionSettings(settings), group: group, logger: logger)
            clients.append(client)
            verifier = client
        }
        trusted.append(
            TrustedIssuer(
                name: settings.name, verifier: verifier,
                vocabulary: settings.kind == .embedded ? .local : .foreign,
                maxTTL: settings.timeToLiveMax, tokenPrefix: settings.tokenPrefix,
                serverNames: settings.serverNames))
    }

    func close() async throws {
        for client in clients { try await client.close() }
        for store in stores { try await store.close() }
    }
}

extension IntrospectionSettings {
    init(_ settings: IssuerSettings) {
        self.init(
            name: settings.name, url: settings.url, clientID: settings.clientID,
            clientSecret: settings.clientSecret.secret)
        clientAuthentication =
            switch settings.clientAuthentication {
            case .basic: .basic
            case .post: .post
            }
        credentialEncoding =
            switch settings.credentialEncoding {
            case .form: .form
            case .raw: .raw
            }
        trustedCertificates = settings.authority
        audience = settings.audience
        issuer = settings.issuer
        timeout = settings.timeout
    }
}
