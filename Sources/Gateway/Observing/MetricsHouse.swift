// Connections and certificates, the bucket, the settings and the process itself.

import Contract
import Foundation
import Glibc
import Outside
import Telemetry
import Traces

struct DoorSource: MetricSource {
    let listener: Listener
    let handshakes: Handshakes
    let certificates: Certificates

    func write(to page: inout MetricPage) {
        page.begin(MetricNames.connections)
        page.sample([], UInt64(listener.connectionCount))
        let counts = handshakes.counts
        page.begin(MetricNames.handshakes)
        page.sample(["full"], counts.full)
        page.sample(["resumed"], counts.resumed)
        page.sample(["failed"], counts.failed)
        page.sample(["refused"], counts.refused)
        page.begin(MetricNames.handshakesUnderWay)
        page.sample([], UInt64(handshakes.count))
        page.begin(MetricNames.expiry)
        var told: Set<[String]> = []
        for item in certificates.expiries {
            let values = [item.kind, item.name, item.serial]
            // The same one may stand in two files.
            guard told.insert(values).inserted else { continue }
            page.sample(values, Double(item.ends))
        }
    }
}

struct StoreSource: MetricSource {
    /// Nil for a folder of models.
    let fetcher: BucketFetcher?

    func write(to page: inout MetricPage) {
        let statistics = fetcher?.statistics ?? StoreStatistics()
        page.begin(MetricNames.fetches)
        page.sample(["done"], statistics.fetched)
        page.sample(["failed"], statistics.failed)
        page.begin(MetricNames.fetchesUnderWay)
        page.sample([], UInt64(statistics.underWay))
        page.begin(MetricNames.fetchBytes)
        page.sample([], statistics.bytes)
        page.begin(MetricNames.storeErrors)
        page.sample([], statistics.errors)
        page.begin(MetricNames.storeCache)
        page.sample([], statistics.cacheBytes)
        page.begin(MetricNames.storeCacheBudget)
        page.sample([], statistics.cacheBudget)
    }
}

struct TraceSource: MetricSource {
    /// Nil when there are no traces.
    let traces: TraceExporter?

    func write(to page: inout MetricPage) {
        let counts = traces?.counts ?? TraceCounts()
        page.begin(MetricNames.tracedCalls)
        page.sample([], counts.exportedCalls)
        page.begin(MetricNames.tracedSpans)
        page.sample([], counts.exportedSpans)
        page.begin(MetricNames.tracesDropped)
        page.sample(["queue"], counts.droppedQueue)
        page.sample(["unreachable"], counts.droppedUnreachable)
        page.sample(["refused"], counts.droppedRefused)
        page.begin(MetricNames.spansRejected)
        page.sample([], counts.rejectedSpans)
        page.begin(MetricNames.traceFailures)
        page.sample([], counts.failures)
        page.begin(MetricNames.tracesWaiting)
        page.sample([], UInt64(counts.waiting))
    }
}

struct AccessLogSource: MetricSource {
    let log: AccessLog

    func write(to page: inout MetricPage) {
        let counts = log.counts
        page.begin(MetricNames.logLines)
        page.sample(["written"], counts.written)
        page.sample(["dropped"], counts.dropped)
        page.sample(["refused"], counts.refused)
        page.sample(["left_out"], counts.leftOut)
        page.begin(MetricNames.logWaiting)
        page.sample([], UInt64(counts.waiting))
    }
}

struct ProcessSource: MetricSource {
    let readiness: Readiness
    let reloader: Reloader

    func write(to page: inout MetricPage) {
        page.begin(MetricNames.build)
        page.sample([Version.text], 1)
        page.begin(MetricNames.ready)
        page.sample([], readiness.isServing ? 1 : 0)
        page.begin(MetricNames.reloads)
        page.sample(["done"], reloader.counts.done)
        page.sample(["refused"], reloader.counts.refused)
        let process = ProcessReading.now()
        page.begin(MetricNames.processCPU)
        if let seconds = process.cpu { page.sample([], seconds) }
        page.begin(MetricNames.processResident)
        if let bytes = process.resident { page.sample([], bytes) }
        page.begin(MetricNames.processVirtual)
        if let bytes = process.virtual { page.sample([], bytes) }
        page.begin(MetricNames.processFiles)
        if let count = process.files { page.sample([], count) }
        page.begin(MetricNames.processFilesMax)
        if let count = process.filesMax { page.sample([], count) }
        page.begin(MetricNames.processThreads)
        if let count = process.threads { page.sample([], count) }
        page.begin(MetricNames.processStart)
        if let seconds = process.start { page.sample([], seconds) }
    }
}

/// What proc(5) says of this process; what it does not say is nil.
package struct ProcessReading: Sendable, Equatable {
    /// Seconds.
    package var cpu: Double?
    /// Seconds since 1970.
    package var start: Double?
    package var threads: UInt64?
    package var virtual: UInt64?
    package var resident: UInt64?
    package var files: UInt64?
    package var filesMax: UInt64?

    package init() {}

    static func now() -> ProcessReading {
        func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }
        var reading = ProcessReading()
        reading.take(
            stat: text("/proc/self/stat") ?? "", system: text("/proc/stat") ?? "",
            ticks: Double(sysconf(Int32(_SC_CLK_TCK))), page: UInt64(sysconf(Int32(_SC_PAGESIZE))))
        reading.take(limits: text("/proc/self/limits") ?? "")
        reading.files = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd"))
            .map { UInt64($0.count) }
        return reading
    }

    /// - Parameters:
    ///   - stat: `/proc/self/stat`.
    ///   - system: `/proc/stat`, which knows when the machine began.
    ///   - ticks: in a second.
    ///   - page: bytes.
    package mutating func take(stat: String, system: String, ticks: Double, page: UInt64) {
        // The second field is the program's name in brackets, and may hold anything.
        guard let end = stat.lastIndex(of: ")"), ticks > 0 else { return }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        func field(_ number: Int) -> UInt64? {
            let place = number - 3
            return fields.indices.contains(place) ? UInt64(fields[place]) : nil
        }
        if let user = field(14), let kernel = field(15) { cpu = Double(user + kernel) / ticks }
        threads = field(20)
        virtual = field(23)
        resident = field(24).map { $0 * page }
        let boot = system.split(separator: "\n").first { $0.hasPrefix("btime ") }
            .flatMap { Double($0.dropFirst("btime ".count)) }
        if let boot, let began = field(22) { start = boot + Double(began) / ticks }
    }

    package mutating func take(limits: String) {
        let line = limits.split(separator: "\n").first { $0.hasPrefix("Max open files") }
        filesMax = line?.dropFirst("Max open files".count).split(separator: " ").first
            .flatMap { UInt64($0) }
    }
}
