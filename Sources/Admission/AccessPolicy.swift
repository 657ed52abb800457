// Who may do what (docs/decisions/0014): scopes, the policy's rules, owners, certificates. Facts in, grants out.

package import Contract

/// A word, or the beginning of words and a star. Compares bytes.
package struct TextPattern: Sendable, Equatable {
    package let text: String
    private let isPrefix: Bool

    package init(_ pattern: String) {
        isPrefix = pattern.hasSuffix("*")
        text = isPrefix ? String(pattern.dropLast()) : pattern
    }

    package func matches(_ word: String) -> Bool {
        isPrefix
            ? word.utf8.starts(with: text.utf8)
            : word.utf8.count == text.utf8.count && word.utf8.elementsEqual(text.utf8)
    }
}

/// One of `auth.policy`. It fits a caller when everything it names is so.
package struct PolicyRule: Sendable, Equatable {
    package var name = ""
    package var issuer: TextPattern?
    package var client: TextPattern?
    package var subject: TextPattern?
    /// One of the token's own scopes.
    package var scope: TextPattern?
    /// The subject of the session's certificate.
    package var certificate: TextPattern?
    /// One value of each of these claims.
    package var claims: [String: TextPattern] = [:]
    /// Nothing the rule gives goes beyond these models; empty: all.
    package var models: [ModelPattern] = []
    /// What it grants; nil: what the token's own scopes grant.
    package var allow: [Scope]?
    /// Empty: the default plan.
    package var plan = ""

    package init() {}

    func fits(_ identity: Identity, certificate shown: String) -> Bool {
        func fits(_ pattern: TextPattern?, _ word: String) -> Bool {
            pattern.map { !word.isEmpty && $0.matches(word) } ?? true
        }
        return fits(issuer, identity.issuer) && fits(client, identity.client)
            && fits(subject, identity.subject) && fits(certificate, shown)
            && (scope.map { pattern in identity.scopes.contains { pattern.matches($0) } } ?? true)
            && claims.allSatisfy { name, pattern in
                identity.claims[name]?.contains { pattern.matches($0) } ?? false
            }
    }
}

/// One of `auth.owners`: only these callers see and use the models, whatever else grants them.
package struct Ownership: Sendable, Equatable {
    package var models: ModelPattern
    package var clients: [TextPattern] = []
    package var subjects: [TextPattern] = []

    package init(models: ModelPattern) { self.models = models }

    func isOwner(_ identity: Identity) -> Bool {
        clients.contains { !identity.client.isEmpty && $0.matches(identity.client) }
            || subjects.contains { !identity.subject.isEmpty && $0.matches(identity.subject) }
    }
}

/// One of `auth.certificates`: who a caller is that shows a certificate and no token.
package struct CertificateIdentity: Sendable, Equatable {
    /// RFC 4514, byte for byte.
    package var subject = ""
    package var client = ""
    package var scopes: [String] = []

    package init() {}
}

/// `auth.max_ttl_by_scope`: how old an answer may be for calls that need a scope.
package struct ScopeAges: Sendable, Equatable {
    private var ages: [Scope: Nanoseconds] = [:]

    package init(_ ages: [Scope: Nanoseconds] = [:]) { self.ages = ages }

    package var isEmpty: Bool { ages.isEmpty }

    /// The strictest age for this call; nil: the issuer's `max_ttl` alone.
    package func ageMax(_ need: CallNeed) -> Nanoseconds? {
        if ages.isEmpty { return nil }
        switch need.method {
        case .infer, .inferStream:
            var strictest: Nanoseconds?
            for case (.infer(let pattern), let age) in ages
            where ModelPatterns([pattern]).contains(need.model) {
                strictest = min(strictest ?? age, age)
            }
            return strictest
        case .modelMetadata, .modelReady, .repositoryIndex, .modelStatistics, .modelAccount:
            return ages[.modelsRead]
        case .repositoryLoad, .repositoryUnload, .modelControl, .modelAlias:
            return ages[.modelsAdmin]
        case .gatewayControl:
            return [ages[.tokensAdmin], ages[.admin]].compactMap { $0 }.min()
        case .serverMetadata, .serverReady, .healthWatch, .accessCheck: return nil
        }
    }
}

/// What a call is about, as far as the age of an answer depends on it.
package struct CallNeed: Sendable, Hashable {
    package var method: Method
    package var model: String

    package init(method: Method, model: String) {
        self.method = method
        self.model = model
    }
}

/// Everything that decides, as it stands in the settings.
package struct AccessPolicy: Sendable, Equatable {
    package var scopes: ScopePolicy
    /// Empty: scopes alone decide.
    package var rules: [PolicyRule] = []
    package var owners: [Ownership] = []
    package var certificates: [CertificateIdentity] = []
    package var ages = ScopeAges()

    package init(scopes: ScopePolicy = ScopePolicy()) { self.scopes = scopes }

    /// The issuer's name of callers known by their certificate.
    package static let certificateIssuer = "certificate"

    package func grants(
        for identity: Identity, vocabulary: Vocabulary, certificate: String = ""
    ) -> Grants {
        let own = scopes.entitlement(for: identity.scopes, vocabulary: vocabulary)
        var grants = Grants()
        grants.hasPolicy = !rules.isEmpty
        if rules.isEmpty { grants.entitlements = [own] }
        for rule in rules {
            if rule.certificate != nil { grants.looksAtCertificate = true }
            guard rule.fits(identity, certificate: certificate) else { continue }
            var entitlement = rule.allow.map { Entitlement($0) } ?? own
            entitlement.rule = rule.name
            entitlement.plan = rule.plan
            if !rule.models.isEmpty { entitlement.models = ModelPatterns(rule.models) }
            grants.entitlements.append(entitlement)
        }
        grants.owned = owners.map {
            .init(models: ModelPatterns([$0.models]), isOwner: $0.isOwner(identity))
        }
        return grants
    }

    /// The identity of a session without a token, or nil when its certificate means nobody.
    func identity(certificate subject: String) -> Identity? {
        guard !subject.isEmpty,
            let known = certificates.first(where: { $0.subject.utf8.elementsEqual(subject.utf8) })
        else { return nil }
        return Identity(
            issuer: AccessPolicy.certificateIssuer, client: known.client, subject: subject,
            scopes: known.scopes, validFor: nil)
    }
}
