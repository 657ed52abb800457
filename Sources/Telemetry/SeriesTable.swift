// The series of one metric by their labels, bounded: what comes when it is full is counted under `other`.

import Synchronization

/// `model="iris",version="1"`: label values written once, with what they must not hold taken out.
package struct LabelText: Sendable, Hashable {
    /// Longer values are cut.
    package static let valueBytesMax = 256

    let bytes: [UInt8]

    package init(_ names: [String], _ values: [String]) {
        precondition(names.count == values.count, "each label has a value")
        var bytes: [UInt8] = []
        for (name, value) in zip(names, values) {
            if !bytes.isEmpty { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: name.utf8)
            bytes.append(contentsOf: "=\"".utf8)
            bytes.append(escaping: LabelText.cut(value), quotes: true)
            bytes.append(UInt8(ascii: "\""))
        }
        self.bytes = bytes
    }

    package static let none = LabelText([], [])

    private static func cut(_ value: String) -> String {
        guard value.utf8.count > valueBytesMax else { return value }
        var short = ""
        for scalar in value.unicodeScalars {
            guard short.utf8.count + String(scalar).utf8.count <= valueBytesMax else { break }
            short.unicodeScalars.append(scalar)
        }
        return short
    }
}

/// Values of labels made ready once, for several metrics that have the same labels.
package struct SeriesLabels: Sendable {
    let names: [String]
    let values: [String]
    let text: LabelText

    package init(_ names: [String], _ values: [String]) {
        self.names = names
        self.values = values
        text = LabelText(names, values)
    }
}

/// Any thread; locked for look-ups and changes, never while something is counted.
final class SeriesTable<Series: Sendable>: Sendable {
    struct Entry: Sendable {
        let labels: SeriesLabels
        let series: Series

        var values: [String] { labels.values }
        var text: LabelText { labels.text }
    }

    private struct Pages: Sendable {
        var places: [LabelText: Int] = [:]
        var entries: [Entry] = []
        /// Entries that are not `other`.
        var own = 0
    }

    /// Stands for what has no series of its own.
    static var other: String { "other" }

    /// Labels whose values are many, nil for all; the others have few, by design, and keep theirs in the series `other`.
    private let open: Set<String>?
    private let seriesMax: Int
    private let make: @Sendable () -> Series
    private let pages = Mutex(Pages())

    init(open: Set<String>?, seriesMax: Int, make: @escaping @Sendable () -> Series) {
        self.open = open
        self.seriesMax = seriesMax
        self.make = make
    }

    func series(_ names: [String], _ values: [String]) -> Series {
        series(SeriesLabels(names, values))
    }

    func series(_ labels: SeriesLabels) -> Series {
        pages.withLock { pages in
            if let place = pages.places[labels.text] { return pages.entries[place].series }
            if pages.own < seriesMax {
                pages.own += 1
                return add(Entry(labels: labels, series: make()), &pages)
            }
            let rest = zip(labels.names, labels.values).map { isOpen($0) ? Self.other : $1 }
            let shared = SeriesLabels(labels.names, rest)
            if let place = pages.places[shared.text] { return pages.entries[place].series }
            return add(Entry(labels: shared, series: make()), &pages)
        }
    }

    private func isOpen(_ name: String) -> Bool { open?.contains(name) ?? true }

    private func add(_ entry: Entry, _ pages: inout Pages) -> Series {
        pages.places[entry.text] = pages.entries.count
        pages.entries.append(entry)
        return entry.series
    }

    /// Drops those that nobody will count in again. Whoever still holds one counts into nothing.
    func keep(_ isWanted: (_ values: [String]) -> Bool) {
        pages.withLock { pages in
            let isOther = { (entry: Entry) in
                zip(entry.labels.names, entry.values).contains {
                    self.isOpen($0) && $1 == Self.other
                }
            }
            let kept = pages.entries.filter { isOther($0) || isWanted($0.values) }
            guard kept.count < pages.entries.count else { return }
            pages = Pages()
            for entry in kept {
                if !isOther(entry) { pages.own += 1 }
                _ = add(entry, &pages)
            }
        }
    }

    var entries: [Entry] { pages.withLock { $0.entries } }
    var count: Int { pages.withLock { $0.entries.count } }
}
