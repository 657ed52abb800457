// A model that takes the whole process with it: after the second time it is kept away, the others serve, and an operator
// can let it serve again. The crashes are real ones: SIGSEGV and SIGKILL while the model runs.

import Foundation
import SluiceClient
import Testing

@Suite struct FenceTests {
    private func endless(_ always: Bool) throws -> [Tensor] {
        [
            try Tensor("x", shape: [1], [1 as Float]),
            try Tensor("always", shape: [], [always]),
        ]
    }

    private func failure(_ body: () async throws -> Void) async throws -> SluiceError {
        do {
            try await body()
        } catch let error as SluiceError {
            return error
        }
        throw TestTrouble("nothing was thrown")
    }

    /// The endless model beside iris.
    private func withModels(_ body: (URL, URL) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let store = folder.appending(path: "models")
            let version = store.appending(path: "endless/1")
            try FileManager.default.createDirectory(
                at: version, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                atPath: "\(Paths.fixtures)/models/endless.onnx",
                toPath: version.appending(path: "model.onnx").path)
            try VersionedModel.put(store, 1)
            try await body(folder, store)
        }
    }

    /// Starts, runs the endless model, and ends the process by `signal` in the middle of it.
    private func crash(_ folder: URL, _ store: URL, by signal: Int32) async throws {
        let gateway = try await TestGateway.start(
            in: folder, models: store.path, settings: nil, environment: [:])
        let token = try await gateway.token(scope: "admin", name: UUID().uuidString)
        try await gateway.withClient(token: token) { client in
            _ = try await client.infer("iris", inputs: TokenTests.iris())
            let inputs = try endless(true)
            async let run = failure { _ = try await client.infer("endless", inputs: inputs) }
            // Awake and not yet answered: it is inside, or about to be.
            try await eventually("the model is awake") {
                try await client.account("endless").first?.state == .awake
            }
            try await eventually("the journal says that it runs") {
                let journal = try Data(
                    contentsOf: URL(filePath: gateway.state + "/fence.journal"))
                return journal.range(of: Data("endless".utf8)) != nil
                    && stride(from: 64, to: journal.count, by: 256).contains {
                        journal[$0] & 3 == 2 && journal[$0 + 64] == UInt8(ascii: "e")
                    }
            }
            gateway.signal(signal)
            _ = try await gateway.ended()
            _ = try await run
        }
    }

    @Test(arguments: [SIGSEGV, SIGKILL])
    func twoCrashesKeepAModelAwayAndTheOthersServe(_ signal: Int32) async throws {
        try await withModels { folder, store in
            try await crash(folder, store, by: signal)
            try await crash(folder, store, by: signal)
            let third = try await TestGateway.start(
                in: folder, models: store.path, settings: nil, environment: [:])
            let token = try await third.token(scope: "admin")
            #expect(third.log.contains("the last gateway ended while a model was at work"))
            try await third.withClient(token: token) { client in
                _ = try await client.infer("iris", inputs: TokenTests.iris())
                let inputs = try endless(false)
                for version in [nil, "1", "latest"] {
                    let refused = try await failure {
                        _ = try await client.infer("endless", version: version, inputs: inputs)
                    }
                    #expect(refused.code == .failedPrecondition)
                    #expect(refused.reason == "MODEL_QUARANTINED")
                    #expect(refused.message.contains("models unquarantine endless --version 1"))
                }
                let loading = try await failure { try await client.load("endless") }
                #expect(loading.reason == "MODEL_QUARANTINED")
                let line = try #require(
                    try await client.index().first { $0.name == "endless" })
                #expect(!line.isReady && line.reason.hasPrefix("quarantined: "))
                let account = try #require(try await client.account("endless").first)
                #expect(account.isQuarantined && account.strikes == 2 && account.state == .broken)
                let iris = try #require(try await client.account("iris").first)
                #expect(!iris.isQuarantined && iris.strikes == 0)

                let why = try await Command.run(
                    "models", "why", "endless", "--endpoint", third.endpoint, "--ca", third.ca,
                    environment: ["SLUICE_TOKEN": token])
                #expect(
                    why.output.hasPrefix("endless 1: quarantined: the gateway ended 2 times"),
                    "\(why.output)")
                let forgiven = try await Command.run(
                    "models", "unquarantine", "endless", "--version", "1", "--endpoint",
                    third.endpoint, "--ca", third.ca, environment: ["SLUICE_TOKEN": token])
                #expect(forgiven.status == 0, "\(forgiven.error)")
                _ = try await client.infer("endless", inputs: inputs)
            }
            #expect(try await third.stop() == 0)
            // Forgiven is forgiven, over a restart; and a good end held nothing against anybody.
            let fourth = try await TestGateway.start(
                in: folder, models: store.path, settings: nil, environment: [:])
            try await fourth.withClient(token: token) { client in
                _ = try await client.infer("endless", inputs: try endless(false))
                #expect(try await client.account("endless").first?.strikes == 0)
            }
            #expect(try await fourth.stop() == 0)
        }
    }

    /// A weights file that is cut off while it is mapped: the processor itself ends the process (SIGBUS), and no engine can
    /// help it.
    @Test func aMappedFileThatIsCutOff() async throws {
        try await withTemporaryFolder { folder in
            let store = folder.appending(path: "models")
            let version = store.appending(path: "external/1")
            try FileManager.default.createDirectory(
                at: version, withIntermediateDirectories: true)
            let whole = try Data(
                contentsOf: URL(filePath: "\(Paths.fixtures)/models/external.weights"))
            let weights = version.appending(path: "external.weights")
            try whole.write(to: weights)
            try FileManager.default.copyItem(
                atPath: "\(Paths.fixtures)/models/external.onnx",
                toPath: version.appending(path: "model.onnx").path)
            try MappedTests.manifest.write(
                to: version.appending(path: "manifest.json"), atomically: true, encoding: .utf8)
            try VersionedModel.put(store, 1)
            let input = try Tensor("x", rows: [(0..<64).map { Float($0) }])
            for round in 0..<2 {
                try whole.write(to: weights)
                let gateway = try await TestGateway.start(
                    in: folder, models: store.path, settings: nil, environment: [:])
                let token = try await gateway.token(scope: "admin", name: "round-\(round)")
                try await gateway.withClient(token: token) { client in
                    _ = try await client.infer("external", inputs: [input])
                    let file = try FileHandle(forUpdating: weights)
                    try file.truncate(atOffset: 0)
                    try file.close()
                    _ = try await failure {
                        _ = try await client.infer("external", inputs: [input])
                    }
                }
                #expect(try await gateway.ended() == SIGBUS)
            }
            try whole.write(to: weights)
            let third = try await TestGateway.start(
                in: folder, models: store.path, settings: nil, environment: [:])
            let token = try await third.token(scope: "admin", name: "third")
            try await third.withClient(token: token) { client in
                _ = try await client.infer("iris", inputs: TokenTests.iris())
                let refused = try await failure {
                    _ = try await client.infer("external", inputs: [input])
                }
                #expect(refused.reason == "MODEL_QUARANTINED")
                try await client.unquarantine("external")
                _ = try await client.infer("external", inputs: [input])
            }
            #expect(try await third.stop() == 0)
        }
    }

    /// A gateway that nobody works with may be killed as often as one likes.
    @Test func aKillBetweenCallsIsNobodysFault() async throws {
        try await withModels { folder, store in
            for round in 0..<3 {
                let gateway = try await TestGateway.start(
                    in: folder, models: store.path, settings: nil, environment: [:])
                let token = try await gateway.token(scope: "admin", name: "round-\(round)")
                try await gateway.withClient(token: token) { client in
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                    #expect(try await client.account("iris").first?.strikes == 0)
                }
                gateway.signal(SIGKILL)
                _ = try await gateway.ended()
            }
        }
    }

    /// A load is noted as a run is: iris with a gigabyte beside it, whose checksum takes a while.
    @Test func whoIsBeingLoadedIsSuspectedToo() async throws {
        try await withTemporaryFolder { folder in
            let store = folder.appending(path: "models")
            try VersionedModel.put(store, 1)
            let version = store.appending(path: "iris/1")
            let padding = version.appending(path: "padding.bin")
            try Data().write(to: padding)
            let file = try FileHandle(forWritingTo: padding)
            try file.truncate(atOffset: 1 << 30)
            try file.close()
            let manifest = version.appending(path: "manifest.json")
            let sha256 = String(repeating: "0", count: 64)
            let line = #"{"name": "padding.bin", "sha256": "\#(sha256)", "bytes": \#(1 << 30)}, "#
            let text = try String(contentsOf: manifest, encoding: .utf8)
            let list = text.firstRange(of: #/"files": \[\s*/#)
            let files = try #require(list)
            try (text[..<files.upperBound] + line + text[files.upperBound...])
                .write(to: manifest, atomically: true, encoding: .utf8)
            let first = try await TestGateway.start(
                in: folder, models: store.path, settings: nil, environment: [:])
            let token = try await first.token(scope: "admin", name: "first")
            try await first.withClient(token: token) { client in
                async let call = failure {
                    _ = try await client.infer("iris", inputs: TokenTests.iris())
                }
                try await eventually("the journal says that it is loaded") {
                    let journal = try Data(
                        contentsOf: URL(filePath: first.state + "/fence.journal"))
                    return stride(from: 64, to: journal.count, by: 256).contains {
                        journal[$0] & 3 == 1 && journal[$0 + 64] == UInt8(ascii: "i")
                    }
                }
                first.signal(SIGKILL)
                _ = try await first.ended()
                _ = try await call
            }
            let second = try await TestGateway.start(
                in: folder, models: store.path, settings: nil, environment: [:])
            try await second.withClient(
                token: try await second.token(scope: "admin", name: "second")
            ) { client in
                let account = try await client.account("iris")
                #expect(account.first?.strikes == 1)
            }
            #expect(try await second.stop() == 0)
        }
    }

    @Test func changedFilesAreAnotherModel() async throws {
        try await withModels { folder, store in
            try await crash(folder, store, by: SIGKILL)
            try await crash(folder, store, by: SIGKILL)
            let third = try await TestGateway.start(
                in: folder, models: store.path, settings: "models:\n  poll: 1s\n",
                environment: [:])
            let token = try await third.token(scope: "admin")
            try await third.withClient(token: token) { client in
                #expect(!(try await client.isReady("endless")))
                // The same bytes, written anew.
                let model = store.appending(path: "endless/1/model.onnx")
                let bytes = try Data(contentsOf: model)
                try bytes.write(to: model, options: .atomic)
                try await eventually(within: 20, "it is served again") {
                    try await client.isReady("endless")
                }
                _ = try await client.infer("endless", inputs: try endless(false))
            }
            #expect(try await third.stop() == 0)
        }
    }
}
