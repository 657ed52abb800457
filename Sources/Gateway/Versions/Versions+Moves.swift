// What operators ask: aliases set, removed and rolled back, pins, forgiveness after crashes.

import Catalogue
import Contract
import NIOPosix

extension Versions {
    /// A move that has been checked as far as its words go.
    enum Order: Sendable {
        case set(AliasName, version: String)
        case remove(AliasName?)
        case rollback(AliasName?)

        /// Nil means `latest`. Throws INVALID_ARGUMENT.
        init(_ move: AliasMove) throws(CallFailure) {
            let name: AliasName?
            if move.alias.isEmpty || move.alias == AliasName.latest {
                name = nil
            } else if let alias = AliasName(move.alias) {
                name = alias
            } else {
                throw Versions.badAlias
            }
            guard move.action == .set || move.version.isEmpty else {
                throw Versions.bad("only setting an alias takes a version")
            }
            switch move.action {
            case .set:
                guard let name else {
                    throw Versions.bad(
                        "'latest' moves by itself, to the newest version that has proved itself: "
                            + "roll it back, or choose another alias")
                }
                guard ModelVersion(move.version) != nil else {
                    throw Versions.bad(
                        "an alias stands for a version's number: a positive whole number without "
                            + "leading zeros")
                }
                self = .set(name, version: move.version)
            case .remove: self = .remove(name)
            case .rollback: self = .rollback(name)
            }
        }
    }

    private static func bad(_ message: String) -> CallFailure {
        CallFailure(.invalidArgument, .badMessage, message, notStarted: true)
    }

    private static let badAlias = bad(
        "an alias is a small letter and then at most \(AliasName.lengthMax - 1) small letters, digits "
            + "or '-'")

    typealias Moved = @Sendable (Result<AliasChange?, CallFailure>) -> Void

    /// Carries an order out. `done` is called once, on some thread; what has begun is finished whoever waits for it.
    func carryOut(_ order: Order, of model: String, done: @escaping Moved) {
        do throws(CallFailure) {
            switch order {
            case .set(let alias, let version):
                let entry = try registry.select(name: model, version: version)
                proveAndMove(to: entry, mayBeEarlier: false, done: done) {
                    draft, proof throws(CallFailure) in
                    let was = try draft.book.set(alias, to: entry)
                    return AliasChange(
                        alias: alias.text, was: was.map(String.init) ?? "", now: entry.version,
                        proof: proof.proof, goldenCases: proof.count)
                }
            case .remove(.some(let alias)):
                _ = try registry.versions(of: model, version: "")
                remove(alias, of: model, done: done)
            case .remove(nil):
                _ = try registry.versions(of: model, version: "")
                letLatestGo(of: model, done: done)
            case .rollback(let alias):
                try rollBack(alias, of: model, done: done)
            }
        } catch {
            done(.failure(error))
        }
    }

    // MARK: - Removing

    private func remove(_ alias: AliasName, of model: String, done: @escaping Moved) {
        move(model, done: done) { draft throws(CallFailure) in
            guard let was = draft.book.aliases[alias] else {
                throw Versions.noAlias(alias, of: model)
            }
            draft.book.aliases[alias] = nil
            return AliasChange(alias: alias.text, was: String(was.version), now: "")
        }
    }

    private func letLatestGo(of model: String, done: @escaping Moved) {
        move(
            model,
            done: {
                done($0)
                self.consider(model)
            }
        ) { draft throws(CallFailure) in
            guard let latest = draft.latest else { throw Registry.notFound(model) }
            let now = draft.book.letGo(among: draft.entries, from: latest)
            return AliasChange(
                alias: AliasName.latest, was: latest.version, now: now.version, proof: .earlier)
        }
    }

    // MARK: - Rolling back

    private func rollBack(
        _ alias: AliasName?, of model: String, done: @escaping Moved
    ) throws(CallFailure) {
        let draft = registry.draft(of: model)
        guard let latest = draft.latest else { throw Registry.notFound(model) }
        let target: ModelEntry?
        if let alias {
            guard draft.book.aliases[alias] != nil else { throw Versions.noAlias(alias, of: model) }
            target = draft.entry(numbered: draft.book.before(alias))
        } else {
            target = draft.book.beforeLatest(among: draft.entries, latest: latest)
        }
        guard let target else {
            throw CallFailure(
                .failedPrecondition, .none,
                "'\(alias?.text ?? AliasName.latest)' of model '\(model)' was nothing before, or that "
                    + "version is not there any more", notStarted: true)
        }
        // Whatever else keeps it from serving is said now.
        let entry = try registry.select(name: model, version: target.version)
        proveAndMove(to: entry, mayBeEarlier: true, done: done) {
            draft, proof throws(CallFailure) in
            let was: String
            if let alias {
                was = try draft.book.set(alias, to: entry).map(String.init) ?? ""
            } else {
                guard let latest = draft.latest else { throw Registry.notFound(model) }
                was = latest.version
                draft.book.rollBack(to: entry, from: latest)
            }
            return AliasChange(
                alias: alias?.text ?? AliasName.latest, was: was, now: entry.version,
                proof: proof.proof, goldenCases: proof.count)
        }
    }

    private static func noAlias(_ alias: AliasName, of model: String) -> CallFailure {
        CallFailure(
            .notFound, .modelNotFound, "model '\(model)' has no alias '\(alias)'", notStarted: true)
    }

    // MARK: - Only what has proved itself

    private typealias Proved = (proof: AliasProof, count: UInt32)

    private func proveAndMove(
        to entry: ModelEntry, mayBeEarlier: Bool, done: @escaping Moved,
        _ decide:
            @escaping @Sendable (inout Registry.Draft, Proved) throws(CallFailure) -> AliasChange
    ) {
        if mayBeEarlier, registry.draft(of: entry.name).book.isProved(entry) {
            return move(entry.name, done: done) { draft throws(CallFailure) in
                try Versions.check(entry, in: draft)
                return try decide(&draft, (.earlier, 0))
            }
        }
        proveForOperator(entry) { result in
            switch result {
            case .failure(let failure): done(.failure(Versions.unproved(entry, failure)))
            case .success(let proof):
                self.move(entry.name, done: done) { draft throws(CallFailure) in
                    try Versions.check(entry, in: draft)
                    draft.book.prove(entry)
                    return try decide(
                        &draft,
                        (
                            proof.goldenCases > 0 ? .golden : .loaded,
                            UInt32(clamping: proof.goldenCases)
                        ))
                }
            }
        }
    }

    /// Its files may have changed during the trial.
    private static func check(
        _ entry: ModelEntry, in draft: Registry.Draft
    ) throws(CallFailure) {
        guard draft.entries.contains(where: { $0 === entry }) else {
            throw CallFailure(
                .aborted, .none,
                "the files of model '\(entry.name)' version \(entry.version) changed meanwhile: "
                    + "nothing was moved", notStarted: true)
        }
    }

    private static func unproved(_ entry: ModelEntry, _ failure: CallFailure) -> CallFailure {
        var told = failure
        if !failure.isPassing, failure.reason != .memoryLimit, failure.reason != .modelQuarantined {
            told.code = .failedPrecondition
            told.reason = .modelUnproved
        }
        told.message =
            "version \(entry.version) has not proved itself, nothing was moved: \(failure.message)"
        return told
    }

    // MARK: - Pins and forgiveness

    /// Pins or unpins what `entries` are, and remembers it. `version`: nil for every version, also those to come.
    func pin(
        _ isPinned: Bool, _ entries: [ModelEntry], of model: String, version: Int64?,
        done: @escaping Moved
    ) {
        move(model, done: done) { draft throws(CallFailure) in
            draft.book.pin(isPinned, version, known: draft.entries.map(\.versionNumber))
            return nil
        }
    }

    /// Forgets what is held against a model, and serves it again.
    func forgive(_ model: String, version: Int64?, done: @escaping Moved) {
        NIOThreadPool.singleton.submit { poolState in
            guard poolState == .active else { return done(.failure(Versions.stopping)) }
            do {
                if try self.fence.forgive(model, version: version) {
                    self.registry.quarantine(self.fence.quarantined)
                }
                done(.success(nil))
                self.consider(model)
            } catch {
                done(
                    .failure(
                        CallFailure(
                            .unavailable, .none,
                            "nothing was forgiven: \(Strikes.fileName) cannot be written in the state "
                                + "folder: \(error)", notStarted: true)))
            }
        }
    }

    /// A scan has found these: what changed begins anew, what is pinned stays pinned, what is newer is tried.
    func scanned(_ change: Registry.Change) throws {
        if try fence.forget(changed: change.added) { registry.quarantine(fence.quarantined) }
        consider(change.candidates)
    }
}
