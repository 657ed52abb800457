// Whether an issuer answers this gateway, asked once and without a caller: for `sluice doctor`.

import AsyncHTTPClient
import Contract
package import NIOCore

/// Why an issuer is of no use to this gateway, for the operator. Never holds a secret.
package struct IssuerTrouble: Error, Sendable {
    package var why: String
}

extension IntrospectionClient {
    /// Asks about a token that nobody has: our credentials are looked at and the answer is read as always.
    package func probe() async throws(IssuerTrouble) {
        do {
            try await askAboutNothing()
        } catch let failure as CallFailure {
            throw IssuerTrouble(why: failure.message)
        } catch let fault as AnswerFault {
            throw IssuerTrouble(why: fault.description)
        } catch {
            throw IssuerTrouble(why: IntrospectionTrouble(error).why)
        }
    }
}

extension JWKSSettings {
    /// Fetches the issuer's keys and says how many there are. Throws ``IssuerTrouble``, or CONFIGURATION.
    package func probe(group: any EventLoopGroup) async throws -> Int {
        if case .fixed(let keys) = signatures.source { return keys.keys.count }
        let client = try IssuerConnection.client(
            setting: "auth.issuers.\(expectation.issuerName)", authority: trustedCertificates,
            certificate: nil, timeout: timeout, connectionsMax: 1, group: group)
        let fetch = KeyFetch(
            source: signatures.source, client: client, timeout: timeout,
            bytesMax: signatures.keysBytesMax, allowsPlaintextOnLoopback: allowsPlaintextOnLoopback)
        let result = await withCheckedContinuation { continuation in
            // Called within twice the timeout, whatever happens.
            fetch.start { continuation.resume(returning: $0) }
        }
        try await fetch.close()
        switch result {
        case .success(let fetched): return fetched.keys.keys.count
        case .failure(let trouble): throw IssuerTrouble(why: trouble.why)
        }
    }
}
