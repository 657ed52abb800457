// `sluice models sleep|pin|unpin|why`: who holds the memory of a running gateway, and who shall.

import ArgumentParser
import SluiceClient

/// What the commands about one model's memory take.
struct ModelOptions: ParsableArguments {
    @Argument(help: "The model's name.") var model: String
    @Option(help: "The model's version; without it every version.") var version: String?
    @Flag(help: "Print JSON.") var json = false
    @OptionGroup var connection: ConnectionOptions

    /// For sentences: `iris`, or `iris version 2`.
    var subject: String { Models.subject(model, version) }
}

extension Models {
    struct Sleep: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Give a model's memory back; it stays in service, and a call wakes it.",
            discussion: """
                Waits until calls that use the model have ended and its memory is free. With status 75 that \
                took longer than --timeout; the model goes all the same.
                """)
        @OptionGroup var options: ModelOptions

        func run() async throws {
            try await reportingFailures {
                let (model, version) = (options.model, options.version)
                try await options.connection.withClient {
                    try await $0.sleep(model, version: version)
                }
                if options.json { return try printJSON(["model": model, "state": "asleep"]) }
                print("\(options.subject) is asleep; its memory is free")
            }
        }
    }

    struct Pin: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Keep a model in memory once it is awake; does not wake it.")
        @OptionGroup var options: ModelOptions

        func run() async throws {
            try await reportingFailures {
                let (model, version) = (options.model, options.version)
                try await options.connection.withClient {
                    try await $0.pin(model, version: version)
                }
                if options.json { return try printJSON(Pinned(model: model, pinned: true)) }
                print("\(options.subject) is pinned: it stays in memory once it is awake")
            }
        }
    }

    struct Unpin: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Let a pinned model go when room is needed.")
        @OptionGroup var options: ModelOptions

        func run() async throws {
            try await reportingFailures {
                let (model, version) = (options.model, options.version)
                try await options.connection.withClient {
                    try await $0.unpin(model, version: version)
                }
                if options.json { return try printJSON(Pinned(model: model, pinned: false)) }
                print("\(options.subject) is not pinned")
            }
        }
    }

    struct Refresh: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Have a running gateway look for new, changed and removed models now.")
        @Flag(help: "Print JSON.") var json = false
        @OptionGroup var connection: ConnectionOptions

        struct Answer: Codable {
            /// Those this token may see.
            var models: Int
            var versions: Int
        }

        func run() async throws {
            try await reportingFailures {
                let index = try await connection.withClient { client in
                    try await client.refresh()
                    return try await client.index()
                }
                let answer = Answer(models: Set(index.map(\.name)).count, versions: index.count)
                if json { return try printJSON(answer) }
                print("looked: \(answer.models) models in \(answer.versions) versions")
            }
        }
    }

    private struct Pinned: Codable {
        var model: String
        var pinned: Bool
    }

    struct Why: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Say why a model is or is not in memory; does not wake it.")
        @OptionGroup var options: ModelOptions

        func run() async throws {
            try await reportingFailures {
                let (model, version) = (options.model, options.version)
                let accounts = try await options.connection.withClient { client in
                    // Asked for by its name, so that an unknown one is an error.
                    let accounts = try await client.account(model, version: version)
                    let (fleet, index) = (try await client.fleetAccount(), try await client.index())
                    return accounts.map {
                        Account($0, why: fleet.explanation(of: $0) + Self.service($0, index))
                    }
                }
                if options.json { return try printJSON(accounts) }
                for account in accounts { print(account.line) }
            }
        }

        /// Why it takes no calls, when that is not its memory's affair.
        private static func service(_ account: ModelAccount, _ index: [IndexedModel]) -> String {
            guard account.state != .broken,
                let line = index.first(where: {
                    $0.name == account.name && $0.version == account.version
                }), !line.isReady
            else { return "" }
            return "; out of service: \(line.reason)"
        }
    }

    /// An account as JSON: what is not so or never was is left out.
    struct Account: Encodable {
        private let account: ModelAccount
        private let why: String

        init(_ account: ModelAccount, why: String) {
            self.account = account
            self.why = why
        }

        var line: String { "\(account.name) \(account.version): \(why)" }

        private enum CodingKeys: String, CodingKey {
            case name, version, state, pinned, loads, evictions, demand, score, failure, why
            case aliases, trial, quarantined, strikes
            case mapped
            case promotedFor = "promoted_ms"
            case promotedBytes = "promoted_bytes"
            case promotionSaving = "promotion_saving"
            case keptWarm = "kept_warm"
            case idleLimit = "idle_ms"
            case anonymousBytes = "anonymous_bytes"
            case mappedBytes = "mapped_bytes"
            case loadPeakBytes = "load_peak_bytes"
            case unreturnedBytes = "unreturned_bytes"
            case loadTime = "load_us"
            case awakeFor = "awake_ms"
            case sinceLastCall = "last_call_ms_ago"
            case callsSinceWake = "calls_since_wake"
            case sinceEviction = "evicted_ms_ago"
            case evictedFor = "evicted_for"
        }

        func encode(to encoder: any Encoder) throws {
            func milliseconds(_ time: Duration?) -> Int64? {
                time.map { Int64($0 / .milliseconds(1)) }
            }
            func said(_ text: String) -> String? { text.isEmpty ? nil : text }
            var fields = encoder.container(keyedBy: CodingKeys.self)
            try fields.encode(account.name, forKey: .name)
            try fields.encode(account.version, forKey: .version)
            try fields.encode(account.state.rawValue, forKey: .state)
            try fields.encode(account.isPinned, forKey: .pinned)
            try fields.encode(account.anonymousBytes, forKey: .anonymousBytes)
            try fields.encode(account.mappedBytes, forKey: .mappedBytes)
            try fields.encode(account.loadPeakBytes, forKey: .loadPeakBytes)
            try fields.encode(account.unreturnedBytes, forKey: .unreturnedBytes)
            try fields.encodeIfPresent(
                account.loadTime.map { Int64($0 / .microseconds(1)) }, forKey: .loadTime)
            try fields.encodeIfPresent(milliseconds(account.awakeFor), forKey: .awakeFor)
            try fields.encodeIfPresent(milliseconds(account.sinceLastCall), forKey: .sinceLastCall)
            try fields.encode(account.callsSinceWake, forKey: .callsSinceWake)
            try fields.encode(account.loads, forKey: .loads)
            try fields.encode(account.evictions, forKey: .evictions)
            try fields.encode(account.demand, forKey: .demand)
            try fields.encode(account.score, forKey: .score)
            try fields.encodeIfPresent(milliseconds(account.sinceEviction), forKey: .sinceEviction)
            try fields.encodeIfPresent(said(account.evictedFor), forKey: .evictedFor)
            try fields.encodeIfPresent(said(account.failure), forKey: .failure)
            try fields.encode(account.aliases, forKey: .aliases)
            try fields.encodeIfPresent(said(account.trial), forKey: .trial)
            try fields.encode(account.isQuarantined, forKey: .quarantined)
            try fields.encode(account.strikes, forKey: .strikes)
            try fields.encode(account.isMapped, forKey: .mapped)
            try fields.encodeIfPresent(milliseconds(account.promotedFor), forKey: .promotedFor)
            if account.promotedFor != nil {
                try fields.encode(account.promotedBytes, forKey: .promotedBytes)
                try fields.encode(account.promotionSaving, forKey: .promotionSaving)
            }
            try fields.encode(account.isKeptWarm, forKey: .keptWarm)
            try fields.encodeIfPresent(milliseconds(account.idleLimit), forKey: .idleLimit)
            try fields.encode(why, forKey: .why)
        }
    }
}
