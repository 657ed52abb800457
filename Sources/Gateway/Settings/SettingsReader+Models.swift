// `models.rules`: what is wanted of some models' memory, a list of maps like the issuers.

package import Contract
import Foundation
import Shards

/// One of `models.rules` as it is written.
package struct ModelRuleText: Sendable, Equatable {
    package var match = ""
    package var idle = Nanoseconds.zero
    package var keepWarm = ""
    package var timeZone = "UTC"
    package var isPinned = false

    /// The keys of one of `models.rules`.
    package static var keys: [String] { rules.map(\.key) }

    static let rules: [SettingRule<ModelRuleText>] = [
        .text("match", "a model's name, or the beginning of names and *", \.match, isPattern),
        .time("idle", .seconds(1)...(.seconds(604_800)), \.idle, orZero: true),
        .text("keep_warm", "five fields as cron has them, like * 8-17 * * 1-5", \.keepWarm),
        .text("time_zone", "a time zone like Europe/Vienna, or UTC", \.timeZone, isZone),
        .flag("pin", \.isPinned),
    ]

    private static let isPattern: @Sendable (String) -> Bool = { text in
        let name = text.hasSuffix("*") ? text.dropLast() : Substring(text)
        return text == "*" || ModelName(String(name)) != nil
    }

    private static let isZone: @Sendable (String) -> Bool = { text in
        text.utf8.count <= 64 && TimeZone(identifier: text) != nil
    }
}

extension SettingsReader {
    static let modelRulesMax = 256

    mutating func readModelRules() {
        var rules: [ModelRule] = []
        while rules.count < SettingsReader.modelRulesMax {
            let prefix = "models.rules.\(rules.count)."
            let isThere =
                sources.document.entries.contains { $0.key.hasPrefix(prefix) }
                || sources.find(prefix + "match", isList: false) != nil
            guard isThere else { break }
            var text = ModelRuleText()
            for rule in ModelRuleText.rules { read(rule, prefix: prefix, into: &text) }
            rules.append(rule(text, prefix))
        }
        if sources.document.entries.contains(where: {
            $0.key.hasPrefix("models.rules.\(SettingsReader.modelRulesMax).")
        }) {
            fault("models.rules", "", "has more than \(SettingsReader.modelRulesMax) rules")
        }
        settings.models.rules = rules
    }

    private mutating func rule(_ text: ModelRuleText, _ prefix: String) -> ModelRule {
        var rule = ModelRule()
        rule.match = text.match
        rule.isPinned = text.isPinned
        rule.zone = TimeZone(identifier: text.timeZone) ?? .gmt
        func isGiven(_ key: String) -> Bool { sources.find(prefix + key, isList: false) != nil }
        if isGiven("idle") { rule.idle = text.idle }
        if !isGiven("match") { fault(prefix + "match", "", "is missing") }
        if isGiven("keep_warm") {
            do throws(CronFault) {
                rule.keepWarm = try Cron(text.keepWarm)
            } catch {
                fault(
                    prefix + "keep_warm", place(prefix + "keep_warm"),
                    "\(SettingText.shown(text.keepWarm)) is no window: \(error.message)")
            }
        } else if isGiven("time_zone") {
            fault(
                prefix + "time_zone", place(prefix + "time_zone"),
                "means nothing without keep_warm")
        }
        if !isGiven("idle"), !isGiven("keep_warm"), !isGiven("pin"), isGiven("match") {
            fault(
                prefix + "match", place(prefix + "match"),
                "wants nothing: give idle, keep_warm or pin")
        }
        return rule
    }

    mutating func checkModelRuleKey(_ entry: SettingsDocument.Entry) {
        if case .empty = entry.value, entry.path.count == 2 { return }
        if case .list(let values) = entry.value, entry.path.count == 2, values.isEmpty { return }
        guard entry.path.count == 4, UInt16(entry.path[2]) != nil else {
            return fault(
                entry.key, "line \(entry.line)", "must be a list of rules, each with a match")
        }
        if ModelRuleText.keys.contains(entry.path[3]) { return }
        let prefix = "models.rules.\(entry.path[2])."
        unknown(entry, ModelRuleText.keys.map { prefix + $0 }, prefix: prefix)
    }
}
