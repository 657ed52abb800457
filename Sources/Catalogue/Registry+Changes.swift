// What changes the catalogue: scans, clients that load and unload, trials and moves of aliases, quarantine.

package import Contract
import Synchronization

extension Registry {
    /// What a scan changed.
    package struct Change: Sendable {
        /// New or changed versions.
        package var added: [ModelEntry] = []
        /// Versions that are gone or have been replaced by one of `added`: their sessions can be freed.
        package var removed: [ModelEntry] = []
        /// Versions that become latest when they have proved themselves; at most one of each model.
        package var candidates: [ModelEntry] = []

        package var isEmpty: Bool { added.isEmpty && removed.isEmpty }
    }

    /// Takes in the outcome of a scan. A version whose files did not change keeps its entry; a name that a
    /// client has taken out of service stays out. When a name and version comes twice, the first wins. A version
    /// newer than the latest is a candidate, and latest only when there was none before.
    @discardableResult
    package func replace(with models: [ScannedModel]) -> Change {
        let change = shelf.withLock { shelf -> Change in
            var change = Change()
            var families: [String: [ModelEntry]] = [:]
            families.reserveCapacity(models.count)
            for model in models {
                let name = model.name.text
                if families[name]?.contains(where: {
                    $0.versionNumber == model.version.number
                }) == true {
                    continue
                }
                let entry: ModelEntry
                if let kept = shelf.families[name]?.entry(numbered: model.version.number),
                    kept.scanned == model
                {
                    entry = kept
                } else {
                    entry = ModelEntry(index: shelf.nextIndex, model)
                    shelf.nextIndex += 1
                    change.added.append(entry)
                }
                families[name, default: []].append(entry)
            }
            let old = shelf.families
            shelf.families.removeAll(keepingCapacity: true)
            for (name, entries) in families {
                shelf.families[name] = shelf.family(
                    of: entries.sorted { $0.versionNumber < $1.versionNumber }, before: old[name])
                if entries.count > 1, let candidate = shelf.candidate(name) {
                    change.candidates.append(candidate)
                }
            }
            for (name, family) in old {
                for entry in family.entries
                where shelf.families[name]?.entry(numbered: entry.versionNumber) !== entry {
                    change.removed.append(entry)
                }
            }
            return change
        }
        if !change.isEmpty { hasChanged() }
        return change
    }
}

extension Registry.Shelf {
    /// A family as its book and its past say it is.
    fileprivate func family(
        of entries: [ModelEntry], before: Registry.Family?
    ) -> Registry.Family {
        let name = entries[0].name
        let book = books[name] ?? FamilyBook()
        let latest = book.latest(among: entries, current: before?.latest.versionNumber)
        var family = Registry.Family(entries: entries, latest: latest)
        if let before {
            family.unloaded = before.unloaded
            family.unloadedVersions = before.unloadedVersions.filter {
                family.entry(numbered: $0) != nil
            }
            family.doubts = before.doubts.filter { doubt in
                entries.contains { $0.index == doubt.key }
            }
        }
        for suspect in quarantine[name] ?? [] {
            if let entry = family.entry(numbered: suspect.version),
                entry.contentKey == suspect.files
            {
                family.quarantined[entry.index] = suspect
            }
        }
        return family
    }

    fileprivate func candidate(_ name: String) -> ModelEntry? {
        guard let family = families[name] else { return nil }
        return (books[name] ?? FamilyBook()).candidate(
            among: family.entries, latest: family.latest,
            isOut: {
                family.doubts[$0.index] != nil || family.quarantined[$0.index] != nil
                    || family.isUnloaded($0)
            })
    }

    fileprivate mutating func renew(_ name: String) {
        guard let family = families[name] else { return }
        families[name] = self.family(of: family.entries, before: family)
    }
}

// MARK: - In and out of service

extension Registry {
    /// Triton's load: puts every version back into service, or the one named. Answers the version that the caller may
    /// wake: the one named, else the latest. Throws NOT_FOUND, INVALID_ARGUMENT, FAILED_PRECONDITION.
    package func putInService(
        _ name: String, version: String = ""
    ) throws(CallFailure) -> ModelEntry {
        let chosen = version.isEmpty ? nil : try versions(of: name, version: version).first
        let isKnown = shelf.withLock { shelf -> Bool in
            guard var family = shelf.families[name] else { return false }
            if let chosen {
                if family.unloaded {
                    // The others stay where they are.
                    family.unloadedVersions = Set(family.entries.map(\.versionNumber))
                }
                family.unloadedVersions.remove(chosen.versionNumber)
            } else {
                family.unloadedVersions = []
            }
            family.unloaded = false
            // Asked for by an operator: what failed its trial may try again.
            family.doubts = [:]
            shelf.families[name] = family
            return true
        }
        guard isKnown else { throw Registry.notFound(name) }
        hasChanged()
        return try select(name: name, version: chosen?.version ?? "")
    }

    /// Triton's unload: every version, or the one named, is out of service until it is loaded again. Answers the
    /// entries, whose sessions can be freed once their calls have ended. Throws NOT_FOUND, INVALID_ARGUMENT.
    @discardableResult
    package func takeOutOfService(
        _ name: String, version: String = ""
    ) throws(CallFailure) -> [ModelEntry] {
        let entries = try versions(of: name, version: version)
        shelf.withLock { shelf in
            if version.isEmpty {
                shelf.families[name]?.unloaded = true
            } else {
                shelf.families[name]?.unloadedVersions.formUnion(entries.map(\.versionNumber))
            }
        }
        hasChanged()
        return entries
    }
}

// MARK: - Books: latest, aliases, proofs, pins

extension Registry {
    /// A model's page and what is there of it, for one who thinks about a move.
    package struct Draft: Sendable {
        package var book: FamilyBook
        /// Ascending; empty when the model is not there.
        package let entries: [ModelEntry]
        /// Nil when the model is not there.
        package let latest: ModelEntry?

        package func entry(numbered number: Int64?) -> ModelEntry? {
            entries.first { $0.versionNumber == number }
        }
    }

    /// What was kept from before the start; before the first scan.
    package func remember(_ books: VersionBooks) {
        shelf.withLock { $0.books = books.families }
        hasChanged()
    }

    package func draft(of name: String) -> Draft {
        shelf.withLock { shelf in
            Draft(
                book: shelf.books[name] ?? FamilyBook(),
                entries: shelf.families[name]?.entries ?? [], latest: shelf.families[name]?.latest)
        }
    }

    /// From now on calls go by this page. Only one at a time may draft and adopt; scans and calls go on beside it.
    package func adopt(_ book: FamilyBook, for name: String) {
        shelf.withLock { shelf in
            shelf.books[name] = book.isEmpty ? nil : book
            shelf.renew(name)
        }
        hasChanged()
    }

    package var books: VersionBooks {
        var books = VersionBooks()
        books.families = shelf.withLock { $0.books }
        return books
    }

    /// The trial of a version has failed: latest does not go to it until its files change, or it is loaded by hand.
    package func doubt(_ entry: ModelEntry, _ reason: String) {
        shelf.withLock { shelf in
            guard shelf.families[entry.name]?.entry(numbered: entry.versionNumber) === entry else {
                return
            }
            shelf.families[entry.name]?.doubts[entry.index] = reason
        }
    }

    /// The newest version of a model that could become latest; nil when there is none.
    package func candidate(_ name: String) -> ModelEntry? {
        shelf.withLock { $0.candidate(name) }
    }

    /// True while this very entry is in the catalogue.
    package func holds(_ entry: ModelEntry) -> Bool {
        shelf.withLock {
            $0.families[entry.name]?.entry(numbered: entry.versionNumber) === entry
        }
    }

    package func isPinned(_ entry: ModelEntry) -> Bool {
        shelf.withLock { $0.books[entry.name]?.isPinned(entry.versionNumber) ?? false }
    }
}

// MARK: - Quarantine

extension Registry {
    /// Who is kept away from now on: nobody else.
    package func quarantine(_ suspects: [Quarantine]) {
        shelf.withLock { shelf in
            let touched = Set(shelf.quarantine.keys).union(suspects.map(\.model))
            shelf.quarantine = Dictionary(grouping: suspects, by: \.model)
            for name in touched { shelf.renew(name) }
        }
        hasChanged()
    }

    /// What an operator is told of a version beside its memory.
    package struct Standing: Sendable, Equatable {
        package var aliases: [String] = []
        package var trial = ""
        /// Why it is kept away; nil when it is not.
        package var quarantine: String?

        package init(aliases: [String] = [], trial: String = "", quarantine: String? = nil) {
            self.aliases = aliases
            self.trial = trial
            self.quarantine = quarantine
        }
    }

    package func standing(of entry: ModelEntry) -> Standing {
        let (family, book) = shelf.withLock {
            ($0.families[entry.name], $0.books[entry.name] ?? FamilyBook())
        }
        var standing = Standing()
        guard let family else { return standing }
        standing.aliases = book.aliases.filter { $0.value.version == entry.versionNumber }
            .map(\.key.text)
        if family.latest === entry { standing.aliases.append(AliasName.latest) }
        standing.aliases.sort()
        standing.trial =
            book.reasonNotLatest(
                entry, latest: family.latest, doubt: family.doubts[entry.index]) ?? ""
        standing.quarantine = family.quarantined[entry.index]?.reason(of: entry)
        return standing
    }
}
