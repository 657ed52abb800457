// The access log: a line for each call and for each request that was none. Event loops put records into a bounded queue; one
// thread makes lines of them and waits for the disk. What finds no room is dropped and counted: calls never wait.

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
}

/// One for the gateway, also when there is no access log: a reload may begin one.
package final class AccessLog: CallObserver, HTTPObserver, Service {
    /// Where lines go and how they look.
    struct Target: Sendable {
        var file: AccessFile
        var path: String
        var format: AccessLogSettings.Format
    }

    /// What comes within this time is written together.
    private static let pause = Duration.milliseconds(100)
    /// Bytes that are made into lines before they are written.
    private static let batchBytes = 256 << 10
    private static let complaintInterval = Nanoseconds.seconds(60)

    private struct Trouble: Sendable {
        var lines: UInt64 = 0
        var why = ""
        var toldAt: Instant?
    }

    private let logger: Logger
    private let isOn = Atomic<Bool>(false)
    private let oneIn = Atomic<UInt64>(1)
    private let number = Atomic<UInt64>(0)
    private let backlog = Mutex(Backlog<AccessEntry>(countMax: 0))
    private let target = Mutex<Target?>(nil)
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
    package init(_ settings: AccessLogSettings, logger: Logger) throws(GatewayError) {
        self.logger = logger
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
                path: path, format: settings.format)
        } catch {
            throw GatewayError(
                .configuration, "the access log cannot be opened: \(error)",
                mend: "Make its folder, or choose another file by the setting `access_log.path`")
        }
    }

    private func adopt(_ new: Target?, _ settings: AccessLogSettings) {
        oneIn.store(UInt64(settings.sample), ordering: .relaxed)
        backlog.withLock { $0.countMax = settings.queue }
        target.withLock { $0 = new }
        isOn.store(new != nil, ordering: .releasing)
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
        AccessLogCounts(
            written: written.load(ordering: .relaxed), dropped: dropped.load(ordering: .relaxed),
            refused: refused.load(ordering: .relaxed), leftOut: leftOut.load(ordering: .relaxed),
            waiting: backlog.withLock { $0.count })
    }

    // MARK: - On event loops

    package var wantsCalls: Bool { isOn.load(ordering: .relaxed) }
    package var wantsRequests: Bool { isOn.load(ordering: .relaxed) }

    package func answered(_ call: CallRecord) {
        guard keeps(isNotable: call.code != .ok || call.timing.cold, call.trace) else { return }
        add(.of(call))
    }

    package func answered(_ request: HTTPRecord) {
        guard keeps(isNotable: request.status >= 400, request.trace) else { return }
        add(.request(request))
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

    private func add(_ entry: AccessEntry) {
        switch backlog.withLock({ $0.add(entry) }) {
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
        let (pieces, lost) = backlog.withLock { $0.take() }
        if lost > 0 { note(lost, "the disk is slow: all of access_log.queue is in use") }
        let target = target.withLock { $0 }
        if case .none = target {
            // The log has just been ended.
            for piece in pieces { dropped.add(UInt64(piece.count), ordering: .relaxed) }
        }
        if let target, !pieces.isEmpty {
            var lines = AccessLines(
                target.format, wall: UInt64(max(0, Date().timeIntervalSince1970) * 1e9),
                now: .now())
            for piece in pieces {
                for entry in piece { lines.add(entry) }
                if lines.bytes.count >= AccessLog.batchBytes { hand(&lines, to: target) }
            }
            hand(&lines, to: target)
        }
        complain(evenIfSoon: false)
    }

    private func hand(_ lines: inout AccessLines, to target: Target) {
        guard lines.count > 0 else { return }
        let (lost, fault) = target.file.append(lines.bytes)
        written.add(UInt64(lines.count - lost), ordering: .relaxed)
        refused.add(UInt64(lost), ordering: .relaxed)
        if let fault { note(UInt64(lost), "\(fault)") }
        lines.clear()
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
                    metadata: ["log.lost": "\(backlog.withLock { $0.count })"])
            }
            group.cancelAll()
        }
        pool.shutdownGracefully { _ in }
    }
}
