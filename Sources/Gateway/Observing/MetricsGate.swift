// The gate: questions to issuers are timed as they end, its cache and breakers are asked.

import Admission
import Contract
import Telemetry

/// Times questions, and tells the next observer.
struct CountingGateObserver: GateObserver {
    let metrics: GateMetrics
    let next: any GateObserver

    func breaker(of issuer: String, became phase: Breaker.Phase) {
        next.breaker(of: issuer, became: phase)
    }

    func staleAnswer(from issuer: String) { next.staleAnswer(from: issuer) }

    func asked(_ issuer: String, took time: Nanoseconds) {
        metrics.times.series(issuer).observe(time.count)
        next.asked(issuer, took: time)
    }
}

extension GateObserver {
    /// The same observer, after questions were timed.
    func counted(by metrics: MetricsDesk?) -> any GateObserver {
        metrics.map { CountingGateObserver(metrics: $0.gate, next: self) } ?? self
    }
}

final class GateMetrics: Sendable {
    /// Issuers are those of the settings.
    let times: HistogramFamily

    init(_ book: MetricBook) { times = book.histogram(MetricNames.introspectionTime) }
}

struct GateSource: MetricSource {
    let gatekeeper: Gatekeeper

    func write(to page: inout MetricPage) {
        let statistics = gatekeeper.statistics
        let counts = statistics.counts
        page.begin(MetricNames.callsInProgress)
        page.sample([], UInt64(gatekeeper.callsInProgress))
        page.begin(MetricNames.introspections)
        page.sample(["active"], counts.active)
        page.sample(["inactive"], counts.inactive)
        page.sample(["failed"], counts.failed)
        page.begin(MetricNames.cacheHits)
        page.sample(["active"], counts.hits)
        page.sample(["inactive"], counts.negativeHits)
        page.begin(MetricNames.cacheEntries)
        page.sample(["active"], UInt64(statistics.activeEntries))
        page.sample(["inactive"], UInt64(statistics.inactiveEntries))
        page.begin(MetricNames.cacheBytes)
        page.sample(["active"], UInt64(statistics.activeBytes))
        page.sample(["inactive"], UInt64(statistics.inactiveBytes))
        page.begin(MetricNames.staleAnswers)
        page.sample([], counts.staleAnswers)
        page.begin(MetricNames.lookupsRefused)
        page.sample(["address"], counts.refusedByAddress)
        page.sample(["all"], counts.refusedInAll)
        page.sample(["queue"], counts.refusedByQueue)
        page.sample(["breaker"], counts.refusedByBreaker)
        page.begin(MetricNames.lookupsUnderWay)
        page.sample(["asking"], UInt64(statistics.lookupsInProgress))
        page.sample(["waiting"], UInt64(statistics.lookupsQueued))
        page.begin(MetricNames.breaker)
        for (issuer, phase) in statistics.breakers.sorted(by: { $0.key < $1.key }) {
            for state in [Breaker.Phase.closed, .open, .halfOpen] {
                page.sample([issuer, state.rawValue], state == phase ? 1 : 0)
            }
        }
    }
}
