// Which version serves: keeps the catalogue's books on disk, tries out what is new, and moves `latest` and aliases when that
// has proved itself. Decisions are Catalogue's (FamilyBook); here they are made to last and carried out.

import Catalogue
import Contract
import Logging
import NIOCore
import NIOPosix
import Outside
import Shards
import Synchronization

/// One for the house. Any thread may ask; files are read and written on NIO's thread pool, trials run on one event loop.
final class Versions: Sendable {
    /// Moves that may wait for the disk.
    static let movesMax = 4_096
    /// Versions that may wait for their trial; the next scan brings the others again.
    static let candidatesMax = 1_024
    /// Trials that operators may have under way.
    static let trialsMax = 16
    /// Golden cases of one version that are run.
    static let goldenCasesMax = 64

    /// One change of one model's book, decided when its turn has come.
    private struct Move: Sendable {
        var model: String
        var decide: @Sendable (inout Registry.Draft) throws(CallFailure) -> AliasChange?
        var done: @Sendable (Result<AliasChange?, CallFailure>) -> Void
    }

    private struct State: Sendable {
        var moves: CircularBuffer<Move> = []
        var isWriting = false
        var candidates: [ModelEntry] = []
        var isTrying = false
        var trials = 0
        var bench: Bench?
    }

    /// Where trials run.
    struct Bench: Sendable {
        var fleet: Fleet
        var loop: any EventLoop
        var desk: NIOLoopBound<LoopDesk>
        var repository: any ModelRepository
    }

    let registry: Registry
    let fence: Fence
    private let file: StateFile
    private let logger: Logger
    private let state = Mutex(State())

    private init(_ registry: Registry, _ fence: Fence, _ file: StateFile, _ logger: Logger) {
        self.registry = registry
        self.fence = fence
        self.file = file
        self.logger = logger
    }

    /// Reads what is remembered, before the first scan.
    static func open(
        state: String, registry: Registry, fence: Fence, logger: Logger
    ) throws(GatewayError) -> Versions {
        let file = try StateFile(VersionBooks.fileName, state: state)
        let books = try file.read(byteCountMax: VersionBooks.byteCountMax) {
            try VersionBooks(json: $0)
        }
        if let books { registry.remember(books) }
        registry.quarantine(fence.quarantined)
        return Versions(registry, fence, file, logger)
    }

    /// From now on trials can run.
    func start(
        _ fleet: Fleet, on loop: any EventLoop, repository: any ModelRepository
    ) async throws {
        let desk = try await loop.submit {
            NIOLoopBound(fleet.desk(on: loop), eventLoop: loop)
        }.get()
        state.withLock {
            $0.bench = Bench(
                fleet: fleet, loop: loop, desk: desk, repository: repository)
        }
        tryNext()
    }

    // MARK: - Moves

    /// Decides, writes, and only then lets calls see it; `done` is called on a thread of the pool, or at once when too many
    /// wait.
    func move(
        _ model: String, done: @escaping @Sendable (Result<AliasChange?, CallFailure>) -> Void,
        _ decide:
            @escaping @Sendable (inout Registry.Draft) throws(CallFailure) -> AliasChange?
    ) {
        enum Place { case full, waits, first }
        let place = state.withLock { state -> Place in
            guard state.moves.count < Versions.movesMax else { return .full }
            state.moves.append(Move(model: model, decide: decide, done: done))
            if state.isWriting { return .waits }
            state.isWriting = true
            return .first
        }
        switch place {
        case .waits: break
        case .first: NIOThreadPool.singleton.submit { self.write($0) }
        case .full:
            done(
                .failure(
                    CallFailure(
                        .resourceExhausted, .queueFull,
                        "\(Versions.movesMax) changes of versions wait for the disk",
                        notStarted: true)))
        }
    }

    /// Works off what waits, a batch with one writing.
    private func write(_ poolState: NIOThreadPool.WorkItemState) {
        while true {
            let batch = state.withLock { state -> [Move] in
                var models: Set<String> = []
                var batch: [Move] = []
                // Two moves of one model in one batch: the second must see what the first did.
                while let next = state.moves.first, models.insert(next.model).inserted {
                    batch.append(state.moves.removeFirst())
                }
                if batch.isEmpty { state.isWriting = false }
                return batch
            }
            if batch.isEmpty { return }
            guard poolState == .active else {
                for move in batch { move.done(.failure(Versions.stopping)) }
                continue
            }
            carryOut(batch)
        }
    }

    private func carryOut(_ batch: [Move]) {
        var books = registry.books
        var outcomes: [(move: Move, book: FamilyBook, change: AliasChange?)] = []
        for move in batch {
            var draft = registry.draft(of: move.model)
            do throws(CallFailure) {
                let change = try move.decide(&draft)
                books.families[move.model] = draft.book
                outcomes.append((move, draft.book, change))
            } catch {
                move.done(.failure(error))
            }
        }
        do {
            if books != registry.books { try file.replace(with: try books.encoded()) }
        } catch {
            logger.error(
                "versions cannot be remembered: nothing is moved",
                metadata: ["file": "\(file.path)", "error": "\(error)"])
            for outcome in outcomes { outcome.move.done(.failure(unwritten(error))) }
            return
        }
        for outcome in outcomes {
            registry.adopt(outcome.book, for: outcome.move.model)
            outcome.move.done(.success(outcome.change))
        }
    }

    private func unwritten(_ error: any Error) -> CallFailure {
        CallFailure(
            .unavailable, .none,
            "nothing was moved: \(VersionBooks.fileName) cannot be written in the state folder: "
                + "\(error)", notStarted: true)
    }

    static let stopping = CallFailure(
        .unavailable, .stopping, "the gateway is stopping", notStarted: true)

    // MARK: - Remembering what serves

    /// The model was loaded and its signature matched. Called on loader threads.
    func loaded(_ entry: ModelEntry) {
        let proof = FamilyBook.Proof(version: entry.versionNumber, files: entry.contentKey)
        let draft = registry.draft(of: entry.name)
        guard draft.latest === entry, draft.book.latest != proof else { return }
        rememberLatest(entry.name) { _ in }
    }

    /// What is latest now is latest after a restart too, whatever newer versions come until then.
    private func rememberLatest(
        _ model: String, done: @escaping @Sendable (Result<AliasChange?, CallFailure>) -> Void
    ) {
        move(model, done: done) { draft throws(CallFailure) in
            if let latest = draft.latest {
                draft.book.latest = FamilyBook.Proof(
                    version: latest.versionNumber, files: latest.contentKey)
            }
            return nil
        }
    }

    // MARK: - Trials

    /// Versions that become latest if they prove themselves: they are tried one after the other, in the background.
    func consider(_ candidates: [ModelEntry]) {
        state.withLock { state in
            for entry in candidates
            where state.candidates.count < Versions.candidatesMax
                && !state.candidates.contains(where: { $0 === entry })
            {
                state.candidates.append(entry)
            }
        }
        tryNext()
    }

    /// The newest version of this model, if it could become latest.
    func consider(_ model: String) {
        if let candidate = registry.candidate(model) { consider([candidate]) }
    }

    private func tryNext() {
        let next = state.withLock { state -> ModelEntry? in
            guard state.bench != nil, !state.isTrying, let next = state.candidates.first else {
                return nil
            }
            state.isTrying = true
            return next
        }
        guard let entry = next else { return }
        // Another may have come, or it may have gone, since it was listed.
        guard registry.candidate(entry.name) === entry else { return tried(entry) }
        if registry.draft(of: entry.name).book.isProved(entry) { return advance(to: entry) }
        // Should the trial end the process, the next start must know who served.
        rememberLatest(entry.name) { written in
            if case .failure = written { return self.tried(entry) }
            self.logger.info("trying a newer version", metadata: Versions.named(entry))
            self.prove(entry) { result in
                switch result {
                case .success(let proof): self.advance(to: entry, proof)
                case .failure(let failure):
                    self.refuse(entry, failure)
                    self.tried(entry)
                }
            }
        }
    }

    private func tried(_ entry: ModelEntry) {
        state.withLock { state in
            state.candidates.removeAll { $0 === entry }
            state.isTrying = false
        }
        tryNext()
    }

    private func advance(to entry: ModelEntry, _ proof: TrialProof? = nil) {
        move(
            entry.name,
            done: { result in
                if case .success(let change) = result, let change {
                    self.logger.notice(
                        "latest has moved",
                        metadata: Versions.named(entry).merging([
                            "was": "\(change.was)", "golden": "\(proof?.goldenCases ?? 0)",
                        ]) { $1 })
                }
                self.tried(entry)
            }
        ) { draft throws(CallFailure) in
            guard let latest = draft.latest, draft.entries.contains(where: { $0 === entry }) else {
                return nil
            }
            draft.book.prove(entry)
            guard draft.book.advance(to: entry, from: latest) else { return nil }
            return AliasChange(alias: AliasName.latest, was: latest.version, now: entry.version)
        }
    }

    private func refuse(_ entry: ModelEntry, _ failure: CallFailure) {
        logger.warning(
            "a newer version did not prove itself: latest stays",
            metadata: Versions.named(entry).merging(["error": "\(failure.message)"]) { $1 })
        if !failure.isPassing { registry.doubt(entry, "its trial failed: \(failure.message)") }
        state.withLock { $0.bench }?.fleet.unload(entry)
    }

    /// Loads a version and runs its golden cases. `done` is called once, on some thread; the trial goes on whoever waits
    /// for it.
    func prove(
        _ entry: ModelEntry, done: @escaping @Sendable (Result<TrialProof, CallFailure>) -> Void
    ) {
        guard let bench = state.withLock({ $0.bench }) else {
            return done(.failure(Versions.stopping))
        }
        NIOThreadPool.singleton.submit { poolState in
            guard poolState == .active else { return done(.failure(Versions.stopping)) }
            let cases: [GoldenCase]
            do throws(ModelFault) {
                cases = try bench.repository.goldenCases(of: entry)
            } catch {
                return done(.failure(entry.brokenFailure(error.message)))
            }
            bench.loop.execute {
                Trial(
                    entry, cases: Array(cases.prefix(Versions.goldenCasesMax)),
                    desk: bench.desk.value, done: done
                ).begin()
            }
        }
    }

    /// As ``prove(_:done:)``, for operators: at once, and only so many.
    func proveForOperator(
        _ entry: ModelEntry, done: @escaping @Sendable (Result<TrialProof, CallFailure>) -> Void
    ) {
        let isTaken = state.withLock { state in
            guard state.trials < Versions.trialsMax else { return false }
            state.trials += 1
            return true
        }
        guard isTaken else {
            return done(
                .failure(
                    CallFailure(
                        .resourceExhausted, .queueFull,
                        "\(Versions.trialsMax) versions are being tried out already",
                        notStarted: true)))
        }
        prove(entry) { result in
            self.state.withLock { $0.trials -= 1 }
            done(result)
        }
    }

    private static func named(_ entry: ModelEntry) -> Logger.Metadata {
        ["model": "\(entry.name)", "version": "\(entry.version)"]
    }
}
