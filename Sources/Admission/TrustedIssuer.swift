// Which issuer is asked about a token: chosen by the settings, never by trying all of them.

package import Contract
private import Synchronization

/// One issuer the gateway believes.
package struct TrustedIssuer: Sendable {
    package var name: String
    package var verifier: any TokenVerifier
    package var vocabulary: Vocabulary
    /// The longest time an answer is believed; a revocation works after this time at the latest.
    package var maxTTL: Nanoseconds
    /// The issuer is asked only about tokens which begin with this; empty for all.
    package var tokenPrefix: String
    /// The issuer is asked only on sessions whose SNI is one of these; empty for all.
    package var serverNames: [String]
    /// How long after its time an answer is still believed while the issuer cannot be reached; zero: not at all.
    package var stale: Nanoseconds
    /// False when a look-up needs no question to the issuer, so that its failures say nothing about it: no breaker.
    package var asksPerToken: Bool
    /// Told apart from every other issuer that was made: answers are believed for as long as it is the same.
    package let opening: UInt64

    package static let staleMax = Nanoseconds.seconds(60)
    private static let openings = Atomic<UInt64>(0)

    package init(
        name: String, verifier: any TokenVerifier, vocabulary: Vocabulary,
        maxTTL: Nanoseconds = .seconds(30), tokenPrefix: String = "", serverNames: [String] = [],
        stale: Nanoseconds = .zero, asksPerToken: Bool = true
    ) {
        self.stale = min(stale, TrustedIssuer.staleMax)
        self.asksPerToken = asksPerToken
        opening = TrustedIssuer.openings.add(1, ordering: .relaxed).newValue
        self.name = name
        self.verifier = verifier
        self.vocabulary = vocabulary
        self.maxTTL = maxTTL
        self.tokenPrefix = tokenPrefix
        self.serverNames = serverNames
    }
}

/// The issuers in the order they are considered: a server name binds tighter than a prefix, a longer prefix
/// tighter than a shorter one.
package struct IssuerChoice: Sendable {
    package let issuers: [TrustedIssuer]

    /// Throws CONFIGURATION when there is no issuer or two could be meant by the same token.
    package init(_ given: [TrustedIssuer]) throws(GatewayError) {
        guard !given.isEmpty else {
            throw GatewayError(.configuration, "auth.issuers is empty: nobody could call")
        }
        issuers = given.sorted { left, right in
            let order = (left.serverNames.isEmpty ? 0 : 1, left.tokenPrefix.utf8.count)
            return order > (right.serverNames.isEmpty ? 0 : 1, right.tokenPrefix.utf8.count)
        }
        var bindings: [String: String] = [:]
        for issuer in issuers {
            for server in issuer.serverNames.isEmpty ? [""] : issuer.serverNames {
                let binding = "\(server.lowercased()) \(issuer.tokenPrefix)"
                if let other = bindings.updateValue(issuer.name, forKey: binding) {
                    throw GatewayError(
                        .configuration,
                        "issuers '\(other)' and '\(issuer.name)' could be meant by the same token",
                        mend: "Give each a token_prefix or a listener name of its own")
                }
            }
        }
    }

    /// Index of the one issuer that is asked, or nil when no issuer is meant.
    package func index(token: [UInt8], serverName: String) -> Int? {
        issuers.firstIndex { issuer in
            (issuer.serverNames.isEmpty
                || issuer.serverNames.contains { $0.lowercased() == serverName.lowercased() })
                && token.starts(with: issuer.tokenPrefix.utf8)
        }
    }
}
