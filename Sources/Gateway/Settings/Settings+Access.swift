// Who may do what, in the settings: `auth.policy`, `auth.owners`, `auth.certificates`, `auth.max_ttl_by_scope`, and how
// much the gate remembers and asks.

package import Admission
package import Contract

/// `auth.cache` and `auth.lookups`: read at start.
package struct GateSettings: Sendable, Equatable {
    package var cacheBytes = AdmissionLimits().activeBytes
    package var negativeBytes = AdmissionLimits().inactiveBytes
    /// Look-ups of unknown tokens.
    package var perAddress = "20/s"
    package var perAddressBurst = 100
    package var inAll = "500/s"

    package init() {}

    /// `0` is no limit.
    static let isRate: @Sendable (String) -> Bool = { $0 == "0" || SettingText.rate($0) != nil }

    func apply(to limits: inout AdmissionLimits) {
        limits.activeBytes = cacheBytes
        limits.inactiveBytes = negativeBytes
        limits.lookupsPerAddress = SettingText.rate(perAddress).map {
            Rate($0.count, per: $0.period, burst: UInt64(perAddressBurst))
        }
        limits.lookupsInAll = SettingText.rate(inAll).map { Rate($0.count, per: $0.period) }
    }
}

extension Settings {
    static let gateRules: [SettingRule<Settings>] = [
        .size("auth.cache.bytes", 64 << 10...64 << 30, \.auth.gate.cacheBytes),
        .size("auth.cache.negative_bytes", 64 << 10...8 << 30, \.auth.gate.negativeBytes),
        .text(
            "auth.lookups.per_address", "0, or look-ups in a time, like 20/s or 1000/m",
            \.auth.gate.perAddress, GateSettings.isRate),
        .count("auth.lookups.per_address_burst", 1...1_000_000, \.auth.gate.perAddressBurst),
        .text(
            "auth.lookups.in_all", "0, or look-ups in a time, like 500/s", \.auth.gate.inAll,
            GateSettings.isRate),
    ]
}

extension AuthenticationSettings {
    /// Everything that decides who may do what. Throws CONFIGURATION for a scope that does not exist.
    package func policy() throws(GatewayError) -> AccessPolicy {
        var policy = AccessPolicy(scopes: try ScopePolicy(foreign: scopes))
        policy.rules = rules
        policy.owners = owners
        policy.certificates = certificates
        policy.ages = ages
        return policy
    }
}

/// One of `auth.policy` as it is written, without its claims.
package struct PolicyRuleText: Sendable, Equatable {
    package var name = ""
    package var issuer: String?
    package var client: String?
    package var subject: String?
    package var scope: String?
    package var certificate: String?
    package var models: [String] = []
    package var allow: [String] = []
    package var plan = ""

    /// The keys of one of `auth.policy`, but for `claims`.
    package static var keys: [String] { rules.map(\.key) }

    static let rules: [SettingRule<PolicyRuleText>] = [
        .text("name", "letters, digits, '.', '_' and '-', at most 64", \.name, AccessText.isName),
        .optionalText("issuer", AccessText.pattern, \.issuer, AccessText.isPattern),
        .optionalText("client", AccessText.pattern, \.client, AccessText.isPattern),
        .optionalText("subject", AccessText.pattern, \.subject, AccessText.isPattern),
        .optionalText("scope", AccessText.pattern, \.scope, AccessText.isPattern),
        .optionalText("certificate", AccessText.pattern, \.certificate, AccessText.isPattern),
        .list(
            "models", "a list of models' names, * at their ends allowed", \.models,
            { ModelPattern($0) != nil }),
        .list("allow", "a list of: \(Scope.vocabulary)", \.allow, { Scope($0) != nil }),
        .text("plan", "the name of one of plans", \.plan, AccessText.isName),
    ]

    func rule(claims: [String: TextPattern]) -> PolicyRule {
        var rule = PolicyRule()
        rule.name = name
        rule.issuer = issuer.map { TextPattern($0) }
        rule.client = client.map { TextPattern($0) }
        rule.subject = subject.map { TextPattern($0) }
        rule.scope = scope.map { TextPattern($0) }
        rule.certificate = certificate.map { TextPattern($0) }
        rule.claims = claims
        rule.models = models.compactMap { ModelPattern($0) }
        rule.allow = allow.isEmpty ? nil : allow.compactMap { Scope($0) }
        rule.plan = plan
        return rule
    }
}

/// One of `auth.owners` as it is written.
package struct OwnershipText: Sendable, Equatable {
    package var models = ""
    package var clients: [String] = []
    package var subjects: [String] = []

    package static var keys: [String] { rules.map(\.key) }

    static let rules: [SettingRule<OwnershipText>] = [
        .text(
            "models", "a model's name, or the beginning of names and *", \.models,
            { ModelPattern($0) != nil }),
        .list(
            "clients", "a list of client ids, * at their ends allowed", \.clients,
            AccessText.isPattern),
        .list(
            "subjects", "a list of subjects, * at their ends allowed", \.subjects,
            AccessText.isPattern),
    ]
}

/// One of `auth.certificates` as it is written.
package struct CertificateIdentityText: Sendable, Equatable {
    package var subject = ""
    package var client = ""
    package var scopes: [String] = []

    package static var keys: [String] { rules.map(\.key) }

    static let rules: [SettingRule<CertificateIdentityText>] = [
        .text(
            "subject",
            "a certificate's subject, as `openssl x509 -subject -nameopt RFC2253` prints it",
            \.subject, AccessText.isPattern),
        .text(
            "client", "letters, digits, '.', '_' and '-', at most 64", \.client, AccessText.isName),
        .list("scopes", "a list of: \(Scope.vocabulary)", \.scopes, { Scope($0) != nil }),
    ]
}

/// What the words of the policy may look like.
enum AccessText {
    static let pattern = "at most 1024 visible characters, * at the end allowed"

    static let isPattern: @Sendable (String) -> Bool = { text in
        (1...1_024).contains(text.utf8.count)
            && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }

    static let isName: @Sendable (String) -> Bool = { text in
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
