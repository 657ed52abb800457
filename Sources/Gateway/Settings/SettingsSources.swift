// Where a value comes from: the command line before the environment before the file (swift-configuration's
// providers, asked in this order).

import Configuration

/// The three sources of settings.
struct SettingsSources {
    /// A value as it was written, and where.
    struct Found {
        var values: [String]
        var place: String
        var isList: Bool
    }

    let document: SettingsDocument
    private let flags: InMemoryProvider
    private let environment: KeyMappingProvider<EnvironmentVariablesProvider>
    private let file: InMemoryProvider
    private let lines: [String: Int]

    /// - Parameters:
    ///   - environment: Names beginning with `SLUICE_` count, others are ignored.
    ///   - flags: By key, for example `listen` or `models.repository`.
    init(document: SettingsDocument, environment: [String: String], flags: [String: String]) {
        self.document = document
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for (key, value) in flags {
            let path = key.split(separator: ".").map(String.init)
            values[AbsoluteConfigKey(path)] = ConfigValue(.string(value), isSecret: false)
        }
        self.flags = InMemoryProvider(name: "flags", values: values)
        self.environment = EnvironmentVariablesProvider(
            environmentVariables: environment.filter { $0.key.hasPrefix("SLUICE_") }
        ).prefixKeys(with: "sluice")
        file = document.provider
        lines = Dictionary(
            document.entries.map { ($0.key, $0.line) }, uniquingKeysWith: { first, _ in first })
    }

    /// The value in force, or nil when no source has one; an empty one counts as none.
    func find(_ key: String, isList: Bool) -> Found? {
        let path = AbsoluteConfigKey(key.split(separator: ".").map(String.init))
        if let text = text(flags, path) {
            return Found(values: [text], place: SettingsSources.flag(key), isList: false)
        }
        if let text = text(environment, path) {
            // One text; a list is written with commas.
            let values =
                isList
                ? text.split(separator: ",").map { SettingsSources.trimmed($0) } : [text]
            return Found(values: values, place: SettingsSources.variable(key), isList: isList)
        }
        let place = lines[key].map { "line \($0)" } ?? ""
        if let texts = list(file, path) { return Found(values: texts, place: place, isList: true) }
        return text(file, path).map { Found(values: [$0], place: place, isList: false) }
    }

    private func text(_ provider: any ConfigProvider, _ path: AbsoluteConfigKey) -> String? {
        // A provider that holds another type throws; that is asked for separately.
        guard
            case .string(let text)? = try? provider.value(forKey: path, type: .string).value?
                .content,
            !text.isEmpty
        else { return nil }
        return text
    }

    private func list(_ provider: any ConfigProvider, _ path: AbsoluteConfigKey) -> [String]? {
        guard
            case .stringArray(let texts)? = try? provider.value(forKey: path, type: .stringArray)
                .value?.content
        else { return nil }
        return texts
    }

    /// The environment's name of a key: `SLUICE_` and the path in upper case.
    static func variable(_ key: String) -> String {
        "SLUICE_"
            + String(
                key.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }

    /// The command line's name of a key.
    private static func flag(_ key: String) -> String {
        key == "models.repository" ? "--models" : "--" + key
    }

    private static func trimmed(_ text: Substring) -> String {
        String(text.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
