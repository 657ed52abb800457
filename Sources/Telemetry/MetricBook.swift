// The registry: which metrics there are, their series, and a page of them. A kit: it knows no room and does no I/O.

import Synchronization

/// Counters of one name. Look-ups take a lock: keep what they return.
package final class CounterFamily: Sendable {
    package let description: MetricDescription
    let scale: HistogramBounds.Scale
    let table: SeriesTable<CounterSeries>

    init(
        _ description: MetricDescription, _ scale: HistogramBounds.Scale, open: Set<String>?,
        seriesMax: Int
    ) {
        self.description = description
        self.scale = scale
        table = SeriesTable(open: open, seriesMax: seriesMax) { CounterSeries() }
    }

    /// The series of these values, in the order of the description's labels, or `other`.
    package func series(_ values: String...) -> CounterSeries {
        table.series(description.labels, values)
    }

    package func series(_ labels: SeriesLabels) -> CounterSeries {
        precondition(
            labels.names == description.labels, "\(description.name) has other labels")
        return table.series(labels)
    }

    /// Drops the series whose values are not wanted any more.
    package func keep(_ isWanted: ([String]) -> Bool) { table.keep(isWanted) }

    /// Everything that was counted, by its values.
    package var counts: [(values: [String], count: UInt64)] {
        table.entries.map { ($0.values, $0.series.count) }
    }
}

/// Gauges of one name.
package final class GaugeFamily: Sendable {
    package let description: MetricDescription
    let table: SeriesTable<GaugeSeries>

    init(_ description: MetricDescription, open: Set<String>?, seriesMax: Int) {
        self.description = description
        table = SeriesTable(open: open, seriesMax: seriesMax) { GaugeSeries() }
    }

    package func series(_ values: String...) -> GaugeSeries {
        table.series(description.labels, values)
    }
}

/// Histograms of one name.
package final class HistogramFamily: Sendable {
    package let description: MetricDescription
    let bounds: HistogramBounds
    let table: SeriesTable<HistogramSeries>

    init(
        _ description: MetricDescription, _ bounds: HistogramBounds, open: Set<String>?,
        seriesMax: Int
    ) {
        self.description = description
        self.bounds = bounds
        table = SeriesTable(open: open, seriesMax: seriesMax) { HistogramSeries(bounds) }
    }

    package func series(_ values: String...) -> HistogramSeries {
        table.series(description.labels, values)
    }

    package func series(_ labels: SeriesLabels) -> HistogramSeries {
        precondition(
            labels.names == description.labels, "\(description.name) has other labels")
        return table.series(labels)
    }

    package func keep(_ isWanted: ([String]) -> Bool) { table.keep(isWanted) }
}

/// All metrics that are counted as things happen. Any thread.
package final class MetricBook: Sendable {
    enum Family: Sendable {
        case counter(CounterFamily)
        case gauge(GaugeFamily)
        case histogram(HistogramFamily)

        var description: MetricDescription {
            switch self {
            case .counter(let family): family.description
            case .gauge(let family): family.description
            case .histogram(let family): family.description
            }
        }
    }

    /// Series of one metric that are told apart, unless its family says otherwise.
    package static let seriesMax = 1_000

    private let families = Mutex<[Family]>([])

    package init() {}

    /// A new counter. Its name must be new.
    /// - Parameters:
    ///   - scale: what its numbers are.
    ///   - open: labels with many values, which become `other` when there are too many series; nil: all.
    package func counter(
        _ description: MetricDescription, _ scale: HistogramBounds.Scale = .plain,
        open: Set<String>? = nil, seriesMax: Int = MetricBook.seriesMax
    ) -> CounterFamily {
        let family = CounterFamily(
            description, scale, open: open, seriesMax: seriesMax)
        add(.counter(family), .counter)
        return family
    }

    package func gauge(
        _ description: MetricDescription, seriesMax: Int = MetricBook.seriesMax
    ) -> GaugeFamily {
        let family = GaugeFamily(
            description, open: nil, seriesMax: seriesMax)
        add(.gauge(family), .gauge)
        return family
    }

    package func histogram(
        _ description: MetricDescription, _ bounds: HistogramBounds = .time,
        open: Set<String>? = nil, seriesMax: Int = MetricBook.seriesMax
    ) -> HistogramFamily {
        let family = HistogramFamily(
            description, bounds, open: open, seriesMax: seriesMax)
        add(.histogram(family), .histogram)
        return family
    }

    private func add(_ family: Family, _ kind: MetricDescription.Kind) {
        let description = family.description
        precondition(description.kind == kind, "\(description.name) is no \(kind)")
        families.withLock { families in
            precondition(
                !families.contains { $0.description.name == description.name },
                "\(description.name) is there already")
            families.append(family)
        }
    }

    package var descriptions: [MetricDescription] {
        families.withLock { $0.map(\.description) }
    }

    /// About how long its part of a page is.
    package var bytesExpected: Int {
        families.withLock { $0 }.reduce(into: 0) { sum, family in
            let entries: Int
            switch family {
            case .counter(let family): entries = family.table.count
            case .gauge(let family): entries = family.table.count
            // A line for each bucket and one for what is beyond the last; sum and count.
            case .histogram(let family): entries = family.table.count * (family.bounds.count + 3)
            }
            sum += entries * (family.description.name.utf8.count + MetricBook.labelBytes)
        }
    }

    /// Labels, a number and what is between them, for the most part.
    private static let labelBytes = 56

    /// - Parameter names: left out, because the page has them already.
    package func write(to page: inout MetricPage, except names: Set<String> = []) {
        for family in families.withLock({ $0 }) where !names.contains(family.description.name) {
            page.begin(family.description)
            switch family {
            case .counter(let family):
                for entry in family.table.entries {
                    page.sample(entry.text, entry.series.count, family.scale)
                }
            case .gauge(let family):
                for entry in family.table.entries { page.sample(entry.text, entry.series.value) }
            case .histogram(let family):
                for entry in family.table.entries { page.sample(entry.text, entry.series) }
            }
        }
    }
}
