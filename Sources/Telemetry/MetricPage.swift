// The page a scraper reads: Prometheus' text format 0.0.4, or OpenMetrics 1.0.

/// Written from top to bottom: a metric begins, its samples follow.
package struct MetricPage {
    package enum Format: Sendable {
        case prometheus, openMetrics

        package var contentType: String {
            switch self {
            case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    package let format: Format
    /// What was written and not handed over.
    package private(set) var bytes: [UInt8] = []
    private var name: [UInt8] = []
    private var bucketName: [UInt8] = []
    /// What the lines of a histogram's buckets have in common.
    private var lineStart: [UInt8] = []
    private var labels: [String] = []
    /// The metrics that have begun.
    package private(set) var names: Set<String> = []

    /// A long page is handed over in pieces of about this length.
    private static let pieceBytes = 32 << 10
    private let take: ((borrowing [UInt8]) -> Void)?

    /// - Parameter take: is given the page piece by piece, with no lock held: it may wait, or let others go first.
    ///   Without it the page is in ``bytes``.
    package init(_ format: Format, take: ((borrowing [UInt8]) -> Void)? = nil) {
        self.format = format
        self.take = take
        bytes.reserveCapacity(2 * MetricPage.pieceBytes)
    }

    private mutating func handOver(atLeast length: Int) {
        guard let take, bytes.count >= length else { return }
        take(bytes)
        bytes.removeAll(keepingCapacity: true)
    }

    // MARK: - A metric

    /// A metric begins; each once.
    package mutating func begin(_ description: MetricDescription) {
        precondition(
            names.insert(description.name).inserted, "\(description.name) is on the page already")
        name = Array(description.name.utf8)
        bucketName = name + Array("_bucket{".utf8)
        labels = description.labels
        // OpenMetrics names a counter without the suffix of its samples.
        let title =
            format == .openMetrics && description.kind == .counter
            ? String(description.name.dropLast("_total".count)) : description.name
        line("# HELP ", title)
        bytes.append(escaping: description.help, quotes: format == .openMetrics)
        bytes.append(UInt8(ascii: "\n"))
        line("# TYPE ", title)
        bytes.append(contentsOf: kind(description.kind).utf8)
        bytes.append(UInt8(ascii: "\n"))
        if format == .openMetrics, description.unit != .none,
            title.hasSuffix("_" + description.unit.rawValue)
        {
            line("# UNIT ", title)
            bytes.append(contentsOf: description.unit.rawValue.utf8)
            bytes.append(UInt8(ascii: "\n"))
        }
    }

    private mutating func line(_ word: String, _ title: String) {
        bytes.append(contentsOf: word.utf8)
        bytes.append(contentsOf: title.utf8)
        bytes.append(UInt8(ascii: " "))
    }

    private func kind(_ kind: MetricDescription.Kind) -> String {
        kind == .untyped && format == .openMetrics ? "unknown" : kind.rawValue
    }

    /// The last line of OpenMetrics, and what was not handed over.
    package mutating func end() {
        if format == .openMetrics { bytes.append(contentsOf: "# EOF\n".utf8) }
        handOver(atLeast: 1)
    }

    // MARK: - Its samples

    /// Values of the labels in the description's order.
    package mutating func sample(_ values: [String], _ value: Double) {
        sample(LabelText(labels, values), value)
    }

    package mutating func sample(
        _ values: [String], _ count: UInt64, _ scale: HistogramBounds.Scale = .plain
    ) {
        sample(LabelText(labels, values), count, scale)
    }

    package mutating func sample(_ text: LabelText, _ value: Double) {
        begin(text)
        bytes.append(number: value)
        bytes.append(UInt8(ascii: "\n"))
    }

    package mutating func sample(
        _ text: LabelText, _ count: UInt64, _ scale: HistogramBounds.Scale = .plain
    ) {
        begin(text)
        bytes.append(count, scale)
        bytes.append(UInt8(ascii: "\n"))
    }

    private mutating func begin(_ text: LabelText, suffix: String = "") {
        handOver(atLeast: MetricPage.pieceBytes)
        bytes.append(contentsOf: name)
        bytes.append(contentsOf: suffix.utf8)
        if !text.bytes.isEmpty {
            bytes.append(UInt8(ascii: "{"))
            bytes.append(contentsOf: text.bytes)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: " "))
    }

    package mutating func sample(_ text: LabelText, _ histogram: HistogramSeries) {
        let bounds = histogram.bounds
        let exemplars = format == .openMetrics ? histogram.kept : []
        let texts = bounds.texts
        var sum: UInt64 = 0
        lineStart.removeAll(keepingCapacity: true)
        lineStart.append(contentsOf: bucketName)
        if !text.bytes.isEmpty {
            lineStart.append(contentsOf: text.bytes)
            lineStart.append(UInt8(ascii: ","))
        }
        for bucket in 0...bounds.count {
            sum &+= histogram.count(in: bucket)
            bytes.append(contentsOf: lineStart)
            bytes.append(contentsOf: texts[bucket])
            bytes.append(digits: sum)
            if bucket < exemplars.count, let kept = exemplars[bucket] {
                append(kept, bounds.scale)
            }
            bytes.append(UInt8(ascii: "\n"))
        }
        begin(text, suffix: "_sum")
        bytes.append(histogram.sum, bounds.scale)
        bytes.append(UInt8(ascii: "\n"))
        begin(text, suffix: "_count")
        bytes.append(digits: sum)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// ` # {trace_id="...",span_id="..."} 0.054 1520879607.789`
    private mutating func append(
        _ kept: HistogramSeries.Kept, _ scale: HistogramBounds.Scale
    ) {
        bytes.append(contentsOf: " # {trace_id=\"".utf8)
        bytes.append(hexadecimal: kept.exemplar.trace)
        bytes.append(contentsOf: "\",span_id=\"".utf8)
        bytes.append(hexadecimal: kept.exemplar.span)
        bytes.append(contentsOf: "\"} ".utf8)
        bytes.append(kept.value, scale)
        bytes.append(UInt8(ascii: " "))
        let milliseconds = kept.exemplar.time * 1_000
        // A clock that says nonsense says nothing.
        let isTime = milliseconds > 0 && milliseconds < 1e16
        bytes.append(number: isTime ? milliseconds.rounded() / 1_000 : 0)
    }
}

// MARK: - Text

extension [UInt8] {
    /// `\` and the end of a line as they are written in a page; `"` too, where it would end the text.
    mutating func append(escaping text: String, quotes: Bool) {
        // Almost every one.
        if !text.utf8.contains(where: Self.isEscaped) { return append(contentsOf: text.utf8) }
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): append(contentsOf: "\\\\".utf8)
            case UInt8(ascii: "\n"): append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\"") where quotes: append(contentsOf: "\\\"".utf8)
            default: append(byte)
            }
        }
    }

    private static func isEscaped(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: "\\") || byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\"")
    }

    mutating func append(_ count: UInt64, _ scale: HistogramBounds.Scale) {
        switch scale {
        case .plain: append(digits: count)
        case .nanoseconds: append(nanoseconds: count)
        }
    }

    mutating func append(digits number: UInt64) {
        guard number >= 10 else { return append(UInt8(ascii: "0") + UInt8(number)) }
        let start = count
        var rest = number
        while rest > 0 {
            append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        }
        self[start...].reverse()
    }

    /// In seconds, exactly, without zeros at the end.
    mutating func append(nanoseconds: UInt64) {
        append(digits: nanoseconds / 1_000_000_000)
        var rest = nanoseconds % 1_000_000_000
        guard rest > 0 else { return }
        append(UInt8(ascii: "."))
        var place: UInt64 = 100_000_000
        while rest > 0 {
            append(UInt8(ascii: "0") + UInt8(rest / place))
            rest %= place
            place /= 10
        }
    }

    mutating func append(number: Double) {
        if number.isNaN {
            append(contentsOf: "NaN".utf8)
        } else if number.isInfinite {
            append(contentsOf: (number > 0 ? "+Inf" : "-Inf").utf8)
        } else if number == number.rounded(), number >= 0, number < 1e15 {
            append(digits: UInt64(number))
        } else {
            append(contentsOf: number.description.utf8)
        }
    }

    fileprivate mutating func append(hexadecimal bytes: [UInt8]) {
        for byte in bytes {
            for digit in [byte >> 4, byte & 15] {
                append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            }
        }
    }
}
