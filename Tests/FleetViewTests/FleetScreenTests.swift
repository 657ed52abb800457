// The view without a terminal: what rows say, how they are ordered, what keys wish for, and that every size can be drawn.

import FleetView
import SluiceClient
import Testing

@Suite struct FleetScreenTests {
    // MARK: - Numbers

    @Test func ratesAndQuantilesAreOfTheInterval() throws {
        let screen = Sample.screen()
        let iris = try #require(screen.rows.first { $0.identity.name == "iris" })
        #expect(iris.rate == 10 && iris.coldShare == 0.1 && iris.isPinned)
        // Bucket 41: 1.05 ms to 1.31 ms.
        #expect(
            (Duration.microseconds(1_048)...(.microseconds(1_311))).contains(iris.median ?? .zero))
        let digits = try #require(screen.rows.first { $0.identity.name == "digits" })
        #expect(digits.rate == 0 && digits.median == nil && digits.coldShare == nil)
        #expect(digits.anonymous == 0)
        #expect(screen.text.contains("calls 11/s"))
        #expect(screen.text.contains("6 MiB of 1 GiB own"))
        #expect(screen.text.contains("2 of 3 awake"))
    }

    @Test func theFirstLookHasNoRates() {
        var screen = FleetScreen(endpoint: "here")
        screen.take(Sample.snapshot(at: 0, [Sample.model("iris", calls: 100)]))
        #expect(screen.rows.first?.rate == nil && screen.rows.first?.tail == nil)
        #expect(screen.text.contains("calls -/s"))
    }

    @Test func aGatewayThatBeganAnewHasNoRates() {
        var screen = Sample.screen()
        screen.take(Sample.snapshot(at: 3, uptime: 1, [Sample.model("iris", calls: 500)]))
        #expect(screen.rows.first?.rate == nil)
        screen.take(Sample.snapshot(at: 5, uptime: 3, [Sample.model("iris", calls: 504)]))
        #expect(screen.rows.first?.rate == 2)
    }

    @Test func aModelThatCameIsCountedFromZero() {
        var screen = Sample.screen()
        screen.take(
            Sample.snapshot(
                at: 4, [Sample.model("iris", calls: 120), Sample.model("new", calls: 6)]))
        #expect(screen.names.first == "new" && screen.rows.first?.rate == 3)
    }

    @Test(
        arguments: [
            (nil, "-"), (0, "0"), (0.44, "0.4"), (9.94, "9.9"), (9.96, "10"), (999.4, "999"),
            (1_234, "1,234"), (99_999, "99,999"), (123_456, "123k"), (.infinity, "-"), (.nan, "-"),
        ] as [(Double?, String)])
    func ratesAreShort(rate: Double?, text: String) {
        #expect(FleetNumbers.rate(rate) == text)
    }

    @Test(
        arguments: [
            (nil, "-"), (.nanoseconds(400), "0.4 us"), (.microseconds(42), "42 us"),
            (.microseconds(1_400), "1.4 ms"), (.milliseconds(230), "230 ms"),
            (.milliseconds(1_200), "1.2 s"), (.seconds(300), "5 min"),
        ] as [(Duration?, String)])
    func timesAreShort(time: Duration?, text: String) {
        #expect(FleetNumbers.time(time) == text)
    }

    @Test func statesSayWhatMatters() {
        var screen = FleetScreen(endpoint: "here")
        var snapshot = Sample.snapshot(
            at: 0,
            [
                Sample.model("a", .loading) { $0.waking = 0.43 },
                Sample.model("b", .queued), Sample.model("c", .broken) { $0.isQuarantined = true },
                Sample.model("d", .broken), Sample.model("e", .asleep), Sample.model("f", .awake),
                Sample.model("g", .leaving),
                Sample.model("h", .init(rawValue: "state 42")),
                Sample.model("i") { $0.promotedFor = .seconds(1) },
            ])
        snapshot.index[4] = IndexedModel(name: "e", version: "1", state: "UNAVAILABLE")
        screen.take(snapshot)
        _ = screen.press("<<<<")
        #expect(screen.sort == .version || screen.sort == .model)
        #expect(
            screen.rows.sorted { $0.identity.name < $1.identity.name }.map(\.state)
                == [
                    "waking 43 %", "waking", "quarantined", "broken", "out of service", "awake",
                    "leaving", "state 42", "awake, promoted",
                ])
        while screen.sort != .state { _ = screen.press("s") }
        #expect(screen.names == ["c", "d", "a", "b", "g", "f", "i", "h", "e"])
    }

    // MARK: - Order

    @Test func everyColumnOrders() {
        var screen = Sample.screen()
        #expect(screen.sort == .rate && screen.names == ["iris", "wine", "digits"])
        _ = screen.press("r")
        #expect(screen.names == ["digits", "wine", "iris"])
        var seen: [FleetColumn] = []
        for _ in FleetColumn.allCases {
            _ = screen.press(.right)
            seen.append(screen.sort)
            #expect(!screen.isReversed && Set(screen.names) == ["digits", "iris", "wine"])
            if screen.sort == .memory { #expect(screen.names == ["wine", "iris", "digits"]) }
            if screen.sort == .model { #expect(screen.names == ["digits", "iris", "wine"]) }
        }
        #expect(Set(seen) == Set(FleetColumn.allCases))
        _ = screen.press("<")
        #expect(screen.sort == .mapped)
        while screen.sort != .model { _ = screen.press(">") }
        _ = screen.press("r")
        #expect(screen.names == ["wine", "iris", "digits"])
    }

    @Test func newerVersionsComeFirst() {
        var screen = FleetScreen(endpoint: "here", sort: .model)
        screen.take(
            Sample.snapshot(
                at: 0, ["2", "10", "9"].map { Sample.model("iris", version: $0) }))
        #expect(screen.rows.map(\.identity.version) == ["10", "9", "2"])
    }

    @Test func theFilterIsOfNamesAndStates() {
        var screen = Sample.screen()
        _ = screen.press("/WI")
        #expect(screen.names == ["wine"] && screen.text.contains("filter: WI"))
        _ = screen.press("q")
        #expect(screen.names.isEmpty, "q is a letter here")
        for _ in 0..<9 { _ = screen.press(.erase) }
        _ = screen.press("asleep")
        #expect(screen.names == ["digits"])
        _ = screen.press(.enter)
        #expect(screen.text.contains("only what has 'asleep' (1)"))
        _ = screen.press(.escape)
        #expect(screen.names.count == 3)
        _ = screen.press("/" + String(repeating: "x", count: 500))
        #expect(!screen.text.contains(String(repeating: "x", count: 65)))
    }

    // MARK: - Keys

    @Test func deedsAreOfTheChosenModel() {
        var screen = Sample.screen()
        let iris = screen.rows[0].identity
        #expect(screen.chosen == iris)
        #expect(screen.press("p") == .act(.unpin, iris))
        _ = screen.press(.down)
        let wine = screen.rows[1].identity
        #expect(screen.press("p") == .act(.pin, wine) && screen.press("l") == .act(.load, wine))
        #expect(screen.press("u") == nil)
        #expect(screen.text.contains("take wine version 1 out of service"))
        #expect(screen.press("n") == nil && !screen.text.contains("(y/n)"))
        #expect(screen.press("uy") == .act(.unload, wine))
        #expect(screen.press("zy") == .act(.sleep, wine))
        #expect(screen.press("u") == nil && screen.press(.enter) == nil)
        #expect(!screen.text.contains("(y/n)"), "only y is yes")
        #expect(screen.press("q") == .quit && screen.press(.interrupt) == .quit)
        #expect(screen.press(.suspend) == .suspend)
        _ = screen.press("?")
        #expect(screen.text.contains("any key goes back"))
        _ = screen.press("q")
        #expect(screen.text.contains("CALLS/S"))
        var empty = FleetScreen(endpoint: "here")
        #expect(empty.press("plujk") == nil && empty.chosen == nil)
    }

    @Test func theChoiceStaysWithItsModel() {
        var screen = Sample.screen()
        _ = screen.press("j")
        #expect(screen.chosen?.name == "wine")
        _ = screen.press("r")
        #expect(screen.chosen?.name == "wine")
        _ = screen.press("G")
        #expect(screen.chosen?.name == "iris")
        screen.take(Sample.snapshot(at: 9, [Sample.model("wine")]))
        #expect(screen.chosen?.name == "wine", "the one chosen has gone")
    }

    @Test func longListsScroll() {
        var screen = FleetScreen(endpoint: "here", sort: .model)
        screen.resize(width: 80, height: 12)
        let models = (100..<200).map { Sample.model("m\($0)") }
        screen.take(Sample.snapshot(at: 0, models))
        #expect(screen.text.contains("m105") && !screen.text.contains("m106"))
        for _ in 0..<50 { _ = screen.press(.down) }
        #expect(screen.text.contains("m150") && !screen.text.contains("m144"))
        _ = screen.press(.end)
        #expect(screen.text.contains("m199") && screen.chosen?.name == "m199")
        _ = screen.press(.pageUp)
        #expect(screen.chosen?.name == "m193")
        screen.resize(width: 80, height: 8)
        #expect(screen.text.contains("m193"), "the chosen one is always seen")
        screen.take(Sample.snapshot(at: 1, Array(models.prefix(2))))
        #expect(screen.text.contains("m100") && screen.text.contains("m101"))
    }

    // MARK: - Drawing

    @Test func everySizeCanBeDrawn() {
        for width in [1, 2, 9, 14, 20, 33, 40, 60, 79, 80, 100, 300] {
            for height in [1, 2, 3, 4, 5, 6, 11, 12, 13, 40] {
                var screen = Sample.screen(width: width, height: height)
                for keys in ["", "/i", "u", "?"] {
                    _ = screen.press(keys)
                    let lines = screen.draw()
                    #expect(lines.count == height)
                    #expect(lines.allSatisfy { $0.count <= width })
                }
            }
        }
    }

    @Test func columnsGoByPriority() {
        #expect(FleetColumn.fitting(200) == FleetColumn.allCases)
        #expect(FleetColumn.fitting(80).contains(.rate) && FleetColumn.fitting(80).contains(.tail))
        #expect(!FleetColumn.fitting(80).contains(.mapped))
        #expect(FleetColumn.fitting(1) == [.model])
        var before = FleetColumn.allCases
        for width in (1...120).reversed() {
            let now = FleetColumn.fitting(width)
            #expect(Set(now).isSubset(of: before))
            before = now
        }
    }

    @Test func whatAGatewaySaysCannotMoveTheCursor() {
        var screen = FleetScreen(endpoint: "here")
        var snapshot = Sample.snapshot(at: 0, [Sample.model("a\u{1B}[2Jb\n\u{9B}c\u{0301}é")])
        snapshot.gateway = ServerMetadata(name: "\u{1B}]0;x\u{07}", version: "1", extensions: [])
        screen.take(snapshot)
        screen.lose("\u{1B}[31m\r\nno")
        let frame = ScreenInk(hasColor: false).frame(screen.draw(), width: screen.width)
        #expect(frame.contains("a?[2Jb??c"))
        #expect(frame.contains("?]0;x?") && frame.contains("no answer, trying again: ?[31m??no"))
        #expect(screen.plainLines().allSatisfy { $0.utf8.allSatisfy { 0x20..<0x7F ~= $0 } })
    }

    @Test func aFrameIsOneText() {
        var screen = Sample.screen(width: 100, height: 20)
        let colored = ScreenInk(hasColor: true).frame(screen.draw(), width: screen.width)
        #expect(colored.hasPrefix("\u{1B}[H") && !colored.contains("\u{1B}[2J"), "no flicker")
        // The titles fill their line: erasing behind them would take the last letter.
        #expect(colored.contains("QUEUE\u{1B}[m\r\n"))
        #expect(colored.contains("\u{1B}[32mawake") && colored.contains("\u{1B}[1;97;44m* iris"))
        let bare = ScreenInk(hasColor: false).frame(screen.draw(), width: screen.width)
        #expect(!bare.contains("[32m") && !bare.contains("44m") && bare.contains("\u{1B}[1;7m"))
        #expect(bare.split(separator: "\r\n").count == 20)
        screen.lose("gone")
        #expect(screen.text.contains("no answer, trying again: gone"))
        #expect(screen.text.contains("iris"), "what it said last stays")
        screen.take(Sample.snapshot(at: 5, [Sample.model("iris")]))
        #expect(!screen.text.contains("no answer"))
        screen.note("iris is pinned")
        #expect(screen.text.contains("iris is pinned"))
        _ = screen.press("j")
        #expect(!screen.text.contains("iris is pinned"))
    }

    @Test func plainTablesHaveEveryColumn() {
        let lines = Sample.screen(width: 10, height: 3).plainLines()
        #expect(lines[0].hasPrefix("sluice 0.1.0 at 127.0.0.1:8443  up "))
        #expect(
            lines[3].split(separator: " ").map(String.init) == FleetColumn.allCases.map(\.title))
        #expect(lines[4].hasPrefix("iris") && lines[4].contains("awake, pinned"))
        #expect(lines.count == 7)
    }
}
