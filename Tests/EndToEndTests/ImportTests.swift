// `sluice models import|verify|remove` as an operator runs them, and what they make, served and called.

import Foundation
import SluiceClient
import Testing

@Suite struct ImportTests {
    struct Report: Decodable {
        struct File: Decodable {
            var name: String
            var bytes: Int
            var sha256: String
        }
        struct Weights: Decodable {
            var tensors: Int
            var alignment: Int
        }
        struct Parity: Decodable {
            struct Output: Decodable {
                var output: String
                var relative: Double?
            }
            var rows: Int
            var outputs: [Output]
        }
        struct Measured: Decodable {
            var mapped: Bool
            var load_us: Double
            var warm_run_us: Double?
            var resident_bytes: Int
            var mapped_bytes: Int
        }
        var version: Int
        var place: String
        var optimised: Bool
        var files: [File]
        var weights: Weights?
        var parity: Parity?
        var golden: Int
        var measured: Measured
        var notes: [String]
        var origin: [String: String]

        static func of(_ command: Command) throws -> Report {
            guard command.status == 0 else {
                throw TestTrouble("import ended with \(command.status): \(command.error)")
            }
            return try JSONDecoder().decode(Report.self, from: Data(command.output.utf8))
        }
    }

    static func fixture(_ name: String) -> String { "\(Paths.fixtures)/models/\(name)" }

    /// Nothing but what was imported is in the folder, hidden names included.
    static func names(_ folder: URL) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    }

    // MARK: - ONNX

    @Test func anONNXModelIsImportedServedCalledAndVerified() async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            let first = try Report.of(
                try await Command.run(
                    "models", "import", Self.fixture("linear.onnx"), "--name", "line", "--models",
                    models.path, "--json"))
            #expect(first.version == 1 && first.optimised && first.weights == nil)
            #expect(first.golden >= 1 && first.measured.warm_run_us != nil)
            #expect(first.files.map(\.name) == ["model.onnx"])
            let second = try await Command.run(
                "models", "import", Self.fixture("linear.onnx"), "--name", "line", "--models",
                models.path)
            #expect(second.status == 0)
            #expect(second.output.contains("line version 2 is in"))
            #expect(second.output.contains("cost    asleep nothing; awake"))
            for step in ["convert", "optimise", "verify", "write"] {
                #expect(second.error.contains("\(step) "), "\(step) is shown")
            }
            let taken = try await Command.run(
                "models", "import", Self.fixture("linear.onnx"), "--name", "line", "--version", "2",
                "--models", models.path)
            #expect(taken.status == 65 && taken.error.contains("is there already"))
            #expect(try Self.names(models) == ["line"])
            try await Self.serve(models, "line")
            let holds = try await Command.run(
                "models", "verify", "line", "--models", models.path, "--json")
            #expect(holds.status == 0 && holds.output.contains("\"version\":2"))
            let removed = try await Command.run(
                "models", "remove", "line", "--version", "2", "--models", models.path)
            #expect(removed.status == 0)
            #expect(try Self.names(models.appending(path: "line")) == ["1"])
            let all = try await Command.run("models", "remove", "line", "--models", models.path)
            #expect(all.status == 0)
            #expect(try Self.names(models).isEmpty)
        }
    }

    private static func serve(_ models: URL, _ name: String) async throws {
        try await withGateway(models: models.path) { gateway in
            try await gateway.withClient { client in
                let metadata = try await client.metadata(of: name)
                #expect(metadata.versions == ["1", "2"])
                let inputs = try metadata.inputs.map {
                    try Tensor(
                        $0.name, shape: $0.shape.map { $0 < 0 ? 1 : $0 },
                        [Float](
                            repeating: 1, count: $0.shape.reduce(1) { $0 * ($1 < 0 ? 1 : $1) }))
                }
                #expect(try await !client.infer(name, inputs: inputs).outputs.isEmpty)
            }
        }
    }

    @Test func externalDataIsTakenAlong() async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            let flat = try Report.of(
                try await Command.run(
                    "models", "import", Self.fixture("external.onnx"), "--name", "flat",
                    "--models", models.path, "--json"))
            let flatNames = flat.files.map(\.name)
            #expect(flat.optimised && flatNames == ["model.onnx", "model.weights"])
            #expect(flat.measured.mapped && flat.weights?.alignment == 65_536)
            // The engine does not move the weights of a branch: the model stays as it is.
            let nested = try Report.of(
                try await Command.run(
                    "models", "import", Self.fixture("external-nested.onnx"), "--name", "nested",
                    "--models", models.path, "--json"))
            #expect(!nested.optimised && nested.golden >= 1)
            let nestedNames = nested.files.map(\.name)
            #expect(nestedNames.contains("branch.weights"))
            #expect(nested.notes.contains { $0.contains("is kept as it is") })
            for (name, word) in [
                ("external-missing.onnx", "missing.weights"), ("dangling.onnx", "nowhere"),
                ("corrupt.onnx", "not an ONNX file"), ("empty.onnx", "is empty"),
                ("truncated.onnx", "cannot be imported"), ("zipmap.onnx", "ZipMap"),
                ("unknown-operator.onnx", "NoSuchOperator"),
            ] {
                let refused = try await Command.run(
                    "models", "import", Self.fixture(name), "--name", "refused", "--models",
                    models.path)
                #expect(refused.status == 65, "\(name): \(refused.error)")
                let said = refused.error.localizedCaseInsensitiveContains(word)
                #expect(said, "\(name): \(refused.error)")
            }
            // A link beside the model leads nowhere.
            for name in ["external.onnx", "external.weights"] {
                try FileManager.default.copyItem(
                    atPath: Self.fixture(name), toPath: folder.appending(path: name).path)
            }
            let weights = folder.appending(path: "external.weights")
            try FileManager.default.moveItem(at: weights, to: folder.appending(path: "elsewhere"))
            try FileManager.default.createSymbolicLink(
                at: weights, withDestinationURL: folder.appending(path: "elsewhere"))
            let linked = try await Command.run(
                "models", "import", folder.appending(path: "external.onnx").path, "--name",
                "linked",
                "--models", models.path)
            #expect(linked.status == 65 && linked.error.contains("symbolic link"))
            #expect(try Self.names(models) == ["flat", "nested"])
        }
    }

    @Test func aModelThatNeverEndsAndOneThatWantsAllMemoryAreStopped() async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            let endless = try await Command.run(
                "models", "import", Self.fixture("endless.onnx"), "--name", "endless", "--models",
                models.path, "--limit-time", "2s")
            #expect(endless.status == 65)
            #expect(endless.error.contains("took longer than 2s"), "\(endless.error)")
            let bomb = try await Command.run(
                "models", "import", Self.fixture("bomb.onnx"), "--name", "bomb", "--models",
                models.path, "--limit-memory", "512MiB")
            #expect(bomb.status == 65)
            #expect(bomb.error.contains("more memory than 512MiB"), "\(bomb.error)")
            #expect(try Self.names(models).isEmpty)
        }
    }

    @Test func verifyFindsWhatChanged() async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            _ = try Report.of(
                try await Command.run(
                    "models", "import", Self.fixture("linear.onnx"), "--name", "line", "--models",
                    models.path, "--json"))
            let file = models.appending(path: "line/1/model.onnx")
            var bytes = try Data(contentsOf: file)
            bytes[bytes.count / 2] ^= 1
            try FileManager.default.removeItem(at: file)
            try bytes.write(to: file)
            let changed = try await Command.run("models", "verify", "line", "--models", models.path)
            #expect(changed.status == 65)
            #expect(changed.error.contains("SHA-256"), "\(changed.error)")
            let unknown = try await Command.run(
                "models", "verify", "nobody", "--models", models.path)
            #expect(unknown.status == 65)
        }
    }

    // MARK: - Killed

    /// kill -9 when a step is shown on standard error: nothing half-done is visible, and the next import cleans up.
    @Test(arguments: ["convert", "optimise", "verify", "write"])
    func aKilledImportLeavesNothingVisible(_ step: String) async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            let process = Process()
            process.executableURL = URL(filePath: Paths.binary)
            process.arguments = [
                "models", "import", Self.fixture("linear.onnx"), "--name", "line", "--models",
                models.path,
            ]
            let log = folder.appending(path: "log")
            try Data().write(to: log)
            process.standardError = try FileHandle(forWritingTo: log)
            process.standardOutput = FileHandle.nullDevice
            try Spawning.start(process)
            try await eventually(within: 30, "the step \(step)") {
                try String(contentsOf: log, encoding: .utf8).contains("\(step) ")
                    || !process.isRunning
            }
            kill(process.processIdentifier, SIGKILL)
            try await eventually("its end") { !process.isRunning }
            // Whole or not there at all.
            let line = models.appending(path: "line/1")
            if FileManager.default.fileExists(atPath: line.path) {
                #expect(try Self.names(line) == ["manifest.json", "model.onnx"])
            }
            let next = try Report.of(
                try await Command.run(
                    "models", "import", Self.fixture("linear.onnx"), "--name", "line", "--models",
                    models.path, "--json"))
            #expect(try Self.names(models) == ["line"], "what was left behind is gone")
            #expect(next.version <= 2)
            let holds = try await Command.run("models", "verify", "line", "--models", models.path)
            #expect(holds.status == 0)
        }
    }

    @Test func anotherImportAtWorkIsLeftAlone() async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            let process = Process()
            process.executableURL = URL(filePath: Paths.binary)
            process.arguments = [
                "models", "import", Self.fixture("endless.onnx"), "--name", "endless", "--models",
                models.path, "--limit-time", "60s",
            ]
            process.standardError = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            try Spawning.start(process)
            defer { kill(process.processIdentifier, SIGKILL) }
            func hidden() throws -> [String] {
                guard FileManager.default.fileExists(atPath: models.path) else { return [] }
                return try Self.names(models).filter { $0.hasPrefix(".import-") }
            }
            try await eventually("the first import is at work") { try hidden().count == 1 }
            let busy = try hidden()
            _ = try Report.of(
                try await Command.run(
                    "models", "import", Self.fixture("linear.onnx"), "--name", "line", "--models",
                    models.path, "--json"))
            #expect(try hidden() == busy, "a folder whose process lives stays")
            kill(process.processIdentifier, SIGKILL)
            try await eventually("its end") { !process.isRunning }
            let again = try await Command.run(
                "models", "import", Self.fixture("linear.onnx"), "--name", "line", "--models",
                models.path)
            #expect(again.status == 0)
            #expect(try hidden().isEmpty)
        }
    }

    // MARK: - Usage

    @Test func whatCannotBeAskedIsSaid() async throws {
        let cases: [([String], Int32, String)] = [
            (["a.pt", "--name", "a"], 65, ".joblib"),
            (["a.onnx", "--name", "../a"], 65, "--name"),
            (["a.onnx", "--name", "a", "--version", "0"], 65, "--version"),
            (["/nowhere/a.onnx", "--name", "a"], 65, "no such file"),
            (["a.onnx", "--name", "a", "--limit-time", "soon"], 64, "--limit-time"),
            (["a.onnx", "--name", "a", "--limit-memory", "12"], 64, "--limit-memory"),
        ]
        try await withTemporaryFolder { folder in
            for (arguments, status, word) in cases {
                let refused = try await Command.run(
                    program: Paths.binary,
                    ["models", "import"] + arguments + ["--models", folder.path])
                #expect(refused.status == status, "\(arguments): \(refused.error)")
                #expect(refused.error.contains(word), "\(arguments): \(refused.error)")
            }
        }
    }
}
