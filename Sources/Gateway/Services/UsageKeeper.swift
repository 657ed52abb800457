// Takes what the plans' desk has counted to the ledger, twice a second, and tells the desk the time on the wall. A disk that
// is full or slow holds up nobody: counts wait, bounded, and the operator is warned.

package import Admission
package import Contract
import Foundation
package import Logging
import NIOPosix
import ServiceLifecycle
import Synchronization
import Usage

package final class UsageKeeper: Service {
    private struct State {
        var book: UsageBook
        var meter = AwakeMeter()
        var wroteAt: Int64 = 0
        var forgotAt: Int64 = 0
        var isForgetting = false
        var isFailing = false
        var warnedAt: Int64 = 0
    }

    static let interval = Duration.milliseconds(500)
    /// A gateway nobody calls need not write twice a second that its models are awake.
    private static let awakeInterval: Int64 = 10
    private static let warningInterval: Int64 = 60

    private let desk: PlanDesk
    private let store: UsageStore
    private let logger: Logger
    private let state: Mutex<State>
    /// Which models are awake, and what they hold.
    private let holdings: @Sendable () -> [(model: String, bytes: UInt64)]
    /// Seconds that are kept; nil: all.
    private let keep: Int64?
    /// Its one thread waits for the disk.
    private let pool = NIOThreadPool(numberOfThreads: 1)

    private init(
        desk: PlanDesk, store: UsageStore, book: UsageBook, keep: Nanoseconds,
        holdings: @escaping @Sendable () -> [(model: String, bytes: UInt64)], logger: Logger
    ) {
        self.holdings = holdings
        self.keep = keep == .zero ? nil : Int64(keep.count / 1_000_000_000)
        self.desk = desk
        self.store = store
        self.logger = logger
        state = Mutex(State(book: book))
    }

    /// Opens the ledger and tells the desk what was used so far. Blocks; at start only.
    /// - Parameter keep: how long entries are kept; zero: for ever.
    package static func open(
        _ path: String, desk: PlanDesk, keep: Nanoseconds = .zero,
        holdings: @escaping @Sendable () -> [(model: String, bytes: UInt64)] = { [] },
        logger: Logger
    ) throws(GatewayError) -> UsageKeeper {
        let wall = now()
        let store = try UsageStore(state: path, wall: wall)
        if let aside = store.setAside {
            logger.error(
                "the ledger could not be read: a new one was begun, and quotas count from zero",
                metadata: ["file": "\(store.path)", "kept": "\(aside)"])
        }
        do {
            let book = UsageBook(last: try store.lastBatch())
            desk.restore(try store.sums(at: wall), at: wall)
            let keeper = UsageKeeper(
                desk: desk, store: store, book: book, keep: keep, holdings: holdings,
                logger: logger)
            keeper.pool.start()
            return keeper
        } catch {
            throw GatewayError(
                .configuration,
                "the ledger '\(store.path)' cannot be read: \(UsageStore.words(error))",
                mend: "Move it away: what it counted is forgotten then")
        }
    }

    private static func now() -> Int64 { Int64(Date().timeIntervalSince1970) }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                while !Task.isCancelled {
                    self.desk.tick(wall: UsageKeeper.now())
                    if let batch = self.next() { group.addTask { await self.write(batch) } }
                    if self.beginForgetting() { group.addTask { await self.forget() } }
                    do {
                        // The beat of the ledger: at most this much of it is lost by kill -9.
                        try await Task.sleep(for: UsageKeeper.interval)
                    } catch {
                        return
                    }
                }
            }
        }
    }

    /// One round by hand, for those who stand in for `run`. True when nothing waits any more.
    package func flush() async -> Bool {
        if let batch = next() { await write(batch) }
        return state.withLock { $0.book.isEmpty }
    }

    private func next() -> UsageBook.Batch? {
        let rows = desk.collect()
        let held = holdings()
        let (now, wall) = (Instant.now(), UsageKeeper.now())
        return state.withLock { state in
            state.book.add(rows)
            state.book.add(state.meter.look(held, now: now, wall: wall))
            return UsageKeeper.begin(
                &state, at: wall,
                awakeAlone: abs(wall - state.wroteAt) >= UsageKeeper.awakeInterval)
        }
    }

    private static func begin(
        _ state: inout State, at wall: Int64, awakeAlone: Bool
    ) -> UsageBook.Batch? {
        let batch = state.book.begin(awakeAlone: awakeAlone)
        if batch != nil { state.wroteAt = wall }
        return batch
    }

    /// Once an hour, one at a time.
    private func beginForgetting() -> Bool {
        guard keep != nil else { return false }
        let now = UsageKeeper.now()
        return state.withLock { state in
            guard !state.isForgetting, abs(now - state.forgotAt) >= 3_600 else { return false }
            state.forgotAt = now
            state.isForgetting = true
            return true
        }
    }

    /// A day of the ledger in each transaction, so that counts are written in between.
    private func forget() async {
        defer { state.withLock { $0.isForgetting = false } }
        guard let keep else { return }
        do {
            while !Task.isCancelled {
                let more = try await pool.runIfActive {
                    try self.store.forget(olderThan: keep, at: UsageKeeper.now())
                }
                guard more else { return }
            }
        } catch {
            logger.warning(
                "what the ledger need not keep could not be deleted: tried again in an hour",
                metadata: ["file": "\(store.path)", "error": "\(UsageStore.words(error))"])
        }
    }

    private func write(_ batch: UsageBook.Batch) async {
        do {
            try await pool.runIfActive { try self.store.add(batch) }
            if ended(written: true) { logger.notice("the ledger is written again") }
        } catch {
            if ended(written: false) {
                logger.warning(
                    "the ledger cannot be written: counts are kept in memory, calls go on",
                    metadata: [
                        "file": "\(store.path)", "error": "\(UsageStore.words(error))",
                        "rows": "\(state.withLock { $0.book.count })",
                    ])
            }
        }
    }

    /// True when somebody should be told: of trouble once a minute, and of its end.
    private func ended(written: Bool) -> Bool {
        let now = UsageKeeper.now()
        return state.withLock { state in
            state.book.ended(written: written)
            defer { state.isFailing = !written }
            if written { return state.isFailing }
            guard !state.isFailing || now - state.warnedAt >= UsageKeeper.warningInterval else {
                return false
            }
            state.warnedAt = now
            return true
        }
    }

    /// Writes what is left. After the last call has ended, and `run` has returned.
    package func close() async {
        if let batch = next() { await write(batch) }
        // What is left is taken as it is: awake models would always give more.
        while !state.withLock({ $0.isFailing }),
            let batch = state.withLock({
                UsageKeeper.begin(&$0, at: UsageKeeper.now(), awakeAlone: true)
            })
        {
            await write(batch)
        }
        do {
            try await pool.runIfActive { try self.store.close() }
            try await pool.shutdownGracefully()
        } catch {
            logger.warning(
                "the ledger did not close", metadata: ["error": "\(UsageStore.words(error))"])
        }
    }
}
