// Which models there are and which version a call gets. Everything is in memory: asking never reads a file
// and never wakes a model.

package import Contract
import Synchronization

/// The catalogue. Any thread may ask; scans, operators and trials change it.
package final class Registry: Sendable {
    /// The versions of one name.
    struct Family {
        /// Ascending by version, never empty.
        var entries: [ModelEntry]
        /// What a call without a version gets; one of `entries`.
        var latest: ModelEntry
        /// Taken out of service by a client, until a client loads it again (OIP 9).
        var unloaded = false
        /// The same of single versions.
        var unloadedVersions: Set<Int64> = []
        /// Why the trial of a version failed, by the entry's index.
        var doubts: [Int: String] = [:]
        /// Why a version is kept away, by the entry's index.
        var quarantined: [Int: Quarantine] = [:]

        /// The entry with this number; versions are few, but nothing bounds them, so by halves.
        func entry(numbered number: Int64) -> ModelEntry? {
            var low = 0
            var high = entries.count
            while low < high {
                let middle = (low + high) / 2
                if entries[middle].versionNumber < number {
                    low = middle + 1
                } else {
                    high = middle
                }
            }
            return low < entries.count && entries[low].versionNumber == number ? entries[low] : nil
        }

        func isUnloaded(_ entry: ModelEntry) -> Bool {
            unloaded || unloadedVersions.contains(entry.versionNumber)
        }
    }

    struct Shelf {
        var families: [String: Family] = [:]
        /// Also of models that are not there now.
        var books: [String: FamilyBook] = [:]
        /// By model; see ``Registry/quarantine(_:)``.
        var quarantine: [String: [Quarantine]] = [:]
        var nextIndex = 0
    }

    let shelf = Mutex(Shelf())
    private let change = Atomic<UInt64>(0)
    /// Why a model that is unknown may exist all the same; nil when the repository has been looked at.
    private let gap = Mutex<String?>(nil)

    package init() {}

    package convenience init(_ models: [ScannedModel]) {
        self.init()
        replace(with: models)
    }

    /// Counts every change of what ``select(name:version:)`` could answer.
    package var generation: UInt64 { change.load(ordering: .acquiring) }

    func hasChanged() { change.add(1, ordering: .acquiringAndReleasing) }

    /// Versions known, broken ones and those out of service included.
    package var count: Int {
        families().reduce(0) { $0 + $1.value.entries.count }
    }

    /// Versions that are kept away.
    package var quarantinedCount: Int {
        families().reduce(0) { $0 + $1.value.quarantined.count }
    }

    /// Every entry, by name and version.
    package var entries: [ModelEntry] {
        families().sorted { $0.key < $1.key }.flatMap(\.value.entries)
    }

    func families() -> [String: Family] { shelf.withLock { $0.families } }
}

// MARK: - A call asks

extension Registry {
    /// What a version's text led to.
    private struct Known {
        var entry: ModelEntry
        var isUnloaded: Bool
        var quarantine: Quarantine?
    }

    /// The version a call runs on: the latest when `version` is empty or `latest`, else the one of that number or
    /// alias. Throws NOT_FOUND, INVALID_ARGUMENT for what is neither, UNAVAILABLE while out of service,
    /// FAILED_PRECONDITION when broken or quarantined.
    package func select(name: String, version: String) throws(CallFailure) -> ModelEntry {
        let known = try known(name: name, version: version)
        if known.isUnloaded { throw Registry.unloadedFailure(name) }
        if let fault = known.entry.fault { throw known.entry.brokenFailure(fault) }
        if let quarantine = known.quarantine { throw quarantine.failure(of: known.entry) }
        return known.entry
    }

    /// True when a call would be taken, at rest or awake.
    package func isReady(name: String, version: String) -> Bool {
        do {
            _ = try select(name: name, version: version)
            return true
        } catch {
            // Every reason a call would not be taken means the same here.
            return false
        }
    }

    /// What is known about the model without loading it; out of service or not.
    package func metadata(name: String, version: String) throws(CallFailure) -> ModelMetadata {
        let entry = try known(name: name, version: version).entry
        if let fault = entry.fault { throw entry.brokenFailure(fault) }
        let (family, book) = shelf.withLock { ($0.families[name], $0.books[name]) }
        var metadata = ModelMetadata(
            name: entry.name, versions: family?.entries.map(\.version) ?? [entry.version],
            platform: ModelEntry.platform, signature: entry.signature,
            batchMax: entry.limits.batch)
        metadata.aliases[AliasName.latest] = family?.latest.version
        for (alias, target) in book?.aliases ?? [:] {
            metadata.aliases[alias.text] = String(target.version)
        }
        return metadata
    }

    /// The version of that number or alias, or every version when `version` is empty; broken and out of service too.
    /// Never empty. Throws NOT_FOUND, INVALID_ARGUMENT for a version that is none.
    package func versions(of name: String, version: String) throws(CallFailure) -> [ModelEntry] {
        guard version.isEmpty else { return [try known(name: name, version: version).entry] }
        guard let family = shelf.withLock({ $0.families[name] }) else { throw unknown(name) }
        return family.entries
    }

    private func known(name: String, version: String) throws(CallFailure) -> Known {
        guard let choice = VersionChoice(version) else { throw Registry.badVersion(name, version) }
        let found = shelf.withLock { shelf -> (isKnown: Bool, version: Known?) in
            guard let family = shelf.families[name] else { return (false, nil) }
            let entry: ModelEntry? =
                switch choice {
                case .latest: family.latest
                case .number(let version): family.entry(numbered: version.number)
                case .alias(let alias):
                    shelf.books[name]?.aliases[alias].flatMap { family.entry(numbered: $0.version) }
                }
            guard let entry else { return (true, nil) }
            return (
                true,
                Known(
                    entry: entry, isUnloaded: family.isUnloaded(entry),
                    quarantine: family.quarantined[entry.index])
            )
        }
        guard found.isKnown else { throw unknown(name) }
        guard let known = found.version else { throw Registry.noVersion(name, choice) }
        return known
    }

    /// The answer for a version or an alias that is not there, or an alias whose version has gone.
    static func noVersion(_ name: String, _ choice: VersionChoice) -> CallFailure {
        let what =
            switch choice {
            case .latest: "no version"
            case .number(let version): "no version \(version)"
            case .alias(let alias): "no alias '\(alias)', or its version is not there"
            }
        return CallFailure(
            .notFound, .modelNotFound, "model \(Wording.quoted(name)) has \(what)",
            notStarted: true)
    }

    /// The answer for a model that is unknown or not this caller's: one text, so that nobody can tell which.
    package static func notFound(_ name: String) -> CallFailure {
        CallFailure(
            .notFound, .modelNotFound, "model \(Wording.quoted(name)) is not known",
            notStarted: true)
    }

    /// What is answered for a name that is not known, or not this caller's: NOT_FOUND, or UNAVAILABLE while nobody
    /// can say which models there are.
    package func unknown(_ name: String) -> CallFailure {
        guard let reason = gap.withLock({ $0 }) else { return Registry.notFound(name) }
        return CallFailure(
            .unavailable, .storeUnavailable,
            "model \(Wording.quoted(name)) is not known: \(reason)", notStarted: true,
            retryAfter: .seconds(1))
    }

    /// - Parameter reason: half a sentence, while the repository has never been looked at; nil once it has.
    package func mayMiss(_ reason: String?) { gap.withLock { $0 = reason } }

    private static func badVersion(_ name: String, _ version: String) -> CallFailure {
        CallFailure(
            .invalidArgument, .badMessage,
            "model \(Wording.quoted(name)): version \(Wording.quoted(version)) is not a positive "
                + "whole number without leading zeros, and no alias", notStarted: true)
    }

    private static func unloadedFailure(_ name: String) -> CallFailure {
        CallFailure(
            .unavailable, .modelUnloaded,
            "model \(Wording.quoted(name)) is out of service: \(unloadedReason)",
            notStarted: true)
    }

    /// What the index says of a model a client has taken out of service, as Triton words it.
    package static let unloadedReason = "unloaded by CLIENT"
}

// MARK: - The index

extension Registry {
    /// The repository index (OIP 4.2), by name and version. A model at rest is READY: it is served on demand.
    /// - Parameters:
    ///   - readyOnly: leaves out what cannot be called.
    ///   - visible: whether this caller may know of the model.
    ///   - reason: what to say of a version that can be called, for example `asleep`; may be empty.
    package func index(
        readyOnly: Bool = false, visible: (String) -> Bool = { _ in true },
        reason: (ModelEntry) -> String = { _ in "" }
    ) -> [IndexEntry] {
        var lines: [IndexEntry] = []
        let (families, books) = shelf.withLock { ($0.families, $0.books) }
        func standing(_ entry: ModelEntry, _ family: Family) -> String? {
            (books[entry.name] ?? FamilyBook()).reasonNotLatest(
                entry, latest: family.latest, doubt: family.doubts[entry.index])
        }
        for (name, family) in families.sorted(by: { $0.key < $1.key }) where visible(name) {
            for entry in family.entries {
                let trouble =
                    entry.fault
                    ?? (family.isUnloaded(entry) ? Registry.unloadedReason : nil)
                    ?? family.quarantined[entry.index]?.reason(of: entry)
                if readyOnly, trouble != nil { continue }
                lines.append(
                    IndexEntry(
                        name: name, version: entry.version,
                        state: trouble == nil ? "READY" : "UNAVAILABLE",
                        reason: trouble ?? Registry.said(reason(entry), standing(entry, family))))
            }
        }
        return lines
    }
}

extension Registry {
    private static func said(_ reason: String, _ standing: String?) -> String {
        guard let standing else { return reason }
        return reason.isEmpty ? standing : reason + "; " + standing
    }
}

/// The last selection of one connection: most connections call one model, and asking again costs neither a
/// lock nor a look-up while the registry has not changed. Owned by one event loop.
package struct RecentSelection {
    private var generation: UInt64 = 0
    private var name = ""
    private var version = ""
    private var entry: ModelEntry?

    package init() {}

    /// As ``Registry/select(name:version:)``.
    package mutating func select(
        name: String, version: String, from registry: Registry
    ) throws(CallFailure) -> ModelEntry {
        // Read before the look-up: a change in between makes the kept answer stale, never wrongly fresh.
        let now = registry.generation
        if let entry, generation == now, self.name == name, self.version == version { return entry }
        let selected = try registry.select(name: name, version: version)
        (generation, self.name, self.version, entry) = (now, name, version, selected)
        return selected
    }

    /// The model's name, or an empty one when there is none to be called: for those who count by model, so that no caller
    /// invents names for them.
    package mutating func counted(
        _ name: String, version: String, by registry: Registry
    ) -> String {
        guard !name.isEmpty else { return "" }
        do throws(CallFailure) {
            return try select(name: name, version: version, from: registry).name
        } catch {
            return ""
        }
    }
}
