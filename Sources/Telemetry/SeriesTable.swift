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

/// Any thread; locked for look-ups and changes, never while something is counted.
final class SeriesTable<Series: Sendable>: Sendable {
    struct Entry: Sendable {
        let names: [String]
        let values: [String]
        let text: LabelText
        let series: Series
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
        let text = LabelText(names, values)
        return pages.withLock { pages in
            if let place = pages.places[text] { return pages.entries[place].series }
            if pages.own < seriesMax {
                pages.own += 1
                return add(Entry(names: names, values: values, text: text, series: make()), &pages)
            }
            let rest = zip(names, values).map { isOpen($0) ? Self.other : $1 }
            let shared = LabelText(names, rest)
            if let place = pages.places[shared] { return pages.entries[place].series }
            return add(Entry(names: names, values: rest, text: shared, series: make()), &pages)
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
                zip(entry.names, entry.values).contains { self.isOpen($0) && $1 == Self.other }
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
}
