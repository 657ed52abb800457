// Reads `auth.issuers`, a list of maps, and says what each of them lacks.

import Contract
import Files
import Outside

extension SettingsReader {
    mutating func readIssuers() {
        var issuers: [IssuerSettings] = []
        while issuers.count < SettingsReader.issuersMax {
            let prefix = "auth.issuers.\(issuers.count)."
            let isThere =
                sources.document.entries.contains { $0.key.hasPrefix(prefix) }
                || ["name", "kind"].contains { sources.find(prefix + $0, isList: false) != nil }
            guard isThere else { break }
            var issuer = IssuerSettings()
            issuer.name = ""
            for rule in IssuerSettings.rules { read(rule, prefix: prefix, into: &issuer) }
            check(&issuer, prefix)
            if issuers.contains(where: { $0.name == issuer.name }) {
                fault(prefix + "name", place(prefix + "name"), "another issuer has this name")
            }
            issuers.append(issuer)
        }
        if sources.document.entries.contains(where: {
            $0.key.hasPrefix("auth.issuers.\(SettingsReader.issuersMax).")
        }) {
            fault("auth.issuers", "", "has more than \(SettingsReader.issuersMax) issuers")
        }
        if issuers.filter({ $0.kind == .embedded }).count > 1 {
            fault("auth.issuers", "", "has two embedded issuers, there is only one")
        }
        if !issuers.isEmpty { settings.auth.issuers = issuers }
    }

    private mutating func check(_ issuer: inout IssuerSettings, _ prefix: String) {
        for required in ["name", "kind"] where sources.find(prefix + required, isList: false) == nil
        {
            fault(prefix + required, "", "is missing")
        }
        // What else is needed depends on the kind; a wrong one has been reported.
        guard let kind = sources.find(prefix + "kind", isList: false),
            kind.values == [issuer.kind.rawValue]
        else { return }
        let meaningful = IssuerSettings.keys(of: issuer.kind)
        let article = issuer.kind == .jwks ? "a" : "an"
        for rule in IssuerSettings.rules.sorted(by: { $0.key < $1.key })
        where !meaningful.contains(rule.key) {
            guard let found = given(rule.key, prefix) else { continue }
            fault(
                prefix + rule.key, found.place,
                "means nothing for \(article) \(issuer.kind.rawValue) issuer")
        }
        guard issuer.kind != .embedded else { return }
        if issuer.needsSignatures, !SignatureSupport.isBuiltIn {
            fault(prefix + "kind", kind.place, SignatureSupport.absence)
        }
        checkAudience(issuer, prefix)
        if issuer.kind == .introspection { checkIntrospection(&issuer, prefix) }
        if issuer.kind == .jwks { require("issuer", "a jwks issuer needs it", prefix) }
        checkKeys(issuer, prefix)
    }

    /// Without an audience, tokens that were made for other services of the same issuer would be let in.
    private mutating func checkAudience(_ issuer: IssuerSettings, _ prefix: String) {
        guard let found = given("audience", prefix) else {
            var message = "is missing: tokens for other services of this issuer would be let in"
            if issuer.kind == .introspection { message += "; write none if its answers have none" }
            return fault(prefix + "audience", "", message)
        }
        if issuer.audiences.contains(IssuerSettings.anyAudience),
            issuer.kind == .jwks || issuer.audiences.count > 1
        {
            fault(
                prefix + "audience", found.place,
                issuer.kind == .jwks
                    ? "must be given: none is for introspection only"
                    : "none must stand alone")
        }
    }

    private mutating func checkIntrospection(_ issuer: inout IssuerSettings, _ prefix: String) {
        require("url", "an introspection issuer needs it", prefix)
        require("client_id", "an introspection issuer needs it", prefix)
        let way = issuer.clientAuthentication
        let because = "client_auth: \(way.rawValue) needs it"
        var useless: [String] = []
        switch way {
        case .basic, .post:
            if let secret = readSecret("client_secret", issuer.clientSecretFile, prefix) {
                issuer.clientSecret = secret
            }
            useless = ["client_certificate", "client_key"]
        case .privateKeyJWT:
            if let key = readSecret("key", issuer.assertionKeyFile, prefix) {
                issuer.assertionKey = key
            }
            useless = ["client_secret_file", "client_certificate", "client_key"]
        case .tls:
            require("client_certificate", because, prefix)
            require("client_key", because, prefix)
            useless = ["client_secret_file"]
        }
        if way != .privateKeyJWT {
            useless += ["key_file", "key_id", "assertion_algorithm", "assertion_audience"]
        }
        for key in useless {
            refuse(key, "means nothing with client_auth: \(way.rawValue)", prefix)
        }
        issuer.clientSecretFile = nil
        issuer.assertionKeyFile = nil
        guard issuer.answers == .json else {
            return require("issuer", "answers: jwt needs it", prefix)
        }
        for key in ["jwks_url", "jwks_file", "algorithms"] {
            refuse(key, "means nothing with answers: json", prefix)
        }
    }

    private mutating func checkKeys(_ issuer: IssuerSettings, _ prefix: String) {
        guard issuer.kind == .jwks || issuer.answers == .jwt else { return }
        if let url = given("jwks_url", prefix), given("jwks_file", prefix) != nil {
            fault(prefix + "jwks_url", url.place, "and jwks_file exclude each other")
        }
        if issuer.keysURL == nil, issuer.keysFile == nil, let name = issuer.issuer,
            !name.hasPrefix("https://"), !name.hasPrefix("http://localhost")
        {
            fault(
                prefix + "issuer", place(prefix + "issuer"),
                "must begin with https:// where neither jwks_url nor jwks_file is given")
        }
        if issuer.algorithms.isEmpty {
            fault(prefix + "algorithms", place(prefix + "algorithms"), "must allow one at least")
        }
    }

    /// A value in any of its forms.
    private func given(_ key: String, _ prefix: String) -> SettingsSources.Found? {
        sources.find(prefix + key, isList: false) ?? sources.find(prefix + key, isList: true)
    }

    private mutating func require(_ key: String, _ why: String, _ prefix: String) {
        // A value that was not allowed has been reported.
        if given(key, prefix) == nil { fault(prefix + key, "", "is missing; \(why)") }
    }

    private mutating func refuse(_ key: String, _ why: String, _ prefix: String) {
        if let found = given(key, prefix) { fault(prefix + key, found.place, why) }
    }

    /// A secret comes from the environment (KEY) or from a file (KEY_file), never from the settings file.
    private mutating func readSecret(
        _ name: String, _ file: String?, _ prefix: String
    ) -> ClientSecret? {
        let key = prefix + name
        if let found = sources.find(key, isList: false),
            found.place == SettingsSources.variable(key)
        {
            return ClientSecret(Secret(found.values.joined()))
        }
        let fileKey = key + "_file"
        guard let file else {
            if sources.find(fileKey, isList: false) == nil {
                fault(fileKey, "", "is missing; or set \(SettingsSources.variable(key))")
            }
            return nil
        }
        guard opensFiles else { return nil }
        do {
            guard
                var bytes = try OpenFile(path: file).readAll(
                    byteCountMax: SettingsReader.secretBytesMax)
            else {
                fault(
                    fileKey, place(fileKey), "has more than \(SettingsReader.secretBytesMax) bytes")
                return nil
            }
            while let last = bytes.last, last == UInt8(ascii: "\n") || last == UInt8(ascii: "\r") {
                bytes.removeLast()
            }
            if bytes.isEmpty { fault(fileKey, place(fileKey), "is empty") }
            return ClientSecret(Secret(bytes: bytes))
        } catch {
            fault(fileKey, place(fileKey), "cannot be read: \(error.reason)")
            return nil
        }
    }

    mutating func checkIssuerKey(_ entry: SettingsDocument.Entry) {
        if case .empty = entry.value, entry.path.count == 2 { return }
        if case .list(let values) = entry.value, entry.path.count == 2, values.isEmpty { return }
        guard entry.path.count == 4, UInt16(entry.path[2]) != nil else {
            return fault(
                entry.key, "line \(entry.line)",
                "must be a list of issuers, each with a name and a kind")
        }
        let known = IssuerSettings.rules.map(\.key)
        if known.contains(entry.path[3]) { return }
        let prefix = "auth.issuers.\(entry.path[2])."
        unknown(entry, known.map { prefix + $0 }, prefix: prefix)
    }
}
