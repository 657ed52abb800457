// From the words an issuer uses to the rights they mean here.

package import Contract

/// Whose words an issuer's scopes are.
package enum Vocabulary: Sendable, Equatable {
    /// Our own issuer: every scope means what DESIGN.md section 5 says.
    case local
    /// Somebody else's. What the settings map counts as mapped; besides that only words with a colon
    /// (`infer:iris`, `models:read`) count. A bare `admin` grants nothing unless it is mapped: many servers
    /// have a scope of that name which means something else.
    case foreign
}

/// The settings' `auth.scopes`: a foreign scope and what it grants here.
package struct ScopePolicy: Sendable, Equatable {
    private let foreign: [String: [Scope]]

    package init() { foreign = [:] }

    /// Throws CONFIGURATION when a scope would grant something that does not exist here.
    package init(foreign: [String: [String]]) throws(GatewayError) {
        var parsed: [String: [Scope]] = [:]
        for (word, scopes) in foreign {
            for text in scopes {
                guard let scope = Scope(text) else {
                    throw GatewayError(
                        .configuration, "auth.scopes.\(word) grants '\(text)', which is no scope",
                        mend: "Use one of: \(Scope.vocabulary)")
                }
                parsed[word, default: []].append(scope)
            }
        }
        self.foreign = parsed
    }

    package func entitlement(for scopes: [String], vocabulary: Vocabulary) -> Entitlement {
        var entitlement = Entitlement()
        for word in scopes {
            if vocabulary == .foreign, let mapped = foreign[word] {
                for scope in mapped { entitlement.add(scope) }
            } else if let scope = Scope(word), vocabulary == .local || scope != .admin {
                entitlement.add(scope)
            }
        }
        return entitlement
    }
}
