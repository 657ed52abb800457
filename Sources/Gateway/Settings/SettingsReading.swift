// Settings together with where they came from: they can be read again and compared.

package import Contract

/// One reading of the settings.
package struct SettingsReading: Sendable {
    /// The file, the environment and the flags, which last as long as the process.
    struct Origin: Sendable {
        var file: String?
        var environment: [String: String]
        var flags: [String: String]
    }

    package let settings: Settings
    let origin: Origin
    /// What the file says, by key with dots, as far as nothing overrides it.
    let written: [String: String]

    /// As ``Settings/load(file:environment:flags:)``.
    package static func read(
        file: String?, environment: [String: String], flags: [String: String] = [:]
    ) throws(GatewayError) -> SettingsReading {
        try read(Origin(file: file, environment: environment, flags: flags))
    }

    /// The same file, environment and flags once more. Blocks while files are read.
    package func readAgain() throws(GatewayError) -> SettingsReading {
        try SettingsReading.read(origin)
    }

    private static func read(_ origin: Origin) throws(GatewayError) -> SettingsReading {
        let text = try origin.file.map { file throws(GatewayError) in try Settings.text(of: file) }
        return SettingsReading(
            settings: try Settings.load(
                file: origin.file, yaml: text, environment: origin.environment,
                flags: origin.flags), origin: origin, written: written(text, origin))
    }

    /// For tests: files that are named are not opened.
    package init(
        yaml: String, environment: [String: String] = [:], flags: [String: String] = [:]
    ) {
        origin = Origin(file: nil, environment: environment, flags: flags)
        settings =
            Settings.evaluate(
                yaml: yaml, environment: environment, flags: flags, opensFiles: false
            ).settings
        written = SettingsReading.written(yaml, origin)
    }

    private init(settings: Settings, origin: Origin, written: [String: String]) {
        self.settings = settings
        self.origin = origin
        self.written = written
    }

    private static func written(_ yaml: String?, _ origin: Origin) -> [String: String] {
        guard let document = try? SettingsDocument(yaml: yaml ?? "") else { return [:] }
        let sources = SettingsSources(
            document: document, environment: origin.environment, flags: origin.flags)
        var written: [String: String] = [:]
        for entry in document.entries {
            let text: String
            let isList: Bool
            switch entry.value {
            case .text(let value): (text, isList) = (value, false)
            case .list(let values):
                (text, isList) = ("[" + values.joined(separator: ", ") + "]", true)
            case .empty: continue
            }
            // A value that a flag or the environment overrides may change without any effect.
            if let found = sources.find(entry.key, isList: isList),
                !found.place.hasPrefix("line ")
            {
                continue
            }
            guard !text.isEmpty else { continue }
            written[entry.key] = text
        }
        return written
    }

    // MARK: - Two readings

    /// Where keys may change while the gateway runs. The others are settled at start: ports, threads, the repository.
    private static let changeable = [
        "auth.", "plans.", "tls.", "limits.", "http.", "cors.", "memory.", "models.rules.",
        "models.poll",
    ]

    /// Among them, what is settled at start all the same.
    private static let settled = ["auth.server.", "auth.cache.", "auth.lookups."]

    static func mayChange(_ key: String) -> Bool {
        func covers(_ name: String) -> Bool {
            key == name || (name.hasSuffix(".") && key.hasPrefix(name))
        }
        return changeable.contains(where: covers) && !settled.contains(where: covers)
    }

    /// What this reading says otherwise than `old`, sorted by key.
    package func changes(since old: SettingsReading) -> [SettingChange] {
        let keys = Set(written.keys).union(old.written.keys)
        return keys.sorted().compactMap { key in
            let (was, now) = (old.written[key] ?? "", written[key] ?? "")
            guard was != now else { return nil }
            return SettingsReading.isSecret(key)
                ? SettingChange(
                    key: key, was: was.isEmpty ? "" : "•••", now: now.isEmpty ? "" : "••• (new)")
                : SettingChange(
                    key: key, was: SettingText.short(was), now: SettingText.short(now))
        }
    }

    /// Paths of secrets, and addresses that may hold one, are not shown.
    private static func isSecret(_ key: String) -> Bool {
        let last = key.split(separator: ".").last.map(String.init) ?? ""
        return last == "key" || last == "url" || last.contains("secret")
            || last.contains("key_file") || last == "headers_file"
    }

    /// A fault for each change that needs a restart.
    package static func refusals(_ changes: [SettingChange]) -> [SettingsFault] {
        changes.filter { !mayChange($0.key) }.map {
            SettingsFault(
                key: $0.key, place: "",
                message: "cannot change while the gateway runs: restart it, or put it back to "
                    + ($0.was.isEmpty ? "its default" : $0.was))
        }
    }
}
