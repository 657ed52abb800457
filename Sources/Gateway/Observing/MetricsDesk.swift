// What /metrics answers: the book of what is counted as it happens, and the rooms, asked when somebody looks.

import Glibc
package import NIOCore
import Outside
import Synchronization
package import Telemetry

/// A room that is asked when a page is written. On a thread that may take its time.
protocol MetricSource: Sendable {
    func write(to page: inout MetricPage)
}

/// One for the gateway; none when `metrics.enabled` is false. Any thread.
package final class MetricsDesk: Sendable {
    /// Pages that are written at the same time.
    private static let pagesMax = 2
    /// What loops have brought and no page has taken: pages that are refused take nothing.
    package static let broughtMax = 64

    let settings: MetricsSettings
    let book = MetricBook()
    package let calls: CallMetrics
    let fleet: FleetMetrics
    let gate: GateMetrics
    private let libraries: MetricBook?
    private let sources = Mutex<[any MetricSource]>([])
    private let walk = Mutex<Walk?>(nil)
    /// What loops have counted, for the next page.
    private let brought = Mutex<[LoopCounts]>([])
    private let pages = Atomic<Int>(0)
    /// Of the last page, for the next one's memory.
    private let bytes = Atomic<Int>(64 << 10)

    /// - Parameter libraries: what libraries of this process count in.
    package init(_ settings: MetricsSettings, libraries: MetricBook? = nil) {
        self.settings = settings
        self.libraries = libraries
        calls = CallMetrics(book, modelsMax: settings.modelsMax)
        fleet = FleetMetrics(book, modelsMax: settings.modelsMax)
        gate = GateMetrics(book)
    }

    /// While the house opens its rooms.
    func add(_ source: any MetricSource) { sources.withLock { $0.append(source) } }

    /// Has every loop bring what it has counted; those that are too busy to do so within a second are not waited for.
    func settle(on eventLoop: any EventLoop) -> EventLoopFuture<Void> {
        guard let walk = walk.withLock({ $0 }) else { return eventLoop.makeSucceededVoidFuture() }
        return walk.ask(on: eventLoop, patience: .seconds(1)) { [self] place in
            // Into a list, not into an answer: what comes too late for this page is on the next.
            if let tally = place.tally { bring(tally) }
        }.map { _ in }
    }

    /// Takes what a loop has counted; when as much waits as there may, it stays with the loop. On the tally's event loop.
    package func bring(_ tally: CallTally) {
        brought.withLock { brought in
            if brought.count < MetricsDesk.broughtMax { brought.append(tally.take()) }
        }
    }

    /// Of loops, for the next page.
    package var broughtCount: Int { brought.withLock { $0.count } }

    /// A page; nil when enough of them are being written already. Blocks for as long as it takes: not for event loops.
    package func page(_ format: MetricPage.Format) -> ByteBuffer? {
        defer { pages.subtract(1, ordering: .relaxed) }
        guard pages.add(1, ordering: .relaxed).newValue <= MetricsDesk.pagesMax else { return nil }
        let new = brought.withLock { brought in
            defer { brought = [] }
            return brought
        }
        for counts in new { calls.add(counts) }
        let before = bytes.load(ordering: .relaxed)
        let body = PageBody(bytes: max(before + before / 8, book.bytesExpected))
        var page = MetricPage(format) { body.add($0) }
        for source in sources.withLock({ $0 }) { source.write(to: &page) }
        book.write(to: &page)
        libraries?.write(to: &page, except: page.names)
        page.end()
        bytes.store(body.buffer.readableBytes, ordering: .relaxed)
        return body.buffer
    }
}

/// A page as it is written, on one thread.
private final class PageBody {
    var buffer: ByteBuffer

    /// - Parameter bytes: about how many there will be: growing by copies is most of a long page's time.
    init(bytes: Int) { buffer = ByteBufferAllocator().buffer(capacity: bytes) }

    func add(_ piece: borrowing [UInt8]) {
        buffer.writeBytes(copy piece)
        // With a thousand models a page takes some 10 ms, and event loops may want the core: the kernel would let them wait for a part of it.
        _ = sched_yield()
    }
}

extension MetricsDesk {
    /// The desk of a gateway; nil when the settings want none.
    static func open(_ settings: MetricsSettings) -> MetricsDesk? {
        settings.enabled
            ? MetricsDesk(settings, libraries: ProcessMetrics.libraries) : nil
    }

    /// The rooms of the walk are asked from now on.
    func add(_ walk: Walk, fetcher: BucketFetcher?, traces: TraceExporter?) {
        self.walk.withLock { $0 = walk }
        add(FleetSource(desk: self, registry: walk.registry, fleet: walk.fleet))
        add(GateSource(gatekeeper: walk.gatekeeper))
        add(StoreSource(fetcher: fetcher))
        add(TraceSource(traces: traces))
        add(ProcessSource(readiness: walk.readiness, reloader: walk.reloader))
    }
}

/// What libraries count through swift-metrics, which has one place in a process.
package enum ProcessMetrics {
    package static let libraries: MetricBook = {
        let book = MetricBook()
        LibraryMetrics.bootstrap(book)
        return book
    }()
}
