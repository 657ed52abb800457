// What is allowed for each key, as a table: the reader, the check of unknown keys and the tests all go by it.

import Contract

/// One key of a part of the settings.
struct SettingRule<Root>: Sendable {
    /// The path from the part's root, with dots.
    var key: String
    /// What a value must be, after "must be".
    var allowed: String
    var isList = false
    /// A list of one may be written without brackets.
    var takesOne = false
    /// A value that is no secret must not be shown when this is true.
    var isSecret = false
    /// Takes the value in; false when it is not allowed. One element unless `isList`.
    var accept: @Sendable ([String], inout Root) -> Bool
}

extension SettingRule {
    /// The same rule of a list, for which one value will do.
    var orOne: SettingRule {
        var rule = self
        rule.takesOne = true
        return rule
    }

    private static func single(
        _ key: String, _ allowed: String, _ accept: @escaping @Sendable (String, inout Root) -> Bool
    ) -> SettingRule {
        SettingRule(key: key, allowed: allowed) { values, root in
            guard let value = values.first else { return false }
            return accept(value, &root)
        }
    }

    static func size(
        _ key: String, _ range: ClosedRange<UInt64>,
        _ path: any WritableKeyPath<Root, Int> & Sendable
    ) -> SettingRule {
        let allowed =
            "a size from \(SettingText.written(size: range.lowerBound)) to "
            + "\(SettingText.written(size: range.upperBound)), like 4096, 64KiB, 64MiB or 2GiB"
        return single(key, allowed) { text, root in
            guard let size = SettingText.size(text), range.contains(size) else { return false }
            root[keyPath: path] = Int(size)
            return true
        }
    }

    static func count(
        _ key: String, _ range: ClosedRange<UInt64>,
        _ path: any WritableKeyPath<Root, Int> & Sendable
    ) -> SettingRule {
        single(key, "a whole number from \(range.lowerBound) to \(range.upperBound)") {
            text, root in
            guard let number = SettingText.wholeNumber(text), range.contains(number) else {
                return false
            }
            root[keyPath: path] = Int(number)
            return true
        }
    }

    /// `auto`, or a number.
    static func automatic(
        _ key: String, _ range: ClosedRange<UInt64>,
        _ path: any WritableKeyPath<Root, Int?> & Sendable
    ) -> SettingRule {
        let allowed = "auto, or a whole number from \(range.lowerBound) to \(range.upperBound)"
        return single(key, allowed) { text, root in
            if text == "auto" {
                root[keyPath: path] = nil
                return true
            }
            guard let number = SettingText.wholeNumber(text), range.contains(number) else {
                return false
            }
            root[keyPath: path] = Int(number)
            return true
        }
    }

    /// `auto`, or a size.
    static func automaticSize(
        _ key: String, _ range: ClosedRange<UInt64>,
        _ path: any WritableKeyPath<Root, Int?> & Sendable
    ) -> SettingRule {
        let allowed =
            "auto, or a size from \(SettingText.written(size: range.lowerBound)) to "
            + "\(SettingText.written(size: range.upperBound)), like 64MiB or 2GiB"
        return single(key, allowed) { text, root in
            if text == "auto" {
                root[keyPath: path] = nil
                return true
            }
            guard let size = SettingText.size(text), range.contains(size) else { return false }
            root[keyPath: path] = Int(size)
            return true
        }
    }

    static func time(
        _ key: String, _ range: ClosedRange<Nanoseconds>,
        _ path: any WritableKeyPath<Root, Nanoseconds> & Sendable, orZero: Bool = false
    ) -> SettingRule {
        let allowed =
            (orZero ? "0, or " : "")
            + "a time from \(SettingText.written(time: range.lowerBound)) to "
            + "\(SettingText.written(time: range.upperBound)), like 100us, 30s, 5m or 1h"
        return single(key, allowed) { text, root in
            guard let time = SettingText.time(text),
                range.contains(time) || (orZero && time == .zero)
            else { return false }
            root[keyPath: path] = time
            return true
        }
    }

    static func endpoint(
        _ key: String, _ path: any WritableKeyPath<Root, Endpoint> & Sendable
    ) -> SettingRule {
        single(key, "HOST:PORT, like 0.0.0.0:8443, localhost:0 or [::1]:8443") { text, root in
            guard let endpoint = Endpoint(text) else { return false }
            root[keyPath: path] = endpoint
            return true
        }
    }

    static func choice<Choice: RawRepresentable & CaseIterable & Sendable>(
        _ key: String, _ path: any WritableKeyPath<Root, Choice> & Sendable
    ) -> SettingRule where Choice.RawValue == String {
        let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        return single(key, "one of \(words)") { text, root in
            guard let choice = Choice(rawValue: text) else { return false }
            root[keyPath: path] = choice
            return true
        }
    }

    static func flag(
        _ key: String, _ path: any WritableKeyPath<Root, Bool> & Sendable
    ) -> SettingRule {
        single(key, "true or false") { text, root in
            switch text.lowercased() {
            case "true", "yes", "1", "on": root[keyPath: path] = true
            case "false", "no", "0", "off": root[keyPath: path] = false
            default: return false
            }
            return true
        }
    }

    static func text(
        _ key: String, _ allowed: String, _ path: any WritableKeyPath<Root, String> & Sendable,
        _ isAllowed: @escaping @Sendable (String) -> Bool = { _ in true }
    ) -> SettingRule {
        single(key, allowed) { text, root in
            guard isAllowed(text) else { return false }
            root[keyPath: path] = text
            return true
        }
    }

    /// The path of a file, or a word that may be absent.
    static func optionalText(
        _ key: String, _ allowed: String, _ path: any WritableKeyPath<Root, String?> & Sendable,
        _ isAllowed: @escaping @Sendable (String) -> Bool = { _ in true }
    ) -> SettingRule {
        single(key, allowed) { text, root in
            guard isAllowed(text) else { return false }
            root[keyPath: path] = text
            return true
        }
    }

    static func list(
        _ key: String, _ allowed: String, _ path: any WritableKeyPath<Root, [String]> & Sendable,
        _ isAllowed: @escaping @Sendable (String) -> Bool
    ) -> SettingRule {
        SettingRule(key: key, allowed: allowed, isList: true) { values, root in
            guard values.count <= 256, values.allSatisfy(isAllowed) else { return false }
            root[keyPath: path] = values
            return true
        }
    }
}
