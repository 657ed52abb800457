// Checks signatures with an issuer's keys: for tokens that are read here and for signed answers. What the claims
// mean is decided elsewhere.

package import Contract
import Files
import Logging
import NIOCore

/// Whose signatures are believed, and where the keys are.
package struct SignatureSettings: Sendable, Equatable {
    package var source: KeySource
    /// Others are refused, whatever a key or a token says.
    package var algorithms: Set<SignatureAlgorithm> = [.rs256, .es256]
    package var keysBytesMax = 64 << 10

    package init(source: KeySource) { self.source = source }

    /// Keys from a file (JWKS). Reads it: call at start. Throws CONFIGURATION.
    package static func keys(file: String, setting: String) throws(GatewayError) -> KeySource {
        do {
            guard let bytes = try OpenFile(path: file).readAll(byteCountMax: 64 << 10) else {
                throw GatewayError(.configuration, "\(setting): \(file) has more than 64 KiB")
            }
            return .fixed(try KeySet.read(bytes))
        } catch let error as GatewayError {
            throw error
        } catch {
            throw GatewayError(.configuration, "\(setting): \(file) holds no keys: \(error)")
        }
    }
}

/// Why a signature is not believed.
enum SignatureRefusal: String, Sendable {
    case algorithm = "its algorithm is not allowed"
    case unknownKey = "the issuer has no such key"
    case signature = "its signature is not the issuer's"
}

struct SignedTokens: Sendable {
    let algorithms: Set<SignatureAlgorithm>
    let keeper: KeyKeeper

    /// - Parameter setting: For messages, like `auth.issuers.main`.
    ///
    /// Throws CONFIGURATION.
    init(
        _ settings: SignatureSettings, issuer: String, setting: String, authority: String?,
        timeout: Nanoseconds, allowsPlaintextOnLoopback: Bool, group: any EventLoopGroup,
        logger: Logger, limits: KeyCareLimits = KeyCareLimits(),
        clock: @escaping @Sendable () -> Instant
    ) throws(GatewayError) {
        try SignatureSupport.require(setting)
        guard !settings.algorithms.isEmpty else {
            throw GatewayError(.configuration, "\(setting).algorithms allows none")
        }
        let address: (setting: String, url: String)?
        switch settings.source {
        case .fixed: address = nil
        case .address(let url): address = ("jwks_url", url)
        case .discovery(let issuer): address = ("issuer", issuer)
        }
        var fetch: KeyFetch?
        if let address {
            if let fault = IssuerConnection.fault(
                of: address.url, allowsPlaintextOnLoopback: allowsPlaintextOnLoopback)
            {
                throw GatewayError(
                    .configuration, "\(setting).\(address.setting) \(fault)",
                    mend: "Keys are taken from there")
            }
            fetch = KeyFetch(
                source: settings.source,
                client: try IssuerConnection.client(
                    setting: setting, authority: authority, certificate: nil, timeout: timeout,
                    connectionsMax: 1, group: group),
                timeout: timeout, bytesMax: settings.keysBytesMax,
                allowsPlaintextOnLoopback: allowsPlaintextOnLoopback)
        }
        algorithms = settings.algorithms
        keeper = KeyKeeper(
            issuer: issuer, source: settings.source, fetch: fetch, limits: limits, logger: logger,
            clock: clock)
    }

    func close() async throws { try await keeper.close() }

    /// Nil when the signature is believed. Throws UNAVAILABLE when the keys are not there.
    func check(_ token: SignedToken) async throws(CallFailure) -> SignatureRefusal? {
        guard let algorithm = SignatureAlgorithm(rawValue: token.algorithm),
            algorithms.contains(algorithm)
        else { return .algorithm }
        guard let key = try await keeper.key(id: token.keyID, algorithm: algorithm) else {
            return .unknownKey
        }
        let isGood = await key.verifies(
            token.signature, of: token.signedBytes, by: algorithm)
        return isGood ? nil : .signature
    }
}
