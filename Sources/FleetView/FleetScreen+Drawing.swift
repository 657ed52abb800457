// The view as lines: a heading, a row for each version, and what can be pressed. Sizes go down to one character.

import SluiceClient

extension FleetScreen {
    /// How many lines stand above the rows, the titles included; fewer where there is little room.
    private var headingCount: Int { height >= 12 ? 5 : height >= 6 ? 2 : height >= 2 ? 1 : 0 }
    private var footingCount: Int { height >= 4 ? 1 : 0 }
    var rowsSeen: Int { max(0, height - headingCount - footingCount) }

    /// The whole screen: as many lines as it has, none longer than it is wide.
    package func draw() -> [ScreenLine] {
        if mode == .help {
            let blank = Array(repeating: ScreenLine(), count: max(0, height - help.count))
            return (help.prefix(height) + blank).map { $0.cut(to: width) }
        }
        let columns = FleetColumn.fitting(width)
        var lines: [ScreenLine] = []
        if headingCount >= 5 { lines += [gateway, memory, traffic, message] }
        if headingCount == 2 { lines.append(trouble == nil && notice == nil ? traffic : message) }
        if headingCount > 0 {
            lines.append(titles(columns).cut(to: width, fills: true).styled(.heading))
        }
        for row in rows.dropFirst(top).prefix(rowsSeen) {
            let line = cells(columns, row)
            lines.append(
                row.identity == chosen
                    ? line.cut(to: width, fills: true).styled(.chosen) : line)
        }
        while lines.count < height - footingCount { lines.append(ScreenLine()) }
        if footingCount > 0 { lines.append(footing) }
        return lines.prefix(height).map { $0.cut(to: width) }
    }

    /// For a pipe: the heading in one line, and every row with every column.
    package func plainLines() -> [String] {
        var first = [gateway.text, memory.text, traffic.text]
        if let trouble { first.append("no answer: " + ScreenLine.harmless(trouble)) }
        let columns = FleetColumn.allCases
        let table =
            [columns.map(\.title)]
            + rows.map { row in
                columns.map { column in
                    ScreenLine.harmless(column.text(row))
                        + (column == .state && row.isPinned ? ", pinned" : "")
                }
            }
        let widths = columns.indices.map { index in table.map { $0[index].count }.max() ?? 0 }
        return first
            + table.map { cells in
                let line = cells.indices.map { index in
                    let space = String(repeating: " ", count: widths[index] - cells[index].count)
                    return columns[index].isText ? cells[index] + space : space + cells[index]
                }.joined(separator: "  ")
                return String(line.trimmingSpaces)
            }
    }

    // MARK: - Heading

    private var gateway: ScreenLine {
        var line = ScreenLine()
        guard let latest else {
            line.add("sluice top", .strong)
            line.add("  \(endpoint)")
            return line
        }
        line.add("\(latest.gateway.name) \(latest.gateway.version)", .strong)
        line.add(" at \(endpoint)")
        if let uptime = latest.fleet.uptime { line.add("  up \(AccountWords.time(uptime))") }
        if let totals = comparison?.totals {
            line.add("  \(totals.awake) of \(totals.models) awake")
        }
        return line
    }

    private var memory: ScreenLine {
        guard let fleet = latest?.fleet else { return ScreenLine() }
        var line = ScreenLine("memory ")
        Self.add(&line, fleet.anonymousUsed, of: fleet.anonymousBudget, "own")
        line.add("  ")
        Self.add(&line, fleet.mappedUsed, of: fleet.mappedBudget, "mapped")
        let isMuch = fleet.loadsWarn > 0 && fleet.loadsLastHour > fleet.loadsWarn
        line.add(
            "  \(fleet.loadsLastHour) loads in the last hour", isMuch ? .warning : .plain)
        return line
    }

    private static func add(
        _ line: inout ScreenLine, _ used: UInt64, of budget: UInt64, _ what: String
    ) {
        guard budget > 0 else { return line.add("\(AccountWords.bytes(used)) \(what)") }
        let share = Double(used) / Double(budget)
        line.add(
            "\(AccountWords.bytes(used)) of \(AccountWords.bytes(budget)) \(what)",
            share > 0.95 ? .warning : .plain)
    }

    private var traffic: ScreenLine {
        guard let fleet = latest?.fleet, let totals = comparison?.totals else {
            return ScreenLine()
        }
        var line = ScreenLine("calls \(FleetNumbers.rate(totals.rate))/s", .strong)
        line.add("  p50 \(FleetNumbers.time(totals.median))")
        line.add("  p99 \(FleetNumbers.time(totals.tail))")
        line.add("  queue \(totals.waiting)  running \(fleet.running)")
        line.add("  cold \(totals.coldShare.map(AccountWords.share) ?? "-") since the start")
        return line
    }

    private var message: ScreenLine {
        if let trouble { return ScreenLine("no answer, trying again: \(trouble)", .trouble) }
        if let notice { return ScreenLine(notice.text, notice.isTrouble ? .trouble : .good) }
        if latest == nil { return ScreenLine("asking the gateway", .faint) }
        if !filter.isEmpty, mode != .filtering {
            return ScreenLine("only what has '\(filter)' (\(rows.count)); Esc shows all", .faint)
        }
        return ScreenLine()
    }

    // MARK: - Rows

    private func titles(_ columns: [FleetColumn]) -> ScreenLine {
        ScreenLine(
            "  "
                + columns.map { column in
                    let mark = column == sort ? (isReversed ? "^" : "v") : ""
                    return Self.fit(column.title + mark, into: column, of: columns, width)
                }.joined(separator: "  "))
    }

    private func cells(_ columns: [FleetColumn], _ row: FleetRow) -> ScreenLine {
        var line = ScreenLine(row.isPinned ? "* " : "  ", .strong)
        for (index, column) in columns.enumerated() {
            if index > 0 { line.add("  ") }
            line.add(
                Self.fit(column.text(row), into: column, of: columns, width),
                column == .state ? Self.style(row) : .plain)
        }
        return line
    }

    private static func style(_ row: FleetRow) -> ScreenStyle {
        if row.isTrouble { return .trouble }
        if row.state.hasPrefix("waking") { return .warning }
        return row.isAwake ? .good : .faint
    }

    /// Text to the left, numbers to the right; the model's column takes what is left of the line.
    private static func fit(
        _ text: String, into column: FleetColumn, of columns: [FleetColumn], _ width: Int
    ) -> String {
        let spare = column == .model ? max(0, width - FleetColumn.needed(columns)) : 0
        let room = column.width + spare
        let text = ScreenLine.harmless(text).prefix(room)
        let space = String(repeating: " ", count: room - text.count)
        return column.isText ? text + space : space + text
    }

    // MARK: - What can be pressed

    private var footing: ScreenLine {
        switch mode {
        case .looking, .help:
            return ScreenLine(
                "? help  q quit  < > sort  r reverse  p pin  u unload  z sleep  l load  / filter",
                .faint)
        case .filtering:
            var line = ScreenLine("filter: \(filter)", .strong)
            line.add("_  Enter keeps it, Esc clears it", .faint)
            return line
        case .asking(let deed, let model):
            let name = "\(model.name) version \(model.version)"
            let question =
                deed == .unload
                ? "take \(name) out of service until it is loaded again?"
                : "put \(name) to sleep? A call wakes it again."
            return ScreenLine("\(question) (y/n)", .warning)
        }
    }

    private var help: [ScreenLine] {
        [
            "sluice top: the models of a gateway",
            "",
            "up, down, j, k     choose a model      PgUp, PgDn, g, G   further",
            "<, >, s            sort by another column                 r   the other way round",
            "/                  show only what has this in its name or state; Esc shows all",
            "p                  keep the model in memory (*), or let it go again",
            "l                  put it in service and wake it",
            "u                  take it out of service (asks)",
            "z                  put it to sleep; a call wakes it (asks)",
            "Ctrl-L, Ctrl-Z     draw again, back to the shell",
            "q, Ctrl-C          quit",
            "",
            "CALLS/S, P50 and P99 are of the last interval, from a call's arrival to the end of",
            "its run; COLD is the share of calls since the gateway started that found the model",
            "asleep; QUEUE counts calls that wait for the model or for their turn.",
            "",
            "any key goes back",
        ].map { ScreenLine($0) }
    }
}

extension String {
    fileprivate var trimmingSpaces: Substring {
        var rest = self[...]
        while rest.last == " " { rest.removeLast() }
        return rest
    }
}
