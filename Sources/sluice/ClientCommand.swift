// `sluice client`: programs that get their tokens from the gateway itself (OAuth 2.0). Works on the state folder, also while a
// gateway runs on it.

import ArgumentParser
import Contract
import Foundation
import Issuer

struct ClientCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "client",
        abstract: "Create, list, rotate and remove OAuth clients of the embedded issuer.",
        discussion: """
            A client shows its id and secret at POST /oauth2/token of the callers' port and gets a token that is \
            short-lived (auth.server.token_ttl). With --introspect it may also ask about tokens, as another gateway does.
            """,
        subcommands: [Create.self, List.self, Rotate.self, Remove.self])

    /// One client as `--json` shows it; times are ISO 8601.
    struct Row: Codable {
        var id: String
        var name: String
        var scopes: [String]
        var audiences: [String]
        var introspects: Bool
        var created: String
        var rotated: String?
        /// Until then the secret before is believed too.
        var grace_until: String?
        var status: String

        init(_ record: ClientRecord, now: Int64) {
            func text(_ milliseconds: Int64) -> String {
                Date(timeIntervalSince1970: Double(milliseconds / 1_000)).ISO8601Format()
            }
            id = record.id
            name = record.name
            scopes = record.scopes
            audiences = record.audiences
            introspects = record.mayIntrospect
            created = text(record.created)
            rotated = record.rotated.map(text)
            grace_until = record.graceUntil.flatMap { $0 > now ? text($0) : nil }
            status = record.removed == nil ? "active" : "removed"
        }

        var cells: [String] {
            [
                id, name, status, introspects ? "yes" : "no", rotated ?? created,
                scopes.joined(separator: " "),
            ]
        }
    }

    /// A client with its secret, which is shown this once.
    struct Shown: Codable {
        var client_id: String
        var client_secret: String
        var record: Row
    }

    /// The one place where a secret is shown: to whoever asked for it. It stands alone on standard output.
    static func show(_ issued: IssuedClient, json: Bool) throws {
        let secret = issued.secret.reveal { String(decoding: $0, as: UTF8.self) }
        if json {
            try printJSON(
                Shown(
                    client_id: issued.record.id, client_secret: secret,
                    record: Row(issued.record, now: TokenStore.wallClock())))
        } else {
            printError("client_id \(issued.record.id)")
            print(secret)
        }
    }

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract:
                "Make a client and print its secret. It is shown this once; only its hash is kept.")
        @Option(help: "For people.") var name: String
        @Option(
            help: "What it calls itself: letters, digits, '.', '_', '-'. Made up when left out.")
        var id: String?
        @Option(
            help:
                "The most its tokens may hold, words separated by spaces; may be empty with --introspect."
        )
        var scope = "infer:*"
        @Option(
            help:
                "Whom its tokens are for (aud), words separated by spaces; with --introspect, whose tokens it is told about. Empty: anybody."
        )
        var audience = ""
        @Flag(help: "It may ask about tokens: for resource servers, such as other gateways.")
        var introspect = false
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var options: TokenCommand.StateOptions

        func run() async throws {
            try await reportingFailures {
                func words(_ text: String) -> [String] {
                    text.split(separator: " ").map(String.init)
                }
                try await options.withStore { store in
                    let issued = try await store.createClient(
                        id: id, name: name, scopes: words(scope), audiences: words(audience),
                        mayIntrospect: introspect)
                    options.note(
                        "client.create", on: issued.record.id,
                        detail: "\(name): \(scope)\(introspect ? " introspects" : "")")
                    try ClientCommand.show(issued, json: json)
                }
            }
        }
    }

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the clients; removed ones for 30 days.")
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var options: TokenCommand.StateOptions

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store in
                    let now = TokenStore.wallClock()
                    let rows = try await store.listClients().map { Row($0, now: now) }
                    if json { return try printJSON(rows) }
                    let head = [["ID", "NAME", "STATUS", "INTROSPECTS", "SECRET OF", "SCOPES"]]
                    for line in Table.lines(head + rows.map(\.cells)) { print(line) }
                }
            }
        }
    }

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a new secret and print it. The old one is believed for a while.")
        @Argument(help: "A client's id, or its name.") var client: String
        @Option(
            help: ArgumentHelp(
                "How long the old secret is believed: a number with s, m, h or d, or 0.",
                valueName: "time"))
        var grace = "24h"
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var options: TokenCommand.StateOptions

        func run() async throws {
            try await reportingFailures {
                let time = grace == "0" ? .zero : try TokenCommand.time(grace, option: "--grace")
                try await options.withStore { store in
                    let issued = try await store.rotateClient(client, grace: time)
                    options.note(
                        "client.rotate", on: issued.record.id, detail: "grace \(time)")
                    try ClientCommand.show(issued, json: json)
                }
            }
        }
    }

    struct Remove: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Remove a client and revoke every token it got.",
            discussion: "A running gateway believes it within its issuer's max_ttl (30 s).")
        @Argument(help: "A client's id, or its name.") var client: String
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var options: TokenCommand.StateOptions

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store in
                    let row = Row(
                        try await store.removeClient(client), now: TokenStore.wallClock())
                    options.note("client.remove", on: row.id, detail: row.name)
                    if json { return try printJSON(row) }
                    print("removed \(row.id)  \(row.name)")
                }
            }
        }
    }
}
