// Which models there are and which version a call gets. Everything is in memory: asking never reads a file
// and never wakes a model.

package import Contract
private import Synchronization

/// The catalogue. Any thread may ask; scans and load/unload requests change it.
package final class Registry: Sendable {
    /// The versions of one name.
    private struct Family {
        /// Ascending by version, never empty.
        var entries: [ModelEntry]
        /// Taken out of service by a client, until a client loads it again (OIP 9).
        var unloaded = false

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
    }

    private struct Shelf {
        var families: [String: Family] = [:]
        var nextIndex = 0
    }

    private let shelf = Mutex(Shelf())
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

    /// Versions known, broken ones and those out of service included.
    package var count: Int {
        families().reduce(0) { $0 + $1.value.entries.count }
    }

    /// Every entry, by name and version.
    package var entries: [ModelEntry] {
        families().sorted { $0.key < $1.key }.flatMap(\.value.entries)
    }

    private func families() -> [String: Family] { shelf.withLock { $0.families } }
}

// MARK: - A call asks

extension Registry {
    /// The version a call runs on: the highest when `version` is empty. Throws NOT_FOUND, INVALID_ARGUMENT for
    /// a version that is no version, UNAVAILABLE while out of service, FAILED_PRECONDITION when broken.
    package func select(name: String, version: String) throws(CallFailure) -> ModelEntry {
        let (entry, unloaded) = try known(name: name, version: version)
        if unloaded { throw Registry.unloadedFailure(name) }
        if let fault = entry.fault { throw entry.brokenFailure(fault) }
        return entry
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
        let (entry, _) = try known(name: name, version: version)
        if let fault = entry.fault { throw entry.brokenFailure(fault) }
        let versions = families()[entry.name]?.entries.map(\.version) ?? [entry.version]
        return ModelMetadata(
            name: entry.name, versions: versions, platform: ModelEntry.platform,
            signature: entry.signature)
    }

    /// The version of that number, or every version when `version` is empty; broken and out of service too. Never
    /// empty. Throws NOT_FOUND, INVALID_ARGUMENT for a version that is no version.
    package func versions(of name: String, version: String) throws(CallFailure) -> [ModelEntry] {
        guard version.isEmpty else { return [try known(name: name, version: version).entry] }
        guard let family = shelf.withLock({ $0.families[name] }) else { throw unknown(name) }
        return family.entries
    }

    private func known(
        name: String, version: String
    ) throws(CallFailure) -> (entry: ModelEntry, unloaded: Bool) {
        var number: Int64 = 0
        if !version.isEmpty {
            guard let parsed = ModelVersion(version) else {
                throw Registry.badVersion(name, version)
            }
            number = parsed.number
        }
        let found = shelf.withLock { shelf -> (entry: ModelEntry?, unloaded: Bool)? in
            guard let family = shelf.families[name] else { return nil }
            let entry = number == 0 ? family.entries.last : family.entry(numbered: number)
            return (entry, family.unloaded)
        }
        guard let found else { throw unknown(name) }
        guard let entry = found.entry else {
            throw CallFailure(
                .notFound, .modelNotFound,
                "model \(Wording.quoted(name)) has no version \(version)", notStarted: true)
        }
        return (entry, found.unloaded)
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
                + "whole number without leading zeros", notStarted: true)
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

// MARK: - Operators and scans change it

extension Registry {
    /// What a scan changed.
    package struct Change: Sendable {
        /// New or changed versions.
        package var added: [ModelEntry] = []
        /// Versions that are gone or have been replaced by one of `added`: their sessions can be freed.
        package var removed: [ModelEntry] = []

        package var isEmpty: Bool { added.isEmpty && removed.isEmpty }
    }

    /// Takes in the outcome of a scan. A version whose files did not change keeps its entry; a name that a
    /// client has taken out of service stays out. When a name and version comes twice, the first wins.
    @discardableResult
    package func replace(with models: [ScannedModel]) -> Change {
        let change = shelf.withLock { shelf -> Change in
            var change = Change()
            var families: [String: Family] = [:]
            families.reserveCapacity(models.count)
            for model in models {
                let name = model.name.text
                let old = shelf.families[name]
                if families[name]?.entries.contains(where: {
                    $0.versionNumber == model.version.number
                }) == true {
                    continue
                }
                let entry: ModelEntry
                if let kept = old?.entry(numbered: model.version.number), kept.scanned == model {
                    entry = kept
                } else {
                    entry = ModelEntry(index: shelf.nextIndex, model)
                    shelf.nextIndex += 1
                    change.added.append(entry)
                }
                families[
                    name, default: Family(entries: [], unloaded: old?.unloaded ?? false)
                ].entries.append(entry)
            }
            for name in families.keys {
                families[name]?.entries.sort { $0.versionNumber < $1.versionNumber }
            }
            for (name, family) in shelf.families {
                for entry in family.entries
                where families[name]?.entry(numbered: entry.versionNumber) !== entry {
                    change.removed.append(entry)
                }
            }
            shelf.families = families
            return change
        }
        if !change.isEmpty { self.change.add(1, ordering: .acquiringAndReleasing) }
        return change
    }

    /// Triton's load: puts every version back into service. Answers the highest version, which the caller may
    /// wake. Throws NOT_FOUND, or FAILED_PRECONDITION when that version is broken.
    package func putInService(_ name: String) throws(CallFailure) -> ModelEntry {
        let entries = try setUnloaded(name, false)
        guard let highest = entries.last else { throw Registry.notFound(name) }
        if let fault = highest.fault { throw highest.brokenFailure(fault) }
        return highest
    }

    /// Triton's unload: every version is out of service until it is loaded again. Answers the entries, whose
    /// sessions can be freed once their calls have ended. Throws NOT_FOUND.
    @discardableResult
    package func takeOutOfService(_ name: String) throws(CallFailure) -> [ModelEntry] {
        try setUnloaded(name, true)
    }

    private func setUnloaded(_ name: String, _ unloaded: Bool) throws(CallFailure) -> [ModelEntry] {
        let entries = shelf.withLock { shelf -> [ModelEntry]? in
            guard shelf.families[name] != nil else { return nil }
            shelf.families[name]?.unloaded = unloaded
            return shelf.families[name]?.entries
        }
        guard let entries else { throw Registry.notFound(name) }
        change.add(1, ordering: .acquiringAndReleasing)
        return entries
    }
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
        for (name, family) in families().sorted(by: { $0.key < $1.key }) where visible(name) {
            for entry in family.entries {
                let trouble = entry.fault ?? (family.unloaded ? Registry.unloadedReason : nil)
                if readyOnly, trouble != nil { continue }
                lines.append(
                    IndexEntry(
                        name: name, version: entry.version,
                        state: trouble == nil ? "READY" : "UNAVAILABLE",
                        reason: trouble ?? reason(entry)))
            }
        }
        return lines
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
}
