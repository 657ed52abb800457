// One session of `sluice top` in a terminal: keys and answers go to the screen's value, its lines to the terminal, its wishes to
// the gateway.

import FleetView
import Foundation
import NIOPosix
import SluiceClient
import Terminal

struct TopSession: Sendable {
    /// Deeds that may be under way.
    private static let deedsMax = 8
    /// How long one look for a key takes; a new size of the terminal is seen as late.
    private static let keyWait: Int32 = 50

    private enum Event: Sendable {
        case key(Key)
        /// Another size, or the screen was given back for a while.
        case changed
        case answer(FleetSnapshot)
        case lost(SluiceError)
        case done(String, isTrouble: Bool)
        /// The terminal has gone.
        case end
    }

    let client: SluiceClient
    let watch: FleetWatch

    /// Takes the terminal until somebody quits.
    func run(_ start: FleetScreen) async throws {
        let terminal = try TerminalScreen()
        defer { terminal.giveBack() }
        let (events, source) = AsyncStream.makeStream(
            of: Event.self, bufferingPolicy: .bufferingNewest(1_024))
        try await withThrowingTaskGroup(of: Void.self) { group in
            defer { group.cancelAll() }
            group.addTask { await readKeys(terminal, into: source) }
            group.addTask { await look(into: source) }
            var deeds = 0
            var screen = start
            let ink = ScreenInk(
                hasColor: (ProcessInfo.processInfo.environment["NO_COLOR"] ?? "").isEmpty)
            var shown = ""
            Self.resize(&screen, terminal)
            try draw(screen, ink, terminal, &shown)
            for await event in events {
                switch event {
                case .end: return
                case .changed:
                    Self.resize(&screen, terminal)
                    shown = ""
                case .answer(let snapshot): screen.take(snapshot)
                case .lost(let error):
                    guard FleetWatch.passes(error) else { throw error }
                    screen.lose(error.description)
                case .done(let text, let isTrouble):
                    deeds -= 1
                    screen.note(text, isTrouble: isTrouble)
                case .key(let key):
                    if key == .redraw { shown = "" }
                    switch screen.press(key) {
                    case nil: break
                    case .quit: return
                    case .suspend: terminal.suspend()
                    case .act(let deed, let model):
                        guard deeds < Self.deedsMax else {
                            screen.note("too much at a time: wait", isTrouble: true)
                            break
                        }
                        deeds += 1
                        screen.note("\(deed.rawValue) \(model.name) version \(model.version) ...")
                        group.addTask { source.yield(await carryOut(deed, model)) }
                    }
                }
                try draw(screen, ink, terminal, &shown)
            }
        }
    }

    private static func resize(_ screen: inout FleetScreen, _ terminal: TerminalScreen) {
        let size = terminal.size
        screen.resize(width: size.width, height: size.height)
    }

    /// One write a picture, and none when it is the same.
    private func draw(
        _ screen: FleetScreen, _ ink: ScreenInk, _ terminal: TerminalScreen, _ shown: inout String
    ) throws {
        let frame = ink.frame(screen.draw(), width: screen.width)
        guard frame != shown else { return }
        try terminal.write(frame)
        shown = frame
    }

    // MARK: - What is waited for

    private func readKeys(
        _ terminal: TerminalScreen, into source: AsyncStream<Event>.Continuation
    ) async {
        var reader = KeyReader()
        while !Task.isCancelled {
            do {
                // Waiting for a key blocks a thread.
                let input = try await NIOThreadPool.singleton.runIfActive {
                    terminal.next(within: Self.keyWait)
                }
                if terminal.hasChanged { source.yield(.changed) }
                switch input {
                case .byte(let byte):
                    if let key = reader.take(byte) { source.yield(.key(key)) }
                case .nothing:
                    if let key = reader.flush() { source.yield(.key(key)) }
                case .end:
                    source.yield(.end)
                    return
                }
            } catch {
                source.yield(.end)
                return
            }
        }
    }

    private func look(into source: AsyncStream<Event>.Continuation) async {
        while !Task.isCancelled {
            do throws(SluiceError) {
                source.yield(.answer(try await watch.look(client)))
            } catch {
                source.yield(.lost(error))
            }
            do {
                try await Task.sleep(for: watch.interval)
            } catch {
                return
            }
        }
    }

    private func carryOut(_ deed: FleetWish.Deed, _ model: FleetRow.Identity) async -> Event {
        let (name, version, time) = (model.name, model.version, watch.timeout)
        let subject = "\(name) version \(version)"
        do throws(SluiceError) {
            switch deed {
            case .pin:
                try await client.pin(name, version: version, timeout: time)
                return .done("\(subject) is pinned: it stays once it is awake", isTrouble: false)
            case .unpin:
                try await client.unpin(name, version: version, timeout: time)
                return .done("\(subject) is not pinned", isTrouble: false)
            case .load:
                try await client.load(name, version: version, timeout: time)
                return .done("\(subject) is in service and awake", isTrouble: false)
            case .unload:
                try await client.unload(name, version: version, timeout: time)
                return .done("\(subject) is out of service; l puts it back", isTrouble: false)
            case .sleep:
                try await client.sleep(name, version: version, timeout: time)
                return .done("\(subject) is asleep; its memory is free", isTrouble: false)
            }
        } catch {
            let scope = error.code == .permissionDenied ? " (it needs the scope models:admin)" : ""
            return .done("\(deed.rawValue) \(subject): \(error)\(scope)", isTrouble: true)
        }
    }
}
