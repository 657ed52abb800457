// Issuers without introspection (Cognito, Entra ID): their tokens are read and checked here, by their public keys.
// Admission asks through `TokenVerifier`; no network is touched for a token whose key is known.

package import Contract
import Foundation
package import Logging
package import NIOCore

package struct JWKSSettings: Sendable {
    package var expectation: TokenExpectation
    package var signatures: SignatureSettings
    /// A PEM file with the authorities to trust; nil: the system's.
    package var trustedCertificates: String?
    /// For one document.
    package var timeout = Nanoseconds.seconds(2)
    package var tokenBytesMax = 16 << 10
    package var keyCare = KeyCareLimits()
    /// Permits `http://` to this very machine.
    package var allowsPlaintextOnLoopback = false

    package init(expectation: TokenExpectation, signatures: SignatureSettings) {
        self.expectation = expectation
        self.signatures = signatures
    }
}

/// Usable from every thread. ``close()`` must be called before it is dropped.
package final class JWKSVerifier: TokenVerifier, Sendable {
    private let settings: JWKSSettings
    private let signed: SignedTokens
    private let logger: Logger
    private let wallClock: @Sendable () -> Int64

    /// - Parameter wallClock: seconds since 1970.
    ///
    /// Reads the files that are named: call at start. Throws CONFIGURATION.
    package init(
        _ settings: JWKSSettings, group: any EventLoopGroup, logger: Logger,
        clock: @escaping @Sendable () -> Instant = { Instant.now() },
        wallClock: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }
    ) throws(GatewayError) {
        let name = settings.expectation.issuerName
        guard !settings.expectation.audiences.isEmpty, !settings.expectation.issuer.isEmpty else {
            throw GatewayError(.configuration, "auth.issuers.\(name) needs issuer and audience")
        }
        guard (0...30).contains(settings.expectation.skewSeconds) else {
            throw GatewayError(
                .configuration, "auth.issuers.\(name): a skew of 0 to 30 seconds is allowed")
        }
        self.settings = settings
        self.logger = logger
        self.wallClock = wallClock
        signed = try SignedTokens(
            settings.signatures, issuer: name, setting: "auth.issuers.\(name)",
            authority: settings.trustedCertificates, timeout: settings.timeout,
            allowsPlaintextOnLoopback: settings.allowsPlaintextOnLoopback, group: group,
            logger: logger, limits: settings.keyCare, clock: clock)
    }

    /// Ends the connections.
    package func close() async throws { try await signed.close() }

    /// Throws UNAVAILABLE (ISSUER_UNAVAILABLE) when the issuer's keys cannot be had.
    package func verify(_ token: Secret) async throws(CallFailure) -> Verdict {
        let read = token.reveal { bytes -> Result<SignedToken, SignedTokenFault> in
            do throws(SignedTokenFault) {
                return .success(
                    try SignedToken.read(bytes, byteCountMax: settings.tokenBytesMax))
            } catch {
                return .failure(error)
            }
        }
        let token: SignedToken
        switch read {
        case .success(let value): token = value
        case .failure(let fault): return refuse(fault.description)
        }
        // Cheap, and most tokens of others end here; what counts is what follows.
        guard token.payload["iss"] == .string(settings.expectation.issuer) else {
            return refuse(TokenRefusal.issuer.description)
        }
        if let refusal = try await signed.check(token) { return refuse(refusal.rawValue) }
        do throws(TokenRefusal) {
            return try TokenClaims.judge(
                token, expectation: settings.expectation, now: wallClock())
        } catch {
            return refuse(error.description)
        }
    }

    private func refuse(_ why: String) -> Verdict {
        logger.debug(
            "A token is refused",
            metadata: [
                "auth.issuer": "\(settings.expectation.issuerName)", "auth.why": "\(why)",
            ])
        return .inactive
    }
}
