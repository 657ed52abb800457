// Starting and stopping: what is missing or wrong at start is said plainly, and a stop loses nothing.

import Foundation
import NIOCore
import NIOPosix
import SluiceClient
import SluiceWire
import Testing

@Suite struct LifecycleTests {
    /// Runs a gateway that should not start. Returns how it ended.
    private func failing(
        _ arguments: [String], environment: [String: String] = [:]
    ) async throws -> Command {
        try await withTemporaryFolder { folder in
            try await Command.run(
                program: Paths.binary,
                [
                    "serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--state",
                    folder.path,
                ] + arguments, environment: environment)
        }
    }

    @Test func aPortInUseIsNamed() async throws {
        try await withGateway { gateway in
            try await withBystander(gateway) {
                let result = try await failing(
                    ["--models", Paths.models, "--listen", gateway.endpoint])
                #expect(result.status == 69)
                #expect(result.error.contains(gateway.endpoint))
                #expect(result.error.contains("--listen"))
            }
        }
    }

    @Test func aMissingRuntimeLibraryIsNamedWithItsMend() async throws {
        let result = try await failing(
            ["--models", Paths.models],
            environment: ["SLUICE_ONNXRUNTIME": "/nowhere/libonnxruntime.so"])
        #expect(result.status == 78, "\(result.error)")
        #expect(result.error.contains("/nowhere/libonnxruntime.so"))
        #expect(result.error.contains("scripts/setup") || result.error.contains("make setup"))
    }

    /// Official builds of ONNX Runtime leave an identifier and a database of events in the home folder, and send them,
    /// unless they are told not to before they are opened.
    @Test func theEngineTellsNobodyAndLeavesNothingBehind() async throws {
        try await withTemporaryFolder { home in
            // The library keeps quiet by itself in CI and under unit tests: neither is said here.
            let quiet = ["CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"]
            var environment = Dictionary(uniqueKeysWithValues: quiet.map { ($0, "") })
            environment["HOME"] = home.path
            environment["XDG_CACHE_HOME"] = home.path
            try await withGateway(environment: environment) { gateway in
                let ready = try await gateway.withClient { try await $0.isServerReady() }
                #expect(ready)
            }
            #expect(try FileManager.default.subpathsOfDirectory(atPath: home.path) == [])
        }
    }

    /// The tests' user may do anything; callers may not.
    @Test func aCallerNeedsNoPrivilege() async throws {
        try await withGateway { gateway in
            let result = try await Command.run(
                program: "/usr/bin/setpriv",
                [
                    "--bounding-set=-all", "--inh-caps=-all", Paths.binary, "call", "iris",
                    "--endpoint", gateway.endpoint, "--ca", gateway.ca, "--input",
                    "X=[[5.1,3.5,1.4,0.2]]",
                ], environment: ["SLUICE_TOKEN": try await gateway.token()])
            #expect(result.status == 0, "\(result.error)")
            #expect(result.output.contains("probabilities"))
        }
    }

    @Test func aMissingModelsFolderIsNamed() async throws {
        let result = try await failing(["--models", "/nowhere/models"])
        #expect(result.status == 78)
        #expect(result.error.contains("/nowhere/models"))
    }

    @Test func aCertificateThatDoesNotMatchItsKeyIsRefused() async throws {
        try await withTemporaryFolder { folder in
            for name in ["one", "two"] {
                let made = try await Command.run(
                    program: "/usr/bin/openssl",
                    [
                        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", "/CN=\(name)", "-keyout",
                        "\(folder.path)/\(name).key", "-out", "\(folder.path)/\(name).crt",
                    ])
                #expect(made.status == 0, "\(made.error)")
            }
            let settings = folder.appending(path: "sluice.yaml")
            try """
            tls: { certificate: \(folder.path)/one.crt, key: \(folder.path)/two.key }

            """.write(to: settings, atomically: true, encoding: .utf8)
            let result = try await failing(
                ["--models", Paths.models, "--config", settings.path])
            #expect(result.status == 78)
            #expect(result.error.contains("one.crt") && result.error.contains("two.key"))
        }
    }

    @Test func anEmptyModelsFolderServesNothingAndIsReady() async throws {
        try await withTemporaryFolder { folder in
            try await withGateway(models: folder.path) { gateway in
                try await gateway.withClient { client in
                    let (index, ready) = (
                        try await client.index(), try await client.isServerReady()
                    )
                    #expect(index.isEmpty && ready)
                }
            }
        }
    }

    /// `models.poll: 0` looks at the folder once; beside it a gateway that looks often shows when there was time enough.
    @Test func theFolderIsLookedAtAsOftenAsItIsSaid() async throws {
        try await withTemporaryFolder { folder in
            try FileManager.default.copyItem(
                atPath: "\(Paths.models)/iris", toPath: folder.appending(path: "iris").path)
            let often = "models:\n  poll: 1s\n"
            let once = "models:\n  poll: 0\n"
            try await withGateway(models: folder.path, settings: often) { watching in
                try await withGateway(models: folder.path, settings: once) { content in
                    try FileManager.default.copyItem(
                        atPath: "\(Paths.models)/diabetes-forest",
                        toPath: folder.appending(path: "late").path)
                    try await watching.withClient { client in
                        try await eventually(within: 20, "the new model") {
                            try await client.index().contains { $0.name == "late" }
                        }
                    }
                    let index = try await content.withClient { try await $0.index() }
                    #expect(index.map(\.name) == ["iris"])
                }
            }
        }
    }

    @Test func aCorruptModelDoesNotDisturbTheOthers() async throws {
        try await withTemporaryFolder { folder in
            let files = FileManager.default
            try files.copyItem(
                atPath: "\(Paths.models)/iris", toPath: folder.appending(path: "iris").path)
            for broken in ["corrupt", "truncated", "wrong-magic", "empty"] {
                let version = folder.appending(path: "\(broken)/1")
                try files.createDirectory(at: version, withIntermediateDirectories: true)
                try files.copyItem(
                    atPath: "\(Paths.fixtures)/models/\(broken).onnx",
                    toPath: version.appending(path: "model.onnx").path)
            }
            try await withGateway(models: folder.path) { gateway in
                try await withBystander(gateway) {
                    try await gateway.withClient { client in
                        for broken in ["corrupt", "truncated", "wrong-magic", "empty"] {
                            let error = await #expect(throws: SluiceError.self) {
                                _ = try await client.infer(broken, inputs: TokenTests.iris())
                            }
                            #expect(
                                error?.code == .failedPrecondition, "\(broken): \(error as Any)")
                            #expect(error?.reason == "MODEL_BROKEN")
                        }
                    }
                }
            }
        }
    }

    @Test func probesSayLiveAndReady() async throws {
        try await withGateway { gateway in
            for (path, status) in [("/livez", "200"), ("/readyz", "200"), ("/other", "404")] {
                let result = try await Command.run(
                    program: "/usr/bin/curl",
                    [
                        "-sS", "-o", "/dev/null", "-w", "%{http_code}",
                        "http://\(gateway.admin)\(path)",
                    ])
                #expect(result.output == status, "\(path): \(result.output) \(result.error)")
            }
        }
    }

    @Test func sigtermFinishesWhatRunsAndEndsWithZero() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token()
            let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
            // A cold forest takes its time; the signal arrives while it loads.
            try await connection.send(.call(1, "digits-forest", payload: BadInputTests.digits()))
            gateway.signal(SIGTERM)
            var answered = false
            var goodbye = false
            reading: while true {
                switch try await connection.next(within: 20) {
                case .frame(let frame) where frame.type == .reply && frame.call == 1:
                    answered =
                        frame.header.readableBytes == 0
                        || frame.header.getInteger(at: frame.header.readerIndex, as: UInt8.self)
                            != 0x0A
                case .frame(let frame) where frame.type == .goAway: goodbye = true
                case .frame: continue
                case .closed: break reading
                }
            }
            #expect(answered, "the call in flight was answered")
            #expect(goodbye, "the connection was told")
            #expect(try await gateway.ended(within: 10) == 0)
        }
    }

    @Test func theSecondSignalStopsAtOnce() async throws {
        try await withTemporaryFolder { folder in
            let version = folder.appending(path: "endless/1")
            try FileManager.default.createDirectory(
                at: version, withIntermediateDirectories: true)
            try FileManager.default.copyItem(
                atPath: "\(Paths.fixtures)/models/endless.onnx",
                toPath: version.appending(path: "model.onnx").path)
            try await withTemporaryFolder { state in
                let gateway = try await TestGateway.start(
                    in: state, models: folder.path, settings: nil, environment: [:])
                let token = try await gateway.token()
                let (connection, _) = try await RawConnection.greeted(to: gateway, token: token)
                try await connection.send(.call(1, "endless", payload: BadInputTests.endless()))
                try await eventually("the model is awake") { gateway.log.contains("model awake") }
                gateway.signal(SIGTERM)
                try await eventually("it drains") { gateway.log.contains("draining") }
                #expect(gateway.isRunning)
                let began = ContinuousClock.now
                gateway.signal(SIGTERM)
                #expect(try await gateway.ended(within: 5) == 75)
                #expect(ContinuousClock.now - began < .seconds(3))
            }
        }
    }
}
