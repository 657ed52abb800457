// Reads the lists and maps that say who may do what, and sees that they fit together.

import Admission
import Contract

extension SettingsReader {
    static let policyRulesMax = 1_024
    static let claimsMax = 16

    /// After the issuers and the plans.
    mutating func readAccess() {
        readPolicy()
        var owners: [Ownership] = []
        readList(
            "auth.owners", max: 1_024, required: "models", OwnershipText.rules, OwnershipText()
        ) {
            reader, text, prefix in
            guard let pattern = ModelPattern(text.models) else { return }
            var ownership = Ownership(models: pattern)
            ownership.clients = text.clients.map { TextPattern($0) }
            ownership.subjects = text.subjects.map { TextPattern($0) }
            if text.clients.isEmpty, text.subjects.isEmpty {
                reader.fault(
                    prefix + "models", reader.place(prefix + "models"),
                    "has no owner: give clients or subjects")
            }
            owners.append(ownership)
        }
        settings.auth.owners = owners
        var known: [CertificateIdentity] = []
        readList(
            "auth.certificates", max: 4_096, required: "subject", CertificateIdentityText.rules,
            CertificateIdentityText()
        ) { reader, text, prefix in
            if text.client.isEmpty { reader.fault(prefix + "client", "", "is missing") }
            if known.contains(where: { $0.subject == text.subject }) {
                reader.fault(
                    prefix + "subject", reader.place(prefix + "subject"),
                    "another certificate has this subject")
            }
            var identity = CertificateIdentity()
            identity.subject = text.subject
            identity.client = text.client
            identity.scopes = text.scopes
            known.append(identity)
        }
        settings.auth.certificates = known
        if !known.isEmpty, settings.tls.clientCertificates == .off {
            fault(
                "auth.certificates", "",
                "means nothing while tls.client_certificates is off")
        }
        readAges()
    }

    private mutating func readPolicy() {
        var rules: [PolicyRule] = []
        let plans = Plans(settings.plans).names
        readList(
            "auth.policy", max: SettingsReader.policyRulesMax, required: "name",
            PolicyRuleText.rules, PolicyRuleText()
        ) { reader, text, prefix in
            if rules.contains(where: { $0.name == text.name }) {
                reader.fault(
                    prefix + "name", reader.place(prefix + "name"), "another rule has this name")
            }
            if !text.plan.isEmpty, !plans.contains(text.plan) {
                reader.fault(
                    prefix + "plan", reader.place(prefix + "plan"),
                    "\(SettingText.shown(text.plan)) is none of plans")
            }
            if let issuer = text.issuer, !issuer.hasSuffix("*"),
                issuer != AccessPolicy.certificateIssuer,
                !reader.settings.auth.issuers.contains(where: { $0.name == issuer })
            {
                reader.fault(
                    prefix + "issuer", reader.place(prefix + "issuer"),
                    "\(SettingText.shown(issuer)) is none of auth.issuers")
            }
            rules.append(text.rule(claims: reader.claims(prefix)))
        }
        settings.auth.rules = rules
    }

    /// `claims` of a rule: names that are the issuer's, each with a pattern.
    private mutating func claims(_ prefix: String) -> [String: TextPattern] {
        let path = (prefix + "claims").split(separator: ".").map(String.init)
        var claims: [String: TextPattern] = [:]
        for entry in sources.document.entries where entry.path.starts(with: path) {
            guard entry.path.count == path.count + 1, let name = entry.path.last else { continue }
            guard case .text(let text) = entry.value, AccessText.isPattern(text),
                AccessText.isPattern(name)
            else {
                fault(entry.key, "line \(entry.line)", "must be \(AccessText.pattern)")
                continue
            }
            claims[name] = TextPattern(text)
        }
        if claims.count > SettingsReader.claimsMax {
            fault(prefix + "claims", "", "has more than \(SettingsReader.claimsMax) claims")
        }
        return claims
    }

    /// `auth.max_ttl_by_scope`: scopes are its keys.
    private mutating func readAges() {
        var ages: [Scope: Nanoseconds] = [:]
        for entry in sources.document.entries
        where entry.path.count == 3 && entry.path.starts(with: ["auth", "max_ttl_by_scope"]) {
            guard let scope = Scope(entry.path[2]) else {
                fault(entry.key, "line \(entry.line)", "is no scope: \(Scope.vocabulary)")
                continue
            }
            guard case .text(let text) = entry.value, let time = SettingText.time(text),
                time <= .seconds(3_600)
            else {
                fault(
                    entry.key, "line \(entry.line)", "must be a time from 0s to 1h, like 0s or 5s")
                continue
            }
            ages[scope] = time
        }
        settings.auth.ages = ScopeAges(ages)
    }

    /// The maps of a list, one after the other.
    private mutating func readList<Text>(
        _ key: String, max: Int, required: String, _ rules: [SettingRule<Text>], _ empty: Text,
        _ take: (inout SettingsReader, Text, String) -> Void
    ) {
        var count = 0
        func isThere(_ number: Int) -> Bool {
            let prefix = "\(key).\(number)."
            return sources.document.entries.contains { $0.key.hasPrefix(prefix) }
                || sources.find(prefix + required, isList: false) != nil
        }
        while count < max, isThere(count) {
            let prefix = "\(key).\(count)."
            var text = empty
            for rule in rules { read(rule, prefix: prefix, into: &text) }
            if sources.find(prefix + required, isList: false) == nil {
                fault(prefix + required, "", "is missing")
            }
            take(&self, text, prefix)
            count += 1
        }
        if count == max, isThere(max) { fault(key, "", "has more than \(max) elements") }
    }

    /// The lists and maps of this file, and the keys of their elements.
    private static let accessLists: [(name: String, keys: [String])] = [
        ("policy", PolicyRuleText.keys), ("owners", OwnershipText.keys),
        ("certificates", CertificateIdentityText.keys),
    ]

    /// Whether a key belongs here; what is wrong with it is told.
    mutating func checkAccessKey(_ entry: SettingsDocument.Entry) -> Bool {
        let path = entry.path
        guard path.count >= 2, path[0] == "auth" else { return false }
        if path[1] == "max_ttl_by_scope" {
            if path.count == 3 { return true }
            if path.count == 2, case .empty = entry.value { return true }
            fault(entry.key, "line \(entry.line)", "must hold scopes, each with a time")
            return true
        }
        guard let list = SettingsReader.accessLists.first(where: { $0.name == path[1] }) else {
            return false
        }
        if path.count == 2 {
            if case .empty = entry.value { return true }
            if case .list(let values) = entry.value, values.isEmpty { return true }
        }
        guard path.count >= 4, UInt32(path[2]) != nil else {
            fault(entry.key, "line \(entry.line)", "must be a list of maps")
            return true
        }
        let prefix = "auth.\(list.name).\(path[2])."
        if list.name == "policy", path[3] == "claims" {
            // Names of the issuer's own, with dots or without.
            if path.count == 5 { return true }
            if path.count == 4, case .empty = entry.value { return true }
            fault(entry.key, "line \(entry.line)", "must hold claims, each with a pattern")
            return true
        }
        guard path.count == 4, list.keys.contains(path[3]) else {
            unknown(entry, list.keys.map { prefix + $0 }, prefix: prefix)
            return true
        }
        return true
    }
}
