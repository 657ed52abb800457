// `sluice top`: the models of a running gateway, live in a terminal, or as plain tables in a pipe.

import ArgumentParser
import FleetView
import Foundation
import NIOCore
import SluiceClient
import Terminal

struct TopCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top",
        abstract: "Show a running gateway's models live: state, memory, calls, latency, queue.",
        discussion: """
            Needs a token with the scope models:read; to pin, load, unload and sleep models also models:admin. In a \
            terminal ? shows the keys. Where standard output is none, with TERM=dumb or with --lines, a table is \
            printed at each interval. NO_COLOR is respected.
            """)

    @Flag(help: "Print tables instead of taking the screen.") var lines = false
    @Option(help: ArgumentHelp("Between two looks, for example 500ms or 2s.", valueName: "time"))
    var interval = Span(.seconds(1))
    @Option(help: "End after so many tables; only for tables.") var count: Int?
    @Option(
        help: ArgumentHelp(
            "The column to sort by: \(FleetColumn.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "column"),
        transform: { text in
            guard let column = FleetColumn(rawValue: text) else {
                throw ValidationError("'\(text)' is none of them.")
            }
            return column
        })
    var sort = FleetColumn.rate
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (100_000_000...3_600_000_000_000).contains(interval.amount.nanoseconds) else {
            throw ValidationError("--interval is \(interval); allowed is 100ms to 60m.")
        }
        if let count, count < 1 { throw ValidationError("--count is \(count); allowed is 1 on.") }
    }

    func run() async throws {
        try await reportingFailures {
            var configuration = try connection.configuration()
            // A look that failed is followed by the next one; and who quits does not wait for a load.
            configuration.retry = .never
            configuration.reconnect.maximum = .seconds(1)
            configuration.drainTimeout = .milliseconds(100)
            let watch = FleetWatch(
                interval: .nanoseconds(interval.amount.nanoseconds),
                timeout: .seconds(connection.timeout))
            let screen = FleetScreen(endpoint: connection.endpoint, sort: sort)
            let takesScreen = !lines && count == nil && Self.hasScreen
            try await withSluiceClient(
                endpoint: try Endpoint(connection.endpoint), configuration: configuration
            ) { client in
                if takesScreen {
                    try await TopSession(client: client, watch: watch).run(screen)
                } else {
                    try await print(screen, client, watch)
                }
            }
        }
    }

    private static var hasScreen: Bool {
        let kind = ProcessInfo.processInfo.environment["TERM"] ?? ""
        return TerminalScreen.isThere && !kind.isEmpty && kind != "dumb"
    }

    /// Tables, each of the interval before it, until nobody reads any more.
    private func print(_ start: FleetScreen, _ client: SluiceClient, _ watch: FleetWatch)
        async throws
    {
        var screen = start
        screen.take(try await watch.look(client))
        var left = count ?? .max
        while left > 0 {
            try await Task.sleep(for: watch.interval)
            do throws(SluiceError) {
                screen.take(try await watch.look(client))
            } catch {
                guard FleetWatch.passes(error) else { throw error }
                screen.lose(error.description)
            }
            let text = screen.plainLines().joined(separator: "\n") + "\n"
            do {
                // At once, unlike `print` to a pipe; and whoever closed the pipe has seen enough.
                try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
            } catch {
                return
            }
            left -= 1
            if left > 0 { try FileHandle.standardOutput.write(contentsOf: Data("\n".utf8)) }
        }
    }
}

/// Asks a gateway for everything the view shows.
struct FleetWatch: Sendable {
    let interval: Duration
    /// Of one call that an operator asked for.
    let timeout: Duration

    func look(_ client: SluiceClient) async throws(SluiceError) -> FleetSnapshot {
        let time = min(timeout, max(interval, .seconds(5)))
        let fleet: FleetAccount
        do {
            fleet = try await client.fleetAccount(timeout: time)
        } catch {
            guard error.code == .permissionDenied else { throw error }
            throw SluiceError(
                .permissionDenied, "top needs a token with the scope models:read: \(error.message)")
        }
        let gateway = try await client.serverMetadata(timeout: time)
        let index = try await client.index(timeout: time)
        return FleetSnapshot(
            taken: Self.now, gateway: gateway, fleet: fleet, index: index)
    }

    /// The gateway may answer the next time: it restarts, or is busy.
    static func passes(_ error: SluiceError) -> Bool {
        [.unavailable, .deadlineExceeded, .resourceExhausted, .aborted].contains(error.code)
    }

    private static let start = ContinuousClock.now
    private static var now: Duration { ContinuousClock.now - start }
}
