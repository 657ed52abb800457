// `sluice token`: the tokens of the embedded issuer. Works on the state folder, also while a gateway runs on it.

import ArgumentParser
import Contract
import Foundation
import Gateway
import Issuer

struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Create, list and revoke tokens of the embedded issuer.",
        discussion: """
            Scopes: infer:PATTERN (a model's name, * at its end allowed), models:read, models:admin, \
            tokens:admin, admin (all of them).
            """,
        subcommands: [Create.self, List.self, Revoke.self, Purge.self])

    struct StateOptions: ParsableArguments {
        @Option(help: ArgumentHelp("The gateway's state folder.", valueName: "folder"))
        var state = "./.sluice"

        /// Writes down what was done here into the gateway's audit log. What was done stays done when that fails.
        func note(_ act: String, on object: String, detail: String = "") {
            let event = AuditEvent(
                act: act, outcome: .done, issuer: "command line",
                subject: ProcessInfo.processInfo.userName, object: object, detail: detail)
            do {
                try AuditFile(AuditSettings(), state: state).append(event)
            } catch {
                printError("warning: the audit log could not be written: \(error)")
            }
        }

        func withStore(_ body: (TokenStore) async throws -> Void) async throws {
            let store = try await TokenStore.open(folder: state)
            let result: Result<Void, any Error>
            do {
                result = .success(try await body(store))
            } catch {
                result = .failure(error)
            }
            try await store.close()
            try result.get()
        }
    }

    /// One token as `--json` shows it; times are ISO 8601.
    struct Row: Codable {
        var id: String
        var name: String
        var scopes: [String]
        var created: String
        var expires: String?
        var status: String
        /// The id of the client that got it over HTTP.
        var client: String?

        init(_ record: TokenRecord, now: Int64) {
            func text(_ milliseconds: Int64) -> String {
                Date(timeIntervalSince1970: Double(milliseconds / 1_000)).ISO8601Format()
            }
            id = record.id
            name = record.name
            scopes = record.scopes
            created = text(record.created)
            expires = record.expires.map(text)
            status = record.status(now: now).rawValue
            client = record.client
        }

        var cells: [String] {
            [id, name, status, expires ?? "never", scopes.joined(separator: " ")]
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a token and print it. It is shown this once; only its hash is kept.")
        @Option(help: "Who it is for.") var name: String
        @Option(help: "What it allows, words separated by spaces.") var scope = "infer:*"
        @Option(
            help: ArgumentHelp(
                "How long it is valid: a number with s, m, h or d, or 'never'.", valueName: "time"))
        var ttl = "30d"
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var options: StateOptions

        struct Created: Codable {
            var token: String
            var record: Row
        }

        func run() async throws {
            try await reportingFailures {
                let time = try lifetime()
                let scopes = scope.split(separator: " ").map(String.init)
                try await options.withStore { store in
                    let issued = try await store.create(name: name, scopes: scopes, ttl: time)
                    options.note(
                        "token.create", on: issued.record.id,
                        detail: "\(name): \(scopes.joined(separator: " "))")
                    // The one place where a token is shown: to whoever asked for it.
                    let token = issued.token.reveal { String(decoding: $0, as: UTF8.self) }
                    guard json else { return print(token) }
                    try printJSON(
                        Created(
                            token: token,
                            record: Row(issued.record, now: TokenStore.wallClock())))
                }
            }
        }

        private func lifetime() throws -> Nanoseconds? {
            ttl == "never" ? nil : try TokenCommand.time(ttl, option: "--ttl", orElse: ", or never")
        }
    }

    /// A number with s, m, h or d, up to ten years.
    static func time(
        _ text: String, option: String, orElse: String = ""
    ) throws -> Nanoseconds {
        let seconds: [Character: UInt64] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
        guard let unit = text.last.flatMap({ seconds[$0] }),
            let count = UInt64(text.dropLast()), count > 0, count <= 315_360_000,
            count * unit <= 3_650 * 86_400
        else {
            throw CommandFailure(
                .usage,
                "\(option) '\(text)' is no time: allowed are 's, m, h, d' up to 3650d\(orElse)")
        }
        return .seconds(count * unit)
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the tokens, without showing any.")
        @Flag(help: "Also those that clients got over HTTP and that may still be active.")
        var all = false
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var options: StateOptions

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store in
                    let now = TokenStore.wallClock()
                    let rows = try await store.list(ofClients: all).map { Row($0, now: now) }
                    if json { return try printJSON(rows) }
                    let head = [["ID", "NAME", "STATUS", "EXPIRES", "SCOPES"]]
                    for line in Table.lines(head + rows.map(\.cells)) { print(line) }
                }
            }
        }
    }

    struct Revoke: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Revoke the tokens of a name, or one by its id.",
            discussion: "A running gateway believes it within its issuer's max_ttl (30 s).")
        @Argument(help: "A token's name, or the beginning of its id.") var token: String
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var options: StateOptions

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store in
                    let now = TokenStore.wallClock()
                    let rows = try await store.revoke(token).map { Row($0, now: now) }
                    for row in rows {
                        options.note("token.revoke", on: row.id, detail: row.name)
                    }
                    if json { return try printJSON(rows) }
                    for row in rows { print("revoked \(row.id)  \(row.name)") }
                }
            }
        }
    }
}
