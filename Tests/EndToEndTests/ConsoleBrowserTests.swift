// The console in real Chromium, with a gateway's own certificate: Tests/Fixtures/browser/console.py does what people do, and
// this suite says how each of it went.

import Foundation
import SluiceClient
import Testing

@Suite struct ConsoleBrowserTests {
    private struct Outcome: Decodable {
        var ok: Bool
        var trouble: String?
        var lines: [String: String]?
    }

    private static let scenarios: Set = [
        "signing_in", "wrong_token", "cold_call", "cancelling", "probabilities", "bad_input",
        "forbidden_model",
        "administration", "live", "by_keyboard", "theme_is_kept", "on_a_phone", "policy",
        "cross_origin", "the_same_words",
    ]

    @Test func whatPeopleDoInABrowser() async throws {
        let environment = Paths.root.appending(path: ".venv-browser")
        let made = try await Command.run(
            program: Paths.root.appending(path: "scripts/python-environment").path,
            ["Tests/Fixtures/browser/requirements.txt", environment.path], within: 300)
        guard made.status == 0, FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium")
        else { throw TestTrouble("scripts/setup --test: \(made.error)") }
        let (allowed, foreign) = (try FreePort.find(), try FreePort.find())
        let settings = """
            cors:
              origins: ["http://127.0.0.1:\(allowed)"]
            plans:
              - name: default
                day: { calls: 1000000 }

            """
        try await withModels { models in
            try await withGateway(models: models, settings: settings) { gateway in
                let run = try await Command.run(
                    program: environment.appending(path: "bin/python").path,
                    [
                        "\(Paths.fixtures)/browser/console.py", "https://localhost:\(gateway.port)",
                        "\(allowed)", "\(foreign)",
                    ],
                    environment: [
                        "ADMIN": try await gateway.token(scope: "admin", name: "ops"),
                        "READER": try await gateway.token(name: "reader"),
                        "LIMITED": try await gateway.token(scope: "infer:iris", name: "limited"),
                        "WORDS": try Self.words(),
                    ], within: 300)
                guard run.status == 0 else { throw TestTrouble("console.py: \(run.error)") }
                let said = try JSONDecoder().decode(
                    [String: Outcome].self, from: Data(run.output.utf8))
                #expect(Set(said.keys) == Self.scenarios)
                for (name, outcome) in said.sorted(by: { $0.key < $1.key }) {
                    #expect(outcome.ok, "\(name): \(outcome.trouble ?? "")")
                }
                try await Self.check(said["probabilities"]?.lines ?? [:], gateway)
            }
        }
    }

    /// The house's models, and one whose runs end only when they are stopped.
    private func withModels(_ body: (String) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let files = FileManager.default
            for name in try files.contentsOfDirectory(atPath: Paths.models)
            where files.fileExists(atPath: "\(Paths.models)/\(name)/1/model.onnx") {
                try files.copyItem(
                    atPath: "\(Paths.models)/\(name)", toPath: folder.appending(path: name).path)
            }
            let version = folder.appending(path: "endless/1")
            try files.createDirectory(at: version, withIntermediateDirectories: true)
            try files.copyItem(
                atPath: "\(Paths.fixtures)/models/endless.onnx",
                toPath: version.appending(path: "model.onnx").path)
            try await body(folder.path)
        }
    }

    /// The lines that the page gives people to copy, as a shell runs them.
    private static func check(_ lines: [String: String], _ gateway: TestGateway) async throws {
        let token = try await gateway.token()
        for (name, word) in [("curl", "\"model_name\":\"iris\""), ("sluice call", "\"label\"")] {
            let line = try #require(lines[name])
                .replacing(".sluice/tls/cert.pem", with: gateway.ca)
                .replacing(#/^sluice /#, with: Paths.binary + " ")
            let run = try await Command.run(
                program: "/bin/sh", ["-c", line],
                environment: ["SLUICE_TOKEN": token])
            #expect(run.status == 0 && run.output.contains(word), "\(line): \(run)")
        }
        #expect(lines["Swift"]?.contains("as [Float]") == true)
        #expect(lines["JavaScript"]?.contains("/sluice.js\"") == true)
    }

    @Test func aGatewayMayShowNoPage() async throws {
        try await withGateway(settings: "http:\n  console: false\n") { gateway in
            let page = try await AuthorizationServerTests.curl(gateway, "/")
            let file = try await AuthorizationServerTests.curl(gateway, "/console/app.js")
            #expect(page.status == 401 && file.status == 401)
            // What it would show is there for programs.
            let token = try await gateway.token()
            let access = try await AuthorizationServerTests.curl(
                gateway, "/sluice/v1/access", ["-H", "Authorization: Bearer \(token)"])
            #expect(access.status == 200 && access.body.contains("\"client\":\"test\""))
        }
    }
}

// MARK: - The SDK's sentences

extension ConsoleBrowserTests {
    private static func milliseconds(_ time: Duration) -> Double { time / .milliseconds(1) }

    /// An account as the gateway writes it.
    private static func json(_ account: ModelAccount) -> [String: Any] {
        var json: [String: Any] = [
            "name": account.name, "version": account.version, "state": account.state.rawValue,
            "pinned": account.isPinned, "kept_warm": account.isKeptWarm,
            "quarantined": account.isQuarantined, "strikes": account.strikes,
            "anonymous_bytes": account.anonymousBytes, "mapped_bytes": account.mappedBytes,
            "unreturned_bytes": account.unreturnedBytes, "loads": account.loads,
            "load_ms": account.loadTime.map(milliseconds) ?? 0,
            "calls_since_wake": account.callsSinceWake, "score": account.score,
            "promoted_bytes": account.promotedBytes, "promotion_saving": account.promotionSaving,
        ]
        for (name, time) in [
            ("awake_ms", account.awakeFor), ("last_call_ms_ago", account.sinceLastCall),
            ("evicted_ms_ago", account.sinceEviction), ("promoted_ms", account.promotedFor),
            ("idle_max_ms", account.idleLimit),
        ] {
            if let time { json[name] = milliseconds(time) }
        }
        for (name, text) in [
            ("evicted_for", account.evictedFor), ("failure", account.failure),
            ("trial", account.trial), ("promotion_note", account.promotionNote),
        ] where !text.isEmpty { json[name] = text }
        return json
    }

    private static func account(
        _ state: ModelAccount.State, _ change: (inout ModelAccount) -> Void = { _ in }
    ) -> ModelAccount {
        var account = ModelAccount(name: "m", version: "1", state: state)
        change(&account)
        return account
    }

    private static func awake(_ change: (inout ModelAccount) -> Void = { _ in }) -> ModelAccount {
        account(.awake) { model in
            model.awakeFor = .seconds(3_700)
            model.anonymousBytes = 1_500_000
            model.score = 2
            change(&model)
        }
    }

    private static var accounts: [ModelAccount] {
        [
            account(.asleep), account(.asleep) { $0.loads = 1 },
            account(.asleep) {
                $0.sinceLastCall = .milliseconds(1_400)
                $0.loadTime = .milliseconds(12)
                $0.unreturnedBytes = 1_023
            },
            account(.asleep) {
                $0.sinceEviction = .seconds(90)
                $0.evictedFor = "other"
                $0.sinceLastCall = .seconds(240)
                $0.isPinned = true
            },
            account(.queued), account(.loading) { $0.loadTime = .seconds(100) }, account(.leaving),
            account(.broken), account(.broken) { $0.failure = "no such operator" },
            account(.broken) {
                $0.isQuarantined = true
                $0.strikes = 3
                $0.failure = "kept away"
            },
            awake(), awake { $0.isPinned = true },
            awake {
                $0.callsSinceWake = 1
                $0.sinceLastCall = .milliseconds(5)
                $0.mappedBytes = 3 << 30
                $0.idleLimit = .seconds(600)
                $0.strikes = 1
            },
            awake {
                $0.callsSinceWake = 12_345
                $0.sinceLastCall = .seconds(86_400 * 3)
                $0.promotedFor = .seconds(12)
                $0.promotedBytes = 10 << 20
                $0.promotionSaving = 0.123
                $0.isKeptWarm = true
                $0.trial = "on trial"
            },
            awake {
                $0.promotedFor = .milliseconds(10)
                $0.score = 0.5
            }, awake { $0.promotionNote = "was promoted before" },
        ]
    }

    private static func words() throws -> String {
        var fleet = FleetAccount()
        fleet.anonymousBudget = 1 << 30
        fleet.models = [1, 3, 0.75].map { score in awake { $0.score = score } }
        let cases = accounts.map { account in
            [
                "model": json(account), "models": fleet.models.map(json),
                "fleet": ["anonymous_budget": fleet.anonymousBudget, "mapped_budget": 0],
                "words": fleet.explanation(of: account),
            ] as [String: Any]
        }
        return String(decoding: try JSONSerialization.data(withJSONObject: cases), as: UTF8.self)
    }
}
