// The slow-call log: a warning for each call that took long, with where its time went. Event loops put records into a bounded
// queue; the log is written beside them.

package import Contract
package import Logging
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Who is told of how many slow calls, decided in a value.
package struct SlowCalls: Sendable {
    /// Calls that may wait to be told.
    package static let waitingMax = 1_024

    private var backlog = Backlog<CallRecord>(countMax: SlowCalls.waitingMax)
    private var bucket = TokenBucket()
    private var unsaid: UInt64 = 0
    package var rate: Rate

    package init(perSecond: Int) { rate = SlowCalls.rate(perSecond) }

    package static func rate(_ perSecond: Int) -> Rate { Rate(UInt64(perSecond), per: .seconds(1)) }

    /// True when somebody is to be woken.
    package mutating func add(_ call: CallRecord, at now: Instant) -> Bool {
        guard bucket.take(at: now, rate: rate) == nil else {
            unsaid += 1
            return false
        }
        switch backlog.add(call) {
        case .first: return true
        case .behind: return false
        case .none:
            unsaid += 1
            return false
        }
    }

    /// Who is to be told of, and how many others there were since.
    package mutating func take() -> (calls: [CallRecord], unsaid: UInt64) {
        let (pieces, _) = backlog.take()
        defer { unsaid = 0 }
        return (pieces.flatMap { $0 }, unsaid)
    }
}

/// One for the gateway, also while `slow_log.over` is 0: a reload may change it.
package final class SlowLog: Service {
    private let logger: Logger
    /// Nanoseconds; zero: off.
    private let over = Atomic<UInt64>(0)
    private let state: Mutex<SlowCalls>
    private let rung: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation

    package init(_ settings: SlowLogSettings, logger: Logger) {
        self.logger = logger
        state = Mutex(SlowCalls(perSecond: settings.perSecond))
        (rung, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        over.store(settings.over.count, ordering: .relaxed)
    }

    func reload() -> ReloadPart {
        ReloadPart { new, _ in
            ReloadPart.Ready {
                self.over.store(new.slowLog.over.count, ordering: .relaxed)
                self.state.withLock { $0.rate = SlowCalls.rate(new.slowLog.perSecond) }
            }
        }
    }

    package var wantsCalls: Bool { over.load(ordering: .relaxed) > 0 }

    package func answered(_ call: CallRecord) {
        let most = over.load(ordering: .relaxed)
        guard most > 0, call.total.count >= most else { return }
        let now = call.arrived + call.total
        if state.withLock({ $0.add(cut(call), at: now) }) { bell.yield() }
    }

    /// No more of what its caller wrote than a line holds: it may have to wait.
    private func cut(_ call: CallRecord) -> CallRecord {
        var call = call
        call.change {
            $0.asked = (AccessLines.cut($0.asked.model), AccessLines.cut($0.asked.version))
        }
        return call
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            for await _ in rung { await write() }
        }
        await write()
    }

    /// Says what waits.
    package func write() async {
        let (calls, unsaid) = state.withLock { $0.take() }
        guard !calls.isEmpty else { return }
        do {
            // A log's reader may be slow.
            try await NIOThreadPool.singleton.runIfActive { [logger] in
                for (index, call) in calls.enumerated() {
                    logger.warning(
                        "a call was slow",
                        metadata: call.slowness(unsaid: index == 0 ? unsaid : 0))
                }
            }
        } catch {
            logger.debug("slow calls were not told", metadata: ["error": "\(error)"])
        }
    }
}

extension CallRecord {
    /// Where the time went, in the order in which it did, for example `auth 2 ms, load 1.2 s, queue 0 ns, run 20 ms, other 1 ms`. Of
    /// a call that failed the rest is the phase that was not finished.
    package var phases: String {
        let known = [
            ("auth", timing.admission), ("load", timing.load), ("queue", timing.queue),
            ("run", timing.run),
        ]
        let sum = known.reduce(Nanoseconds.zero) { $0 + $1.1 }
        let other = Nanoseconds(total.count > sum.count ? total.count - sum.count : 0)
        return (known + [(code == .ok ? "other" : "unfinished", other)])
            .map { name, time in
                name == "load" && timing.cold
                    ? "load \(time) (fetch \(timing.fetch), create \(timing.create))"
                    : "\(name) \(time)"
            }
            .joined(separator: ", ")
    }

    func slowness(unsaid: UInt64) -> Logger.Metadata {
        var metadata: Logger.Metadata = [
            "took": "\(total)", "phases": "\(phases)", "cold": "\(timing.cold)",
            "call.method": "\(method.name)", "call.door": "\(door.rawValue)",
            "call.code": "\(code.name)", "client": "\(client)", "peer.address": "\(address)",
            "connection.id": "\(connection)",
            "model": "\(model.isEmpty ? SettingText.shown(asked.model) : model)",
            "version": "\(version)", "setting": "slow_log.over",
        ]
        if reason != .none { metadata["call.reason"] = "\(reason.rawValue)" }
        if let trace = span ?? trace { metadata["trace"] = "\(trace.traceText)" }
        if unsaid > 0 { metadata["calls.unsaid"] = "\(unsaid)" }
        return metadata
    }
}
