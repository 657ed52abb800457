// Goes through the table of keys, takes every value in and collects what is wrong.

import Contract
import Files

struct SettingsReader {
    static let secretBytesMax = 64 << 10
    static let issuersMax = 64

    let sources: SettingsSources
    var settings = Settings()
    private(set) var faults: [SettingsFault] = []
    let opensFiles: Bool

    init(_ sources: SettingsSources, opensFiles: Bool) {
        self.sources = sources
        self.opensFiles = opensFiles
    }

    mutating func readAll() {
        checkKeys()
        var plain = settings
        for rule in Settings.rules { read(rule, prefix: "", into: &plain) }
        settings = plain
        readCertificates()
        readModelRules()
        readPlans()
        readIssuers()
        readScopes()
        readAccess()
        checkTogether()
        checkFiles()
    }

    /// Takes one key in, if a source has it.
    mutating func read<Root>(
        _ rule: SettingRule<Root>, prefix: String, into root: inout Root
    ) {
        let key = prefix + rule.key
        guard let found = sources.find(key, isList: rule.isList) else { return }
        guard found.isList == rule.isList || (rule.takesOne && !found.isList) else {
            return fault(
                key, found.place,
                rule.isList
                    ? "must be \(rule.allowed), in brackets" : "must be one value: \(rule.allowed)")
        }
        if rule.accept(found.values, &root) { return }
        let shown =
            rule.isSecret
            ? "the value" : found.values.map(SettingText.shown).joined(separator: ", ")
        fault(key, found.place, "\(shown) must be \(rule.allowed)")
    }

    mutating func fault(_ key: String, _ place: String, _ message: String) {
        faults.append(SettingsFault(key: key, place: place, message: message))
    }

    /// The place of a key for faults that concern more than its text.
    func place(_ key: String) -> String { sources.find(key, isList: false)?.place ?? "" }
}

// MARK: - Scopes

extension SettingsReader {
    /// `auth.scopes` holds names of the issuers' own, so it has no rules; each grants scopes of ours.
    private mutating func readScopes() {
        let start = "auth.scopes."
        for entry in sources.document.entries where entry.key.hasPrefix(start) {
            let name = String(entry.key.dropFirst(start.count))
            guard entry.path.count == 3 else {
                // A scope may have dots in it, as in `api.read`; a map under one has not been meant.
                fault(entry.key, "line \(entry.line)", "must be a list of scopes, in brackets")
                continue
            }
            switch entry.value {
            case .list(let grants) where grants.allSatisfy(SettingsReader.isScope):
                settings.auth.scopes[name] = grants
            case .list:
                fault(
                    entry.key, "line \(entry.line)",
                    "must grant infer:PATTERN, models:read, models:admin, tokens:admin or admin")
            default:
                fault(entry.key, "line \(entry.line)", "must be a list of scopes, in brackets")
            }
        }
    }

    private static func isScope(_ text: String) -> Bool {
        if ["models:read", "models:admin", "tokens:admin", "admin"].contains(text) { return true }
        guard text.hasPrefix("infer:") else { return false }
        var pattern = text.dropFirst("infer:".count)
        if pattern == "*" { return true }
        if pattern.hasSuffix("*") { pattern = pattern.dropLast() }
        return ModelName(String(pattern)) != nil
    }
}

// MARK: - Keys nobody knows

extension SettingsReader {
    private mutating func checkKeys() {
        let known =
            Settings.rules.map(\.key) + [
                "auth.certificates", "auth.issuers", "auth.max_ttl_by_scope", "auth.owners",
                "auth.policy", "auth.scopes", "models.rules", "plans", "tls.certificates",
            ]
        for entry in sources.document.entries {
            if checkAccessKey(entry) { continue }
            let isScope = entry.path.starts(with: ["auth", "scopes"])
            if !isScope, let dotted = entry.path.first(where: { $0.contains(".") }) {
                fault(
                    String(SettingText.shown(dotted).dropFirst().dropLast()), "line \(entry.line)",
                    "is no key: the part behind a dot stands below, indented")
                continue
            }
            if isScope {
                if entry.path.count == 2, case .empty = entry.value { continue }
                if entry.path.count > 2 { continue }
            }
            if entry.path.starts(with: ["auth", "issuers"]) {
                checkIssuerKey(entry)
            } else if entry.path.starts(with: ["tls", "certificates"]) {
                checkCertificateKey(entry)
            } else if entry.path.starts(with: ["models", "rules"]) {
                checkModelRuleKey(entry)
            } else if entry.path.first == "plans" {
                checkPlanKey(entry)
            } else if !known.contains(entry.key) {
                unknown(entry, known, prefix: "")
            }
        }
    }

    mutating func unknown(
        _ entry: SettingsDocument.Entry, _ known: [String], prefix: String
    ) {
        let key = String(SettingText.shown(entry.key).dropFirst().dropLast())
        let place = "line \(entry.line)"
        let last = entry.path.last ?? ""
        if last.hasSuffix("secret") || last.hasSuffix("password") {
            var mend = "use client_secret_file"
            if entry.key == prefix + "client_secret" {
                mend += ", or \(SettingsSources.variable(entry.key)) in the environment"
            }
            return fault(key, place, "a secret must not stand in the settings; \(mend)")
        }
        let inside = known.filter { $0.hasPrefix(entry.key + ".") }
        if let example = inside.first {
            if case .empty = entry.value { return }
            return fault(key, place, "must hold keys of its own, like \(example)")
        }
        if let single = known.first(where: { entry.key.hasPrefix($0 + ".") }) {
            return fault(key, place, "is not a setting; \(single) takes a value, no keys")
        }
        if let nearest = SettingText.nearest(to: entry.key, among: known) {
            return fault(key, place, "is not a setting; did you mean \(nearest)?")
        }
        fault(key, place, "is not a setting")
    }
}

// MARK: - What must fit together

extension SettingsReader {
    private mutating func checkTogether() {
        checkTransport()
        checkTraces()
        let bucket = settings.models.bucket
        if (bucket.accessKeyFile == nil) != (bucket.secretKeyFile == nil) {
            let missing =
                bucket.accessKeyFile == nil
                ? "models.s3.access_key_file" : "models.s3.secret_key_file"
            if sources.find(missing, isList: false) == nil {
                fault(
                    missing, "",
                    "is missing: models.s3.access_key_file and models.s3.secret_key_file go together"
                )
            }
        }
        let limits = settings.limits
        atMost(
            "limits.deadline", limits.deadlineDefault <= limits.deadlineMaximum,
            "limits.deadline_max")
        atMost("limits.message", limits.messageBytes <= limits.bufferedBytes, "limits.buffered")
        atMost("limits.metadata", limits.metadataBytes <= limits.headerBytes, "limits.header")
        atMost(
            "limits.calls_per_client", settings.callsPerClientMax <= settings.callsMax,
            "limits.calls")
    }

    private mutating func atMost(_ key: String, _ isRight: Bool, _ other: String) {
        if !isRight { fault(key, place(key), "must not be more than \(other)") }
    }

    /// Files that are named must be there: better now than at the first call.
    private mutating func checkFiles() {
        guard opensFiles else { return }
        var named: [(key: String, path: String?)] = [
            ("engine.library", settings.engine.library),
            ("models.s3.ca", settings.models.bucket.authority),
            ("models.s3.access_key_file", settings.models.bucket.accessKeyFile),
            ("models.s3.secret_key_file", settings.models.bucket.secretKeyFile),
            ("models.s3.session_token_file", settings.models.bucket.sessionTokenFile),
        ]
        named += transportFiles + traceFiles
        for (number, issuer) in settings.auth.issuers.enumerated() {
            named += issuer.files.map { ("auth.issuers.\(number).\($0.key)", $0.path) }
        }
        for (key, path) in named {
            guard let path else { continue }
            do {
                _ = try OpenFile(path: path)
            } catch {
                fault(key, place(key), "the file cannot be read: \(error.reason)")
            }
        }
    }
}
