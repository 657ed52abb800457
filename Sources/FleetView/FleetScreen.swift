// The view of `sluice top` as a value: answers and keys go in, wishes and lines come out. Drawing is in FleetScreen+Drawing.swift.

import SluiceClient

/// What a person wants done.
package enum FleetWish: Sendable, Equatable {
    package enum Deed: String, Sendable {
        case pin, unpin, load, unload, sleep
    }

    case quit
    /// Back to the shell until it is continued.
    case suspend
    case act(Deed, FleetRow.Identity)
}

package struct FleetScreen: Sendable {
    enum Mode: Sendable, Equatable {
        case looking
        /// The filter is being written.
        case filtering
        case asking(FleetWish.Deed, FleetRow.Identity)
        case help
    }

    /// The longest filter.
    static let filterMax = 64

    /// Where the gateway is, for the heading.
    let endpoint: String
    private(set) var mode = Mode.looking
    private(set) var latest: FleetSnapshot?
    private(set) var comparison: FleetComparison?
    /// Why there are no newer numbers; nil while there are.
    private(set) var trouble: String?
    /// What became of the last deed.
    private(set) var notice: (text: String, isTrouble: Bool)?
    private(set) var filter = ""
    package private(set) var sort = FleetColumn.rate
    package private(set) var isReversed = false
    /// Those that are shown, in their order.
    package private(set) var rows: [FleetRow] = []
    package private(set) var chosen: FleetRow.Identity?
    /// Until somebody has moved it the choice stays with the first row.
    private var hasMoved = false
    /// The first row that is seen.
    private(set) var top = 0
    package private(set) var width = 80
    private(set) var height = 24

    package init(endpoint: String, sort: FleetColumn = .rate) {
        self.endpoint = endpoint
        self.sort = sort
    }

    // MARK: - What happens

    package mutating func resize(width: Int, height: Int) {
        (self.width, self.height) = (max(1, width), max(1, height))
        follow()
    }

    package mutating func take(_ snapshot: FleetSnapshot) {
        comparison = FleetComparison(snapshot, since: latest)
        latest = snapshot
        trouble = nil
        arrange()
    }

    /// The gateway does not answer; what it said last stays.
    package mutating func lose(_ why: String) { trouble = why }

    /// A deed has been done, or not.
    package mutating func note(_ text: String, isTrouble: Bool = false) {
        notice = (text, isTrouble)
    }

    /// Keys. Returns what is wished, if anything.
    package mutating func press(_ key: Key) -> FleetWish? {
        switch key {
        case .interrupt: return .quit
        case .suspend: return .suspend
        case .redraw: return nil
        default: break
        }
        switch mode {
        case .looking: return look(key)
        case .filtering:
            write(key)
            return nil
        case .help:
            mode = .looking
            return nil
        case .asking(let deed, let model):
            mode = .looking
            return key == .character("y") || key == .character("Y") ? .act(deed, model) : nil
        }
    }

    private mutating func look(_ key: Key) -> FleetWish? {
        notice = nil
        switch key {
        case .character("q"), .character("Q"): return .quit
        case .character("?"), .character("h"): mode = .help
        case .character("/"): mode = .filtering
        case .escape:
            filter = ""
            arrange()
        case .character("s"), .character(">"), .right: sortBy(step: 1)
        case .character("<"), .left: sortBy(step: -1)
        case .character("r"):
            isReversed.toggle()
            arrange()
        case .up, .character("k"): move(-1)
        case .down, .character("j"): move(1)
        case .pageUp: move(-rowsSeen)
        case .pageDown: move(rowsSeen)
        case .home, .character("g"): move(-rows.count)
        case .end, .character("G"): move(rows.count)
        case .character(let letter): return wish(letter)
        default: break
        }
        return nil
    }

    private mutating func wish(_ letter: Character) -> FleetWish? {
        guard let chosen, let row = rows.first(where: { $0.identity == chosen }) else { return nil }
        switch letter {
        case "p": return .act(row.isPinned ? .unpin : .pin, chosen)
        case "l": return .act(.load, chosen)
        case "u": mode = .asking(.unload, chosen)
        case "z": mode = .asking(.sleep, chosen)
        default: break
        }
        return nil
    }

    private mutating func write(_ key: Key) {
        switch key {
        case .enter: mode = .looking
        case .escape:
            filter = ""
            mode = .looking
        case .erase: if !filter.isEmpty { filter.removeLast() }
        case .character(let letter) where filter.count < Self.filterMax: filter.append(letter)
        default: break
        }
        arrange()
    }

    // MARK: - Order and place

    private mutating func sortBy(step: Int) {
        let columns = FleetColumn.fitting(width)
        let place = columns.firstIndex(of: sort) ?? (step > 0 ? -1 : 0)
        sort = columns[(place + step + columns.count) % columns.count]
        isReversed = false
        arrange()
    }

    private mutating func arrange() {
        let wanted = filter.lowercased()
        let all = comparison?.rows ?? []
        let shown =
            wanted.isEmpty
            ? all
            : all.filter {
                $0.identity.name.lowercased().contains(wanted) || $0.state.contains(wanted)
            }
        // Equal ones keep one order, so that rows do not jump: by name, the newest version first.
        rows = shown.sorted { left, right in
            let (first, second) = isReversed ? (right, left) : (left, right)
            if sort.precedes(first, second) { return true }
            if sort.precedes(second, first) { return false }
            if left.identity.name != right.identity.name {
                let isBefore = left.identity.name < right.identity.name
                return sort == .model && isReversed ? !isBefore : isBefore
            }
            return FleetColumn.isNewer(left.identity.version, right.identity.version)
        }
        follow()
    }

    private mutating func move(_ step: Int) {
        guard !rows.isEmpty else { return }
        hasMoved = true
        let place = rows.firstIndex { $0.identity == chosen } ?? 0
        chosen = rows[min(max(0, place + step), rows.count - 1)].identity
        follow()
    }

    /// The chosen row is one of those that are seen; without one the first is chosen.
    private mutating func follow() {
        guard !rows.isEmpty else {
            chosen = nil
            top = 0
            return
        }
        if !hasMoved { chosen = rows[0].identity }
        var place = rows.firstIndex { $0.identity == chosen }
        if place == nil {
            place = min(top, rows.count - 1)
            chosen = rows[place ?? 0].identity
        }
        let (line, seen) = (place ?? 0, max(1, rowsSeen))
        top = min(max(top, line - seen + 1), line)
        top = max(0, min(top, rows.count - seen))
    }
}
