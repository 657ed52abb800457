// The settings file as a flat list of keys and values with their lines. swift-configuration's own YAML snapshot
// cannot read lists of maps (auth.issuers) and does not say which keys a file has, so the file is composed here, by the YAML
// library it brings, and handed on as one of its providers.

import Configuration
import Yams

/// A parsed settings file.
package struct SettingsDocument {
    static let byteCountMax = 256 << 10
    /// Lists and maps in brackets, and the columns a line may be indented by: they bound how deep values lie in
    /// each other before the parser, which recurses, sees them.
    static let bracketsMax = 256
    static let indentationMax = 64
    static let valuesMax = 10_000

    struct Entry {
        enum Value {
            case text(String)
            case list([String])
            /// A map or a list without anything in it.
            case empty
        }
        /// The keys from the root; elements of a list of maps by their number.
        var path: [String]
        var value: Value
        var line: Int

        var key: String { path.joined(separator: ".") }
    }

    private(set) var entries: [Entry] = []

    /// Parses. Throws one fault for a file that is no YAML map.
    package init(yaml: String) throws(SettingsFault) {
        try SettingsDocument.checkDepth(yaml)
        let root: Node?
        do {
            // Every value stays text: its rule reads it. Yams' own rules would also cost a megabyte of regular expressions.
            root = try Yams.compose(yaml: yaml, .basic)
        } catch let error as YamlError {
            throw SettingsDocument.fault(error)
        } catch {
            throw SettingsFault(key: "", place: "", message: "the file is not YAML")
        }
        // A file without anything but comments sets nothing.
        guard let root, !SettingsDocument.isNull(root) else { return }
        guard let mapping = root.mapping else {
            throw SettingsFault(
                key: "", place: "line 1", message: "the file must hold keys and values")
        }
        try collect(mapping, at: [])
    }

    /// Every key the file has, with dots.
    package var keys: [String] { entries.map(\.key) }

    /// The values as a provider among others.
    var provider: InMemoryProvider {
        var values: [AbsoluteConfigKey: ConfigValue] = [:]
        for entry in entries {
            switch entry.value {
            case .text(let text):
                values[AbsoluteConfigKey(entry.path)] = ConfigValue(.string(text), isSecret: false)
            case .list(let texts):
                values[AbsoluteConfigKey(entry.path)] = ConfigValue(
                    .stringArray(texts), isSecret: false)
            case .empty: break
            }
        }
        return InMemoryProvider(name: "file", values: values)
    }

    private mutating func collect(
        _ mapping: Node.Mapping, at path: [String]
    ) throws(SettingsFault) {
        for (key, value) in mapping {
            guard let word = key.scalar?.string, !word.isEmpty else {
                throw SettingsFault(
                    key: path.joined(separator: "."), place: SettingsDocument.place(key),
                    message: "a key must be a word")
            }
            try collect(value, at: path + [word], line: key.mark?.line ?? 0)
        }
    }

    private mutating func collect(
        _ node: Node, at path: [String], line: Int
    ) throws(SettingsFault) {
        guard entries.count < SettingsDocument.valuesMax else {
            throw SettingsFault(
                key: "", place: "line \(line)",
                message: "more than \(SettingsDocument.valuesMax) values")
        }
        switch node {
        case .scalar(let scalar):
            // An empty value means the default.
            let isNothing = SettingsDocument.isNull(node) || scalar.string.isEmpty
            entries.append(
                Entry(path: path, value: isNothing ? .empty : .text(scalar.string), line: line))
        case .mapping(let mapping):
            if mapping.isEmpty { entries.append(Entry(path: path, value: .empty, line: line)) }
            try collect(mapping, at: path)
        case .sequence(let sequence):
            if let texts = SettingsDocument.texts(sequence) {
                entries.append(Entry(path: path, value: .list(texts), line: line))
                return
            }
            for (number, element) in sequence.enumerated() {
                try collect(
                    element, at: path + [String(number)], line: element.mark?.line ?? line)
            }
        case .alias:
            throw SettingsFault(
                key: path.joined(separator: "."), place: "line \(line)",
                message: "refers to something that is not there")
        }
    }

    /// The elements of a list of plain values, or nil when one is a map or a list.
    private static func texts(_ sequence: Node.Sequence) -> [String]? {
        var texts: [String] = []
        for element in sequence {
            guard let text = element.scalar?.string else { return nil }
            texts.append(text)
        }
        return texts
    }

    private static func isNull(_ node: Node) -> Bool {
        guard let scalar = node.scalar, scalar.style == .plain || scalar.style == .any else {
            return false
        }
        return ["", "~", "null", "Null", "NULL"].contains(scalar.string)
    }

    private static func place(_ node: Node) -> String { node.mark.map { "line \($0.line)" } ?? "" }

    /// What the parser said, without the snippet of the file it would add: that could be a secret.
    private static func fault(_ error: YamlError) -> SettingsFault {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            SettingsFault(
                key: "", place: "line \(mark.line)", message: "the file is not YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            SettingsFault(
                key: SettingText.shown(duplicates.sorted().joined(separator: ", ")),
                place: "line \(context.mark.line)", message: "is given twice")
        default: SettingsFault(key: "", place: "", message: "the file is not YAML")
        }
    }

    private static func checkDepth(_ yaml: String) throws(SettingsFault) {
        guard yaml.utf8.count <= byteCountMax else {
            throw SettingsFault(
                key: "", place: "",
                message: "the file has \(yaml.utf8.count) bytes, \(byteCountMax) are allowed")
        }
        var brackets = 0
        var line = 1
        var indentation = 0
        var isLeading = true
        for byte in yaml.utf8 {
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: "\r"):
                line += 1
                indentation = 0
                isLeading = true
            case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "?"), UInt8(ascii: "\t"):
                if isLeading { indentation += 1 }
            default:
                if byte == UInt8(ascii: "[") || byte == UInt8(ascii: "{") { brackets += 1 }
                // A comment may be indented and hold brackets as it likes.
                if isLeading, byte == UInt8(ascii: "#") { indentation = 0 }
                isLeading = false
            }
            guard indentation <= indentationMax, brackets <= bracketsMax else {
                throw SettingsFault(
                    key: "", place: "line \(line)", message: "values lie too deep in each other")
            }
        }
    }
}
