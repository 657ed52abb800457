// The access log: a line for each call and for each request that was none. Event loops write them on bounded pages of their own; one
// thread waits for the disk. What finds no room is dropped and counted: calls never wait. Decision 0018.

package import Contract
import Files
import Foundation
package import JSONDoor
package import Logging
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Lines since the gateway started.
package struct AccessLogCounts: Sendable, Equatable {
    package var written: UInt64 = 0
    /// There was no room in the queue: the disk is slow.
    package var dropped: UInt64 = 0
    /// The disk refused them: it is full, for example.
    package var refused: UInt64 = 0
    /// Left out by ``AccessLogSettings/sample``.
    package var leftOut: UInt64 = 0
    /// In the queue now.
    package var waiting = 0

    package init() {}
}

/// One for the gateway, also when there is no access log: a reload may begin one.
package final class AccessLog: HTTPObserver, Service {
    /// Where lines go and how they look.
    struct Target: Sendable {
        var file: AccessFile
        var path: String
    }

    /// What comes within this time is written together.
    private static let pause = Duration.milliseconds(100)
    private static let complaintInterval = Nanoseconds.seconds(60)

    /// What waited when its target was replaced.
    private struct Leftover: Sendable {
        var target: Target?
        var pieces: [AccessPage.Piece]
    }

    private struct Trouble: Sendable {
        var lines: UInt64 = 0
        var why = ""
        var toldAt: Instant?
    }

    private let logger: Logger
    private let isOn = Atomic<Bool>(false)
    private let oneIn = Atomic<UInt64>(1)
    private let number = Atomic<UInt64>(0)
    /// One for each event loop; `access_log.queue` is shared evenly.
    private let pages: [AccessPage]
    private let target = Mutex<Target?>(nil)
    private let leftovers = Mutex<[Leftover]>([])
    private let trouble = Mutex(Trouble())
    private let written = Atomic<UInt64>(0)
    private let dropped = Atomic<UInt64>(0)
    private let refused = Atomic<UInt64>(0)
    private let leftOut = Atomic<UInt64>(0)
    private let rung: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation
    /// Its one thread waits for the disk.
    private let pool = NIOThreadPool(numberOfThreads: 1)

    /// Throws CONFIGURATION when the file cannot be opened. Blocks; at start only.
    /// - Parameter loops: event loops that make lines.
    package init(
        _ settings: AccessLogSettings, loops: Int = 1, logger: Logger
    ) throws(GatewayError) {
        self.logger = logger
        pages = (0..<max(1, loops)).map { _ in AccessPage() }
        (rung, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        adopt(try AccessLog.target(settings), settings)
        pool.start()
    }

    deinit { pool.shutdownGracefully { _ in } }

    /// Nil: there is no access log.
    private static func target(_ settings: AccessLogSettings) throws(GatewayError) -> Target? {
        guard let path = settings.path else { return nil }
        do {
            return Target(
                file: try AccessFile(
                    path: path == AccessLogSettings.standardOutput ? nil : path,
                    byteCountMax: UInt64(settings.bytes), keep: settings.files),
                path: path)
        } catch {
            throw GatewayError(
                .configuration, "the access log cannot be opened: \(error)",
                mend: "Make its folder, or choose another file by the setting `access_log.path`")
        }
    }

    private func adopt(_ new: Target?, _ settings: AccessLogSettings) {
        oneIn.store(UInt64(settings.sample), ordering: .relaxed)
        let countMax = new == nil ? 0 : settings.queue / pages.count
        target.withLock { target in
            for page in pages {
                let contents = page.adopt(settings.format, countMax: countMax)
                note(contents.dropped)
                guard !contents.pieces.isEmpty else { continue }
                leftovers.withLock {
                    $0.append(Leftover(target: target, pieces: contents.pieces))
                }
            }
            target = new
        }
        isOn.store(new != nil, ordering: .releasing)
        bell.yield()
    }

    /// New settings; with the same ones the file is opened anew, under whatever name there is now: somebody may have moved it.
    func reload() -> ReloadPart {
        ReloadPart { new, _ in
            let target = try await NIOThreadPool.singleton.runIfActive {
                try AccessLog.target(new.accessLog)
            }
            return ReloadPart.Ready { self.adopt(target, new.accessLog) }
        }
    }

    package var counts: AccessLogCounts {
        var counts = AccessLogCounts()
        counts.written = written.load(ordering: .relaxed)
        counts.dropped = dropped.load(ordering: .relaxed)
        counts.refused = refused.load(ordering: .relaxed)
        counts.leftOut = leftOut.load(ordering: .relaxed)
        counts.waiting = pages.reduce(0) { $0 + $1.waiting }
        return counts
    }

    // MARK: - On event loops

    package var wantsCalls: Bool { isOn.load(ordering: .relaxed) }
    package var wantsRequests: Bool { isOn.load(ordering: .relaxed) }

    /// - Parameter loop: which of the event loops this is, from 0.
    package func answered(_ call: CallRecord, on loop: Int) {
        guard keeps(isNotable: call.code != .ok || call.timing.cold, call.trace) else { return }
        place(pages[loop].add(call))
    }

    package func answered(_ request: HTTPRecord) {
        guard keeps(isNotable: request.status >= 400, request.trace) else { return }
        // There are few: those of the first loop make room.
        place(pages[0].add(request))
    }

    private func keeps(isNotable: Bool, _ trace: TraceContext?) -> Bool {
        guard isOn.load(ordering: .relaxed) else { return false }
        let sampling = AccessSampling(oneIn: oneIn.load(ordering: .relaxed))
        let isKept = sampling.keeps(
            isNotable: isNotable, trace: trace,
            number: number.add(1, ordering: .relaxed).oldValue)
        if !isKept { leftOut.add(1, ordering: .relaxed) }
        return isKept
    }

    private func place(_ place: AccessPage.Place) {
        switch place {
        case .first: bell.yield()
        case .behind: break
        case .none: dropped.add(1, ordering: .relaxed)
        }
    }

    // MARK: - On its thread

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            for await _ in rung {
                await write()
                // What comes meanwhile is one batch. Cancelled: the last batch follows at once.
                try? await Task.sleep(for: AccessLog.pause)
            }
        }
    }

    /// Writes what waits.
    package func write() async {
        await withCheckedContinuation { done in
            pool.submit { state in
                if state == .active { self.writeBatch() }
                done.resume()
            }
        }
    }

    private func writeBatch() {
        let before = leftovers.withLock { leftovers in
            defer { leftovers = [] }
            return leftovers
        }
        for leftover in before { write(leftover.pieces, to: leftover.target) }
        for page in pages {
            // Under one lock: a target is replaced together with what waits for it.
            var batch = target.withLock { (target: $0, contents: page.take()) }
            note(batch.contents.dropped)
            write(batch.contents.pieces, to: batch.target)
            // One owner each, or their memory would be copied.
            while let piece = batch.contents.pieces.popLast() { page.giveBack(piece) }
        }
        complain(evenIfSoon: false)
    }

    private func write(_ pieces: [AccessPage.Piece], to target: Target?) {
        for piece in pieces {
            guard let target else {
                dropped.add(UInt64(piece.count), ordering: .relaxed)
                continue
            }
            let (lost, fault) = target.file.append(piece.bytes)
            written.add(UInt64(piece.count - lost), ordering: .relaxed)
            refused.add(UInt64(lost), ordering: .relaxed)
            if let fault { note(UInt64(lost), "\(fault)") }
        }
    }

    private func note(_ dropped: UInt64) {
        guard dropped > 0 else { return }
        note(dropped, "the disk is slow: all of access_log.queue is in use")
    }

    private func note(_ lost: UInt64, _ why: String) {
        trouble.withLock { trouble in
            trouble.lines += lost
            trouble.why = why
        }
    }

    /// Once a minute, and at the end.
    private func complain(evenIfSoon: Bool) {
        let now = Instant.now()
        let told = trouble.withLock { trouble -> Trouble? in
            guard !trouble.why.isEmpty,
                evenIfSoon
                    || trouble.toldAt.map({ now.since($0) >= AccessLog.complaintInterval })
                        ?? true
            else { return nil }
            defer { trouble = Trouble(toldAt: now) }
            return trouble
        }
        guard let told else { return }
        logger.warning(
            "lines of the access log were dropped; calls go on",
            metadata: [
                "log.lost": "\(told.lines)", "why": "\(told.why)", "setting": "access_log.path",
            ])
    }

    // MARK: - The end

    /// After the last call: writes what waits, and gives up at `deadline`, when the disk does not take it.
    package func close(within time: Duration = .seconds(2)) async {
        let (ended, end) = AsyncStream<Bool>.makeStream(bufferingPolicy: .bufferingOldest(1))
        pool.submit { state in
            if state == .active {
                self.writeBatch()
                self.complain(evenIfSoon: true)
            }
            end.yield(true)
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                // The deadline of the wait beside it.
                try? await Task.sleep(for: time)
                end.yield(false)
            }
            var turns = ended.makeAsyncIterator()
            if await turns.next() != true {
                logger.warning(
                    "the access log was not finished",
                    metadata: ["log.lost": "\(counts.waiting)"])
            }
            group.cancelAll()
        }
        pool.shutdownGracefully { _ in }
    }
}
