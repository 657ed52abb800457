// Takes the calls that are exported from the walk to the collector: a bounded queue that no call waits for, batches, patience with
// a collector that is away, and what is left when the gateway stops. Spans are made and written on a thread of the pool.

import Compression
package import Contract
import Files
import Foundation
package import Logging
package import NIOCore
import NIOPosix
import Outside
import ServiceLifecycle
import Synchronization
package import Traces

package final class TraceExporter: Service {
    /// How long a stopping gateway waits for its last spans.
    package static let farewell = Nanoseconds.seconds(3)
    private static let warningInterval = Nanoseconds.seconds(60)
    private static let headerBytesMax = 64 << 10

    private struct State {
        /// Taken from the queue and not sent: the service was stopped.
        var left: [CallRecord] = []
        var isFailing = false
        var warnedAt: Instant?
    }

    package let tracer: Tracer
    private let settings: TraceSettings
    private let queue: TraceQueue
    private let maker: CallSpans
    private let resource: TraceResource
    private let client: TraceClient
    private let logger: Logger
    private let state = Mutex(State())
    /// One signal is kept: a batch is there, or its time has come.
    private let signals: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation

    /// Nil without an endpoint. Reads files: call at start. Throws CONFIGURATION.
    package static func open(
        _ settings: TraceSettings, group: any EventLoopGroup, logger: Logger
    ) throws(GatewayError) -> TraceExporter? {
        guard let endpoint = settings.endpoint else { return nil }
        var collector = TraceClientSettings(endpoint: endpoint)
        collector.trustedCertificates = settings.authority
        collector.timeout = settings.timeout
        collector.userAgent = "sluice/\(Version.text)"
        collector.headers = try settings.headersFile.map(headers)
        return TraceExporter(
            settings, client: try TraceClient(collector, group: group), logger: logger)
    }

    private static func headers(_ file: String) throws(GatewayError) -> Secret {
        do {
            if let bytes = try OpenFile(path: file).readAll(byteCountMax: headerBytesMax) {
                return Secret(bytes: bytes)
            }
        } catch {
            throw GatewayError(
                .configuration, "traces.headers_file cannot be read: \(error.reason)")
        }
        throw GatewayError(
            .configuration, "traces.headers_file has more than \(headerBytesMax) bytes")
    }

    private init(_ settings: TraceSettings, client: TraceClient, logger: Logger) {
        self.settings = settings
        self.client = client
        self.logger = logger
        var policy = TracePolicy()
        policy.ratio = settings.ratio
        policy.follows = settings.follows
        policy.errors = settings.errors
        policy.cold = settings.cold
        tracer = Tracer(policy)
        queue = TraceQueue(callsMax: settings.queueMax, batch: settings.batch)
        let wall = Date().timeIntervalSince1970
        maker = CallSpans(
            anchor: WallAnchor(moment: .now(), wall: UInt64(max(0, wall) * 1_000_000_000)))
        resource = TraceResource(
            service: settings.service, version: Version.text, instance: UUID().uuidString)
        (signals, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// For `/metrics`.
    package var counts: TraceCounts { queue.counts }

    package func answered(_ call: CallRecord) {
        guard call.span != nil else { return }
        if queue.add(call) { bell.yield() }
    }

    // MARK: - Long life

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            await withDiscardingTaskGroup { group in
                group.addTask { await self.beat() }
                for await _ in self.signals { await self.export() }
                group.cancelAll()
            }
        }
    }

    /// Calls that make no whole batch are exported after `traces.interval`.
    private func beat() async {
        do {
            while true {
                try await Task.sleep(for: .nanoseconds(Int64(clamping: settings.interval.count)))
                bell.yield()
            }
        } catch {
            // Cancelled: the gateway stops.
            return
        }
    }

    /// All that waits, batch by batch.
    private func export() async {
        repeat {
            var calls = queue.take()[...]
            while !calls.isEmpty {
                guard !Task.isCancelled, await export(Array(calls.prefix(settings.batch))) else {
                    return state.withLock { $0.left += calls }
                }
                calls = calls.dropFirst(settings.batch)
            }
        } while queue.hasBatch
    }

    /// Sends one batch, again and again when that may help. False when the gateway stops before its end.
    private func export(_ calls: [CallRecord]) async -> Bool {
        guard let request = await request(for: calls) else {
            if Task.isCancelled { return false }
            give(up: calls.count, .unreachable)
            return true
        }
        var plan = ExportPlan()
        while true {
            let outcome = await client.send(request.body, isCompressed: settings.compresses)
            if Task.isCancelled, outcome == .unreachable { return false }
            switch plan.ended(outcome, chance: .random(in: 0..<1)) {
            case .done(let rejected):
                settle(calls.count, spans: request.spans, rejected: rejected)
                return true
            case .drop(let drop):
                give(up: calls.count, drop)
                return true
            case .wait(let time):
                queue.failed()
                tellTrouble(outcome)
                do {
                    // Between two tries, as long as the plan or the collector's Retry-After says; the gateway's end cancels it.
                    try await Task.sleep(for: .nanoseconds(Int64(clamping: time.count)))
                } catch {
                    return false
                }
            }
        }
    }

    /// Nil when the pool has ended, or there is no memory to compress.
    private func request(for calls: [CallRecord]) async -> (body: ByteBuffer, spans: UInt64)? {
        try? await NIOThreadPool.singleton.runIfActive { [maker, resource, settings] in
            let spans = calls.flatMap { maker.spans(of: $0) }
            let plain = ByteBuffer(bytes: ExportRequest.bytes(spans, of: resource))
            guard settings.compresses else { return (plain, UInt64(spans.count)) }
            var deflater = try Deflater(.gzip)
            var body = ByteBuffer()
            deflater.add(plain, into: &body)
            deflater.finish(into: &body)
            return (body, UInt64(spans.count))
        }
    }

    private func settle(_ calls: Int, spans: UInt64, rejected: UInt64) {
        let rejected = min(rejected, spans)
        queue.settled(calls) { counts in
            counts.exportedCalls &+= UInt64(calls)
            counts.exportedSpans &+= spans - rejected
            counts.rejectedSpans &+= rejected
        }
        let wasFailing = state.withLock { state in
            defer { state.isFailing = false }
            return state.isFailing
        }
        if wasFailing { logger.notice("traces are exported again") }
        if rejected > 0, mayWarn() {
            logger.warning(
                "the collector did not take some spans",
                metadata: ["rejected": "\(rejected)", "of": "\(spans)"])
        }
    }

    private func give(up calls: Int, _ drop: ExportPlan.Drop) {
        queue.settled(calls) { counts in
            counts.failures &+= 1
            switch drop {
            case .refused: counts.droppedRefused &+= UInt64(calls)
            case .unreachable: counts.droppedUnreachable &+= UInt64(calls)
            }
        }
        switch drop {
        case .refused(let status): tellTrouble(.status(status, retryAfter: nil))
        case .unreachable: tellTrouble(.unreachable)
        }
    }

    // MARK: - What the operator is told

    /// Once a minute.
    private func mayWarn() -> Bool {
        let now = Instant.now()
        return state.withLock { state in
            if let last = state.warnedAt, now.since(last) < TraceExporter.warningInterval {
                return false
            }
            state.warnedAt = now
            return true
        }
    }

    private func tellTrouble(_ outcome: ExportOutcome) {
        state.withLock { $0.isFailing = true }
        guard mayWarn() else { return }
        let what =
            switch outcome {
            case .status(let code, _): "it answers \(code)"
            case .unreachable, .taken: "it does not answer in time"
            }
        var metadata = described(counts)
        metadata["collector"] = "\(what)"
        logger.warning("traces cannot be exported: calls go on without them", metadata: metadata)
    }

    private func described(_ counts: TraceCounts) -> Logger.Metadata {
        [
            "exported": "\(counts.exportedCalls)", "waiting": "\(counts.waiting)",
            "dropped.queue": "\(counts.droppedQueue)",
            "dropped.unreachable": "\(counts.droppedUnreachable)",
            "dropped.refused": "\(counts.droppedRefused)",
        ]
    }

    // MARK: - The end

    /// Sends what is left, once, and closes. After the last call has ended, and `run` has returned.
    package func close() async {
        bell.finish()
        var calls = (state.withLock { $0.left } + queue.take())[...]
        let end = Instant.now() + TraceExporter.farewell
        while !calls.isEmpty {
            let batch = Array(calls.prefix(settings.batch))
            calls = calls.dropFirst(settings.batch)
            guard let request = await request(for: batch) else {
                give(up: batch.count + calls.count, .unreachable)
                break
            }
            var plan = ExportPlan()
            switch plan.ended(await send(request.body, until: end), chance: 0) {
            case .done(let rejected):
                settle(batch.count, spans: request.spans, rejected: rejected)
            case .drop(let drop): give(up: batch.count, drop)
            // There is no later.
            case .wait: give(up: batch.count, .unreachable)
            }
        }
        let counts = counts
        if counts.droppedQueue + counts.droppedUnreachable + counts.droppedRefused > 0 {
            logger.warning("some traces were not exported", metadata: described(counts))
        }
        do {
            try await client.close()
        } catch {
            logger.warning("the collector did not close", metadata: ["error": "\(error)"])
        }
    }

    private func send(_ body: ByteBuffer, until end: Instant) async -> ExportOutcome {
        let left = end.since(.now())
        guard left > .zero else { return .unreachable }
        return await withTaskGroup(of: ExportOutcome.self) { group in
            defer { group.cancelAll() }
            group.addTask {
                await self.client.send(body, isCompressed: self.settings.compresses)
            }
            group.addTask {
                // A cancel ends it early, when nobody waits for it any more.
                try? await Task.sleep(for: .nanoseconds(Int64(clamping: left.count)))
                return .unreachable
            }
            return await group.next() ?? .unreachable
        }
    }
}
