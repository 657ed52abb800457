// The columns of the view: what stands in each, how rows are ordered by it, and which go first when there is no room.

import SluiceClient

/// In the order in which they stand from left to right.
package enum FleetColumn: String, Sendable, CaseIterable {
    case model, version, state, memory, mapped, rate, median, tail, cold, queue

    package var title: String {
        switch self {
        case .model: "MODEL"
        case .version: "VERSION"
        case .state: "STATE"
        case .memory: "MEMORY"
        case .mapped: "MAPPED"
        case .rate: "CALLS/S"
        case .median: "P50"
        case .tail: "P99"
        case .cold: "COLD"
        case .queue: "QUEUE"
        }
    }

    /// In characters; the model's is the least, and takes what is left.
    var width: Int {
        switch self {
        case .model: 12
        case .version: 8
        case .state: 15
        case .memory, .mapped: 9
        case .rate: 8
        case .median, .tail: 8
        case .cold: 6
        case .queue: 6
        }
    }

    var isText: Bool { self == .model || self == .state || self == .version }

    /// Those that are dropped first when the terminal is narrow; the model's name never is.
    static let leastWanted: [FleetColumn] = [
        .mapped, .cold, .median, .queue, .version, .memory, .tail, .rate, .state,
    ]

    /// Those that fit into so many characters.
    package static func fitting(_ width: Int) -> [FleetColumn] {
        var columns = FleetColumn.allCases
        for candidate in leastWanted where needed(columns) > width {
            columns.removeAll { $0 == candidate }
        }
        return columns
    }

    /// With two characters between them, and two in front for the pin.
    static func needed(_ columns: [FleetColumn]) -> Int {
        columns.reduce(0) { $0 + $1.width + 2 }
    }

    func text(_ row: FleetRow) -> String {
        switch self {
        case .model: row.identity.name
        case .version: row.identity.version
        case .state: row.state
        case .memory: row.anonymous == 0 ? "-" : AccountWords.bytes(row.anonymous)
        case .mapped: row.mapped == 0 ? "-" : AccountWords.bytes(row.mapped)
        case .rate: FleetNumbers.rate(row.rate)
        case .median: FleetNumbers.time(row.median)
        case .tail: FleetNumbers.time(row.tail)
        case .cold: row.coldShare.map(AccountWords.share) ?? "-"
        case .queue: row.waiting == 0 ? "-" : "\(row.waiting)"
        }
    }

    /// What the rows are ordered by: a name upwards, a number from the largest down. Reversed by the screen.
    func precedes(_ left: FleetRow, _ right: FleetRow) -> Bool {
        switch self {
        case .model: false
        case .version: Self.isNewer(left.identity.version, right.identity.version)
        case .state: left.rank < right.rank
        case .memory: left.anonymous > right.anonymous
        case .mapped: left.mapped > right.mapped
        case .rate: (left.rate ?? 0) > (right.rate ?? 0)
        case .median: (left.median ?? .zero) > (right.median ?? .zero)
        case .tail: (left.tail ?? .zero) > (right.tail ?? .zero)
        case .cold: (left.coldShare ?? -1) > (right.coldShare ?? -1)
        case .queue: left.waiting > right.waiting
        }
    }

    /// Versions are numbers as long as they like.
    static func isNewer(_ left: String, _ right: String) -> Bool {
        left.count == right.count ? left > right : left.count > right.count
    }
}

package enum FleetNumbers {
    /// `-`, `0`, `0.4`, `12`, `1,234`, `56k`.
    package static func rate(_ rate: Double?) -> String {
        guard let rate, rate.isFinite, rate >= 0 else { return "-" }
        switch rate {
        case 0: return "0"
        case ..<9.95: return "\((rate * 10).rounded() / 10)"
        case ..<99_999.5:
            let whole = Int(rate.rounded())
            guard whole >= 1_000 else { return "\(whole)" }
            let rest = String(whole % 1_000)
            return "\(whole / 1_000)," + String(repeating: "0", count: 3 - rest.count) + rest
        default: return "\(Int(min(rate / 1_000, 1e12).rounded()))k"
        }
    }

    /// `-`, `4 us`, `1.4 ms`, `230 ms`, `1.2 s`: short enough for a column.
    package static func time(_ time: Duration?) -> String {
        guard let time else { return "-" }
        let microseconds = max(0, time / .microseconds(1))
        func short(_ value: Double) -> String {
            value < 9.95 ? "\((value * 10).rounded() / 10)" : "\(Int(value.rounded()))"
        }
        switch microseconds {
        case ..<999.5: return "\(short(microseconds)) us"
        case ..<999_500: return "\(short(microseconds / 1e3)) ms"
        case ..<99_500_000: return "\(short(microseconds / 1e6)) s"
        default: return AccountWords.time(time)
        }
    }
}
