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
    private let foreign: [String: [String]]

    package init() { foreign = [:] }

    /// Throws CONFIGURATION when a scope would grant something that does not exist here.
    package init(foreign: [String: [String]]) throws(GatewayError) {
        for (word, scopes) in foreign {
            for scope in scopes {
                var probe = Grants()
                guard probe.add(scope) else {
                    throw GatewayError(
                        .configuration, "auth.scopes.\(word) grants '\(scope)', which is no scope",
                        mend: "Use infer:PATTERN, models:read, models:admin, tokens:admin or admin")
                }
            }
        }
        self.foreign = foreign
    }

    package func grants(for scopes: [String], vocabulary: Vocabulary) -> Grants {
        var grants = Grants()
        for scope in scopes {
            switch vocabulary {
            case .local: grants.add(scope)
            case .foreign:
                if let mapped = foreign[scope] {
                    for local in mapped { grants.add(local) }
                } else if scope.utf8.contains(UInt8(ascii: ":")) {
                    grants.add(scope)
                }
            }
        }
        return grants
    }
}
