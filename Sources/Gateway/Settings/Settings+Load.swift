// Reads the settings as a whole: every fault is collected and told at once, and nothing is in force before all is
// right.

package import Contract
import Files

extension Settings {
    /// The settings in force: flags before environment before file before defaults. Throws CONFIGURATION with every
    /// fault, a line each.
    /// - Parameters:
    ///   - file: The path of the YAML file, or nil for none. Paths inside it count from the working directory.
    ///   - environment: The process's environment.
    ///   - flags: By key: `listen`, `admin`, `state`, `models.repository`.
    package static func load(
        file: String?, environment: [String: String], flags: [String: String] = [:]
    ) throws(GatewayError) -> Settings {
        var text: String?
        if let file { text = try self.text(of: file) }
        return try load(file: file, yaml: text, environment: environment, flags: flags)
    }

    /// - Parameter file: for the message about faults.
    static func load(
        file: String?, yaml text: String?, environment: [String: String], flags: [String: String]
    ) throws(GatewayError) -> Settings {
        let (settings, faults) = evaluate(yaml: text, environment: environment, flags: flags)
        if faults.isEmpty { return settings }
        let lines = faults.map { "\n  \($0)" }.joined()
        throw GatewayError(
            .configuration,
            (file.map { "the settings in '\($0)' have " } ?? "the settings have ")
                + (faults.count == 1 ? "a fault:" : "\(faults.count) faults:") + lines)
    }

    /// Every fault of a settings file, with this environment; none when a gateway would start with it. Throws
    /// CONFIGURATION when the file cannot be read.
    package static func check(
        file: String, environment: [String: String] = [:]
    ) throws(GatewayError) -> [SettingsFault] {
        evaluate(yaml: try text(of: file), environment: environment, flags: [:]).faults
    }

    /// The settings as far as they can be read, and every fault; a gateway starts when there is none. Throws CONFIGURATION
    /// when the file cannot be read.
    package static func appraise(
        file: String?, environment: [String: String], flags: [String: String]
    ) throws(GatewayError) -> (settings: Settings, faults: [SettingsFault]) {
        let yaml = try file.map { file throws(GatewayError) in try text(of: file) }
        return evaluate(yaml: yaml, environment: environment, flags: flags)
    }

    static func text(of file: String) throws(GatewayError) -> String {
        let bytes: [UInt8]?
        do {
            bytes = try OpenFile(path: file).readAll(byteCountMax: SettingsDocument.byteCountMax)
        } catch {
            throw GatewayError(
                .configuration, "the settings file '\(file)' cannot be read: \(error.reason)")
        }
        guard let bytes else {
            throw GatewayError(
                .configuration,
                "the settings file '\(file)' is longer than \(SettingsDocument.byteCountMax) bytes")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw GatewayError(.configuration, "the settings file '\(file)' is not UTF-8")
        }
        return text
    }

    /// Settings and faults from texts. Reads the files of secrets, and opens the others that are named.
    /// - Parameter opensFiles: False leaves files alone, for tests.
    package static func evaluate(
        yaml: String?, environment: [String: String], flags: [String: String],
        opensFiles: Bool = true
    ) -> (settings: Settings, faults: [SettingsFault]) {
        do {
            let document = try SettingsDocument(yaml: yaml ?? "")
            var reader = SettingsReader(
                SettingsSources(document: document, environment: environment, flags: flags),
                opensFiles: opensFiles)
            reader.readAll()
            return (reader.settings, reader.faults)
        } catch {
            return (Settings(), [error])
        }
    }
}
