// swift-metrics over a book: what libraries count shows up beside what the house counts.

package import CoreMetrics
import Synchronization

/// Takes in the metrics of libraries: names and labels that Prometheus does not allow are cleaned, and there may be so many and
/// no more. What cannot be taken in counts into nothing.
package final class LibraryMetrics: MetricsFactory {
    /// Metrics of libraries, all together.
    package static let familiesMax = 500

    private enum Family: Sendable {
        case counter(CounterFamily)
        case gauge(GaugeFamily)
        case histogram(HistogramFamily)
    }

    private let book: MetricBook
    private let families = Mutex<[String: Family]>([:])

    package init(_ book: MetricBook) { self.book = book }

    /// From now on libraries count here. Once in a process.
    package static func bootstrap(_ book: MetricBook) {
        MetricsSystem.bootstrap(LibraryMetrics(book))
    }

    // MARK: - MetricsFactory

    package func makeCounter(
        label: String, dimensions: [(String, String)]
    ) -> any CounterHandler {
        LibraryCounter(counter(label, dimensions))
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        LibraryGauge(gauge(label, dimensions))
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else { return LibraryGauge(gauge(label, dimensions)) }
        return LibrarySizes(histogram(label, dimensions, .sizes))
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        LibraryTimer(histogram(label, dimensions, .time))
    }

    // A series stays: who scrapes would take its end for the process's.
    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    // MARK: - Families

    /// Labels of one metric may differ from series to series.
    private func labels(_ dimensions: [(String, String)]) -> (names: [String], values: [String]) {
        var names: [String] = []
        var values: [String] = []
        for (name, value) in dimensions.sorted(by: { $0.0 < $1.0 }) {
            var clean = MetricName.cleaned(name)
            if clean == "le" { clean = "le_" }
            guard !names.contains(clean) else { continue }
            names.append(clean)
            values.append(value)
        }
        return (names, values)
    }

    /// The family of this name, made when there is none; nil when there are too many.
    private func family(
        _ name: String, _ make: () -> Family
    ) -> Family? {
        families.withLock { families in
            if let family = families[name] { return family }
            guard families.count < LibraryMetrics.familiesMax else { return nil }
            let family = make()
            families[name] = family
            return family
        }
    }

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> CounterSeries {
        var name = MetricName.cleaned(label)
        if !name.hasSuffix("_total") { name += "_total" }
        let (names, values) = labels(dimensions)
        let found = family(name) {
            .counter(
                book.counter(
                    MetricDescription(name, .counter, "Of a library: \(label).")))
        }
        guard case .counter(let counters) = found else { return CounterSeries() }
        return counters.table.series(names, values)
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> GaugeSeries {
        let name = MetricName.cleaned(label)
        let (names, values) = labels(dimensions)
        let found = family(name) {
            .gauge(book.gauge(MetricDescription(name, .gauge, "Of a library: \(label).")))
        }
        guard case .gauge(let gauges) = found else { return GaugeSeries() }
        return gauges.table.series(names, values)
    }

    private func histogram(
        _ label: String, _ dimensions: [(String, String)], _ bounds: HistogramBounds
    ) -> HistogramSeries {
        var name = MetricName.cleaned(label)
        let isTime = bounds === HistogramBounds.time
        if isTime, !name.hasSuffix("_seconds") { name += "_seconds" }
        let (names, values) = labels(dimensions)
        let found = family(name) {
            .histogram(
                book.histogram(
                    MetricDescription(
                        name, .histogram, unit: isTime ? .seconds : .none,
                        "Of a library: \(label)."), bounds))
        }
        guard case .histogram(let histograms) = found, histograms.bounds === bounds else {
            return HistogramSeries(bounds)
        }
        return histograms.table.series(names, values)
    }
}

// MARK: - Handlers

private final class LibraryCounter: CounterHandler {
    private let series: CounterSeries
    init(_ series: CounterSeries) { self.series = series }
    /// A counter only rises.
    func increment(by amount: Int64) { if amount > 0 { series.add(UInt64(amount)) } }
    func reset() { series.reset() }
}

private final class LibraryGauge: MeterHandler, RecorderHandler {
    private let series: GaugeSeries
    init(_ series: GaugeSeries) { self.series = series }
    func set(_ value: Int64) { series.value = Double(value) }
    func set(_ value: Double) { series.value = value }
    func increment(by amount: Double) { series.add(amount) }
    func decrement(by amount: Double) { series.add(-amount) }
    func record(_ value: Int64) { series.value = Double(value) }
    func record(_ value: Double) { series.value = value }
}

private final class LibrarySizes: RecorderHandler {
    private let series: HistogramSeries
    init(_ series: HistogramSeries) { self.series = series }
    func record(_ value: Int64) { series.observe(UInt64(max(0, value))) }
    func record(_ value: Double) {
        // What is no number, or none that fits, is not counted.
        guard value.isFinite, value < 9e18 else { return }
        series.observe(UInt64(max(0, value.rounded())))
    }
}

private final class LibraryTimer: TimerHandler {
    private let series: HistogramSeries
    init(_ series: HistogramSeries) { self.series = series }
    func recordNanoseconds(_ duration: Int64) { series.observe(UInt64(max(0, duration))) }
}
