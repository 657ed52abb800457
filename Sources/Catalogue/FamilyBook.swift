// What is remembered of one model's versions: which is latest, which names stand for which, what has proved itself, what
// is pinned. A value, so that every move can be tried out before it is written down; kept over restarts (VersionBooks).

package import Contract

/// One model's page. Holds numbers only: whether such a version is there is the registry's to know.
package struct FamilyBook: Sendable, Equatable {
    /// The most aliases of one model.
    package static let aliasesMax = 16
    /// The most versions of one model whose proofs, and whose pins, are remembered.
    package static let versionsMax = 64

    /// A version, and the files it had: another content is another version.
    package struct Proof: Sendable, Equatable {
        package var version: Int64
        /// ``ModelEntry/contentKey``.
        package var files: UInt64

        package init(version: Int64, files: UInt64) {
            self.version = version
            self.files = files
        }
    }

    /// Where an alias points.
    package struct Target: Sendable, Equatable {
        package var version: Int64
        /// Where it pointed before; nil when it did not.
        package var before: Int64?

        package init(version: Int64, before: Int64? = nil) {
            self.version = version
            self.before = before
        }
    }

    package var aliases: [AliasName: Target] = [:]
    /// Nil while nothing is remembered: then the highest version is latest.
    package var latest: Proof?
    /// What was latest before; nil when nothing was.
    package var before: Int64?
    /// After a rollback: `latest` stays until a version above this one has proved itself.
    package var hold: Int64?
    package var proofs: [Int64: UInt64] = [:]
    package var pinsEvery = false
    package var pins: Set<Int64> = []

    package init() {}

    package var isEmpty: Bool { self == FamilyBook() }

    package func isPinned(_ version: Int64) -> Bool { pinsEvery || pins.contains(version) }

    package func isProved(_ entry: ModelEntry) -> Bool {
        proofs[entry.versionNumber] == entry.contentKey
    }
}

// MARK: - Which is latest

extension FamilyBook {
    /// The version that calls without one get.
    /// - Parameters:
    ///   - entries: Ascending, not empty.
    ///   - current: What it was until now in this process; nil at the first scan.
    package func latest(among entries: [ModelEntry], current: Int64?) -> ModelEntry {
        precondition(!entries.isEmpty, "a family without versions")
        let sound = entries.filter { $0.fault == nil }
        if let latest,
            let kept = sound.first(where: {
                $0.versionNumber == latest.version && $0.contentKey == latest.files
            })
        {
            return kept
        }
        if let kept = sound.first(where: { $0.versionNumber == current }) { return kept }
        return sound.last(where: isProved) ?? sound.last ?? entries[entries.count - 1]
    }

    /// The newest version that could become latest if it proves itself; nil when there is none.
    package func candidate(
        among entries: [ModelEntry], latest: ModelEntry, isOut: (ModelEntry) -> Bool
    ) -> ModelEntry? {
        let least = max(latest.versionNumber, hold ?? 0)
        return entries.last { $0.versionNumber > least && $0.fault == nil && !isOut($0) }
    }

    /// Why `latest` does not go to this version; nil when it does, or the version is older.
    package func reasonNotLatest(
        _ entry: ModelEntry, latest: ModelEntry, doubt: String?
    ) -> String? {
        guard entry.versionNumber > latest.versionNumber, entry.fault == nil else { return nil }
        if let doubt { return "latest stays at version \(latest.version): \(doubt)" }
        if let hold, entry.versionNumber <= hold {
            return "latest was rolled back to version \(latest.version)"
        }
        return "latest stays at version \(latest.version) until this one has proved itself"
    }
}

// MARK: - Moves

extension FamilyBook {
    /// The version has been loaded and has given the right answers.
    package mutating func prove(_ entry: ModelEntry) {
        proofs[entry.versionNumber] = entry.contentKey
        let wanted = Set(
            [entry.versionNumber, latest?.version, before].compactMap { $0 }
                + aliases.values.flatMap { [$0.version, $0.before ?? $0.version] })
        for version in proofs.keys.sorted()
        where proofs.count > FamilyBook.versionsMax && !wanted.contains(version) {
            proofs[version] = nil
        }
    }

    /// A version that has proved itself becomes latest, if it is newer. False when nothing moved.
    package mutating func advance(to entry: ModelEntry, from current: ModelEntry) -> Bool {
        guard entry.versionNumber > max(current.versionNumber, hold ?? 0) else { return false }
        before = current.versionNumber
        latest = Proof(version: entry.versionNumber, files: entry.contentKey)
        hold = nil
        return true
    }

    /// The alias stands for this version from now on. Returns what it stood for. Throws RESOURCE_EXHAUSTED.
    package mutating func set(
        _ alias: AliasName, to entry: ModelEntry
    ) throws(CallFailure) -> Int64? {
        let old = aliases[alias]
        guard old != nil || aliases.count < FamilyBook.aliasesMax else {
            throw CallFailure(
                .resourceExhausted, .none,
                "model '\(entry.name)' has \(aliases.count) aliases, which is the most there may be: "
                    + "remove one", notStarted: true)
        }
        if old?.version != entry.versionNumber {
            aliases[alias] = Target(version: entry.versionNumber, before: old?.version)
        }
        return old?.version
    }

    /// The version an alias goes to when it is rolled back; nil when it has none before it.
    package func before(_ alias: AliasName) -> Int64? { aliases[alias]?.before }

    /// The version that was latest before, or the next older one that can be served when nothing is remembered.
    package func beforeLatest(among entries: [ModelEntry], latest: ModelEntry) -> ModelEntry? {
        if let before, let entry = entries.first(where: { $0.versionNumber == before }) {
            return entry
        }
        return entries.last { $0.versionNumber < latest.versionNumber && $0.fault == nil }
    }

    /// Latest stands at this version until one above `current` has proved itself.
    package mutating func rollBack(to entry: ModelEntry, from current: ModelEntry) {
        let above = max(current.versionNumber, hold ?? 0)
        hold = entry.versionNumber >= above ? nil : above
        before = current.versionNumber
        latest = Proof(version: entry.versionNumber, files: entry.contentKey)
    }

    /// Latest goes by itself again: to the newest version that has proved itself. Returns it.
    package mutating func letGo(among entries: [ModelEntry], from current: ModelEntry) -> ModelEntry
    {
        hold = nil
        let newest =
            entries.last {
                $0.fault == nil && $0.versionNumber > current.versionNumber && isProved($0)
            } ?? current
        if newest !== current { before = current.versionNumber }
        latest = Proof(version: newest.versionNumber, files: newest.contentKey)
        return newest
    }

    /// Pins or unpins one version, or every one when `version` is nil.
    package mutating func pin(_ isPinned: Bool, _ version: Int64?, known: [Int64]) {
        guard let version else {
            pinsEvery = isPinned
            pins = []
            return
        }
        if isPinned {
            if !pinsEvery { pins.insert(version) }
        } else {
            // All but one: those there are, by their numbers.
            if pinsEvery { pins = Set(known) }
            pinsEvery = false
            pins.remove(version)
        }
        while pins.count > FamilyBook.versionsMax, let oldest = pins.min() { pins.remove(oldest) }
    }
}
