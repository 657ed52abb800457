// Models in a real object store: woken from it, served without it, and what bad luck does.

import Foundation
import SluiceClient
import Synchronization
import Testing

// One after the other: they open and close the one store's door.
@Suite(.serialized) struct BucketTests {
    private let store = BucketServer.shared

    /// A gateway on a bucket, whose state folder may be used again.
    private func withGateway<Outcome>(
        _ prefix: String, in folder: URL, _ settings: String = "",
        environment: [String: String] = BucketServer.keys, shell: [String] = [],
        _ body: (TestGateway) async throws -> Outcome
    ) async throws -> Outcome {
        let gateway = try await TestGateway.start(
            in: folder, models: "s3://\(BucketServer.bucket)/\(prefix)",
            settings: store.settings(settings), environment: environment, prefix: shell)
        do {
            let outcome = try await body(gateway)
            if gateway.isRunning {
                let status = try await gateway.stop()
                #expect(status == 0, "the gateway ended with \(status): \(gateway.log)")
            }
            return outcome
        } catch {
            gateway.signal(SIGKILL)
            _ = try? await gateway.ended()
            Issue.record("the gateway's log: \(gateway.log.suffix(4_000))")
            throw error
        }
    }

    private func failure(_ client: SluiceClient, _ model: String) async throws -> SluiceError {
        do {
            _ = try await client.infer(model, inputs: TokenTests.iris())
        } catch let error as SluiceError {
            return error
        }
        throw TestTrouble("\(model) was served")
    }

    private func versions(_ gateway: TestGateway) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: gateway.state + "/cache/versions")
    }

    @Test func wokenFromTheBucketAndServedWithoutIt() async throws {
        try await store.start()
        try await store.publish("near", padding: 60 << 20, to: "wake")
        try await store.publish("far", to: "wake")
        try await withTemporaryFolder { folder in
            try await withGateway("wake", in: folder) { gateway in
                let token = try await gateway.token(scope: "infer:* models:admin models:read")
                try await gateway.withClient(token: token) { client in
                    #expect(try await client.index().map(\.name) == ["far", "near"])
                    let fetching = Mutex<[Double]>([])
                    let answer = try await client.infer(
                        "near", inputs: TokenTests.iris(),
                        onProgress: { progress in
                            guard progress.state == .fetching else { return }
                            fetching.withLock { $0.append(progress.fraction ?? -1) }
                        })
                    #expect(try answer.output("label").values(as: Int64.self) == [0])
                    #expect(answer.timing.isCold)
                    let fractions = fetching.withLock { $0 }
                    #expect(!fractions.isEmpty && fractions == fractions.sorted())
                    #expect(fractions.allSatisfy { (0...1).contains($0) })
                    #expect(gateway.log.contains("model fetched"))
                    try await store.stop()
                    // In the cache: it sleeps and wakes as ever.
                    for _ in 0..<3 {
                        try await client.sleep("near")
                        _ = try await client.infer("near", inputs: TokenTests.iris())
                    }
                    let error = try await failure(client, "far")
                    #expect(error.code == .unavailable && error.reason == "STORE_UNAVAILABLE")
                    #expect(error.message.contains("store cannot be reached"), "\(error.message)")
                    let blind = await #expect(throws: SluiceError.self) {
                        try await client.refresh()
                    }
                    #expect(blind?.code == .unavailable)
                }
            }
            // The store is still down when the next gateway starts.
            try await withGateway("wake", in: folder) { gateway in
                try await gateway.withClient { client in
                    _ = try await client.infer("near", inputs: TokenTests.iris())
                    #expect(try await failure(client, "far").reason == "STORE_UNAVAILABLE")
                    try await store.start()
                    _ = try await client.infer("far", inputs: TokenTests.iris())
                }
            }
        }
    }

    /// What /metrics tells of the store: bytes as they came, errors as they happened, the cache as it is.
    @Test func fetchesBytesErrorsAndTheCacheAreCounted() async throws {
        let padding = 3 << 20
        try await store.start()
        for name in ["near", "far"] {
            try await store.publish(name, padding: padding, to: "counted")
        }
        let model = "\(Paths.models)/iris/1/model.onnx"
        let size = try #require(
            try FileManager.default.attributesOfItem(atPath: model)[.size] as? Int)
        try await withTemporaryFolder { folder in
            try await withGateway("counted", in: folder) { gateway in
                func metric(_ name: String) async throws -> Double {
                    try await gateway.metric("sluice_store_\(name)")
                }
                func counted(_ done: Double, _ note: Comment) async throws {
                    let fetched = try await metric(#"fetches_total{result="done"}"#)
                    let bytes = try await metric("fetch_bytes_total")
                    #expect(fetched == done, note)
                    #expect(bytes == done * Double(padding + size), note)
                    let kept = try await metric("cache_bytes")
                    #expect(kept >= bytes && kept < bytes + Double(1 << 20), note)
                    let running = try await metric("fetches_in_progress")
                    #expect(running == 0, note)
                }
                let token = try await gateway.token(scope: "infer:* models:admin")
                try await gateway.withClient(token: token) { client in
                    try await counted(0, "before a call")
                    #expect(try await metric("cache_budget_bytes") > Double(padding))
                    _ = try await client.infer("near", inputs: TokenTests.iris())
                    try await counted(1, "fetched")
                    #expect(try await metric("errors_total") == 0)
                    try await store.stop()
                    try await client.sleep("near")
                    _ = try await client.infer("near", inputs: TokenTests.iris())
                    try await counted(1, "woken from the cache")
                    #expect(try await failure(client, "far").reason == "STORE_UNAVAILABLE")
                    #expect(try await metric("errors_total") >= 1)
                    try await eventually("a failed fetch is counted") {
                        try await metric(#"fetches_total{result="failed"}"#) >= 1
                    }
                    try await counted(1, "nothing came")
                    try await store.start()
                    _ = try await client.infer("far", inputs: TokenTests.iris())
                    try await counted(2, "both")
                }
            }
        }
    }

    @Test func aGatewayThatNeverSawItsStoreStarts() async throws {
        try await store.start()
        try await store.publish("late", to: "never")
        try await store.stop()
        try await withTemporaryFolder { folder in
            try await withGateway("never", in: folder) { gateway in
                try await gateway.withClient { client in
                    let error = try await failure(client, "late")
                    #expect(error.code == .unavailable && error.reason == "STORE_UNAVAILABLE")
                    #expect(error.message.contains("has not answered yet"), "\(error.message)")
                    try await store.start()
                    // By itself, with back-off.
                    try await eventually(within: 60, "the model is served") {
                        do {
                            _ = try await client.infer("late", inputs: TokenTests.iris())
                            return true
                        } catch let error as SluiceError where error.code == .unavailable {
                            return false
                        }
                    }
                    #expect(try await failure(client, "unknown").code == .notFound)
                }
            }
        }
    }

    @Test func killedInTheMiddleOfADownload() async throws {
        try await store.start()
        try await store.publish("big", padding: 200 << 20, to: "kill")
        try await withTemporaryFolder { folder in
            try await withGateway("kill", in: folder) { gateway in
                try await gateway.withClient { client in
                    let call = await withTaskGroup(of: Bool.self) { group in
                        group.addTask {
                            do {
                                _ = try await client.infer(
                                    "big", inputs: TokenTests.iris(),
                                    onProgress: { progress in
                                        if let done = progress.fraction, done > 0.2 {
                                            gateway.signal(SIGKILL)
                                        }
                                    })
                                return true
                            } catch {
                                return false
                            }
                        }
                        return await group.next() ?? true
                    }
                    #expect(!call, "the gateway was killed before it could answer")
                }
                _ = try await gateway.ended()
                #expect(try versions(gateway).isEmpty)
            }
            try await withGateway("kill", in: folder) { gateway in
                let parts = try await Command.run(
                    program: "/bin/sh",
                    ["-c", "cat '\(gateway.state)'/cache/fetching/*/parts/*.done | wc -c"])
                #expect(
                    (Int(parts.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0) >= 8)
                try await gateway.withClient { client in
                    _ = try await client.infer("big", inputs: TokenTests.iris())
                }
                let versions = try versions(gateway)
                #expect(versions.count == 1)
                let folder = "\(gateway.state)/cache/versions/\(versions.first ?? "")"
                let hash = try await Command.run(
                    program: "/usr/bin/sha256sum", [folder + "/padding.bin"])
                let manifest = try String(
                    contentsOfFile: folder + "/manifest.json", encoding: .utf8)
                #expect(manifest.contains(hash.output.prefix(64)))
                #expect(
                    try FileManager.default.contentsOfDirectory(
                        atPath: gateway.state + "/cache/fetching"
                    ).isEmpty)
            }
        }
    }

    @Test func refreshSeesWhatIsNew() async throws {
        try await store.start()
        try await store.publish("one", to: "refresh")
        try await withTemporaryFolder { folder in
            try await withGateway("refresh", in: folder) { gateway in
                let admin = try await gateway.token(scope: "infer:* models:admin models:read")
                try await gateway.withClient(token: admin) { client in
                    try await store.publish("one", version: 2, to: "refresh")
                    try await store.publish("two", to: "refresh")
                    #expect(try await client.index().count == 1)
                    try await client.refresh()
                    #expect(
                        try await client.index().map { "\($0.name)/\($0.version)" }
                            == ["one/1", "one/2", "two/1"])
                    // The new one serves when it has come and proved itself; the old one until then.
                    try await eventually(within: 30, "version 2 is latest") {
                        try await client.infer("one", inputs: TokenTests.iris()).version == "2"
                    }
                    // Other bytes under a known name: found when they come, and told.
                    try await store.spoil("refresh/two/1/model.onnx")
                    let error = try await failure(client, "two")
                    #expect(error.code == .failedPrecondition && error.reason == "MODEL_BROKEN")
                }
                let said = try await Command.run(
                    "models", "refresh", "--json", "--endpoint", gateway.endpoint, "--ca",
                    gateway.ca, environment: ["SLUICE_TOKEN": admin])
                #expect(said.status == 0, "\(said.error)")
                #expect(said.output.contains("\"versions\":3"), "\(said.output)")
                let caller = try await gateway.token(scope: "infer:* models:read", name: "caller")
                let refused = try await Command.run(
                    "models", "refresh", "--endpoint", gateway.endpoint, "--ca", gateway.ca,
                    environment: ["SLUICE_TOKEN": caller])
                #expect(refused.status == 77, "\(refused.error)")
            }
        }
    }

    @Test func anImportGoesStraightIntoTheBucket() async throws {
        try await store.start()
        try await store.publish("near", to: "import")
        try await withTemporaryFolder { folder in
            let settings = folder.appending(path: "import.yaml")
            try store.settings().write(to: settings, atomically: true, encoding: .utf8)
            try await withGateway("import", in: folder) { gateway in
                let place = "s3://\(BucketServer.bucket)/import"
                for version in 1...2 {
                    let done = try await Command.run(
                        "models", "import", ImportTests.fixture("linear.onnx"), "--name", "line",
                        "--models", place, "--config", settings.path, "--json",
                        environment: BucketServer.keys)
                    #expect(try ImportTests.Report.of(done).version == version)
                }
                let taken = try await Command.run(
                    "models", "import", ImportTests.fixture("linear.onnx"), "--name", "line",
                    "--version", "2", "--models", place, "--config", settings.path,
                    environment: BucketServer.keys)
                #expect(taken.status == 65 && taken.error.contains("is there already"))
                let admin = try await gateway.token(scope: "admin")
                try await gateway.withClient(token: admin) { client in
                    try await client.refresh()
                    try await client.load("line")
                    let shown = try await client.metadata(of: "line")
                    #expect(shown.versions == ["1", "2"])
                }
            }
            let refused = try await Command.run(
                "models", "import", ImportTests.fixture("linear.onnx"), "--name", "line",
                "--models", "s3://\(BucketServer.bucket)/import", "--config", settings.path,
                environment: BucketServer.keys.merging(["AWS_SECRET_ACCESS_KEY": "wrong"]) { $1 })
            #expect(refused.status == 69 && refused.error.contains("models.s3"), "\(refused.error)")
        }
    }

    /// Folders are looked at too.
    @Test func aFolderIsRefreshed() async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            try FileManager.default.createDirectory(at: models, withIntermediateDirectories: true)
            let gateway = try await TestGateway.start(
                in: folder, models: models.path, settings: "models: { poll: 0 }", environment: [:])
            let admin = try await gateway.token(scope: "admin")
            try await gateway.withClient(token: admin) { client in
                #expect(try await client.index().isEmpty)
                try FileManager.default.copyItem(
                    atPath: Paths.models + "/iris", toPath: models.path + "/iris")
                try await client.refresh()
                _ = try await client.infer("iris", inputs: TokenTests.iris())
            }
            #expect(try await gateway.stop() == 0)
        }
    }

    @Test func theCacheKeepsItsBudget() async throws {
        try await store.start()
        for name in ["a", "b", "c"] {
            try await store.publish(name, padding: 400 << 10, to: "budget")
        }
        try await store.publish("huge", padding: 2 << 20, to: "budget")
        try await withTemporaryFolder { folder in
            try await withGateway("budget", in: folder, "cache: { bytes: 1MiB }") { gateway in
                let token = try await gateway.token(scope: "infer:* models:admin")
                try await withBystanderModel(gateway, token, "a") { client in
                    _ = try await client.infer("b", inputs: TokenTests.iris())
                    let full = try await failure(client, "c")
                    #expect(full.code == .resourceExhausted && full.reason == "CACHE_LIMIT")
                    #expect(full.message.contains("models.cache.bytes"))
                    try await client.sleep("b")
                    _ = try await client.infer("c", inputs: TokenTests.iris())
                    #expect(try versions(gateway).count == 2)
                    let huge = try await failure(client, "huge")
                    #expect(huge.code == .resourceExhausted)
                    #expect(huge.message.contains("2 MiB") || huge.message.contains("3 MiB"))
                }
            }
            // A smaller budget is kept from the start.
            try await withGateway("budget", in: folder, "cache: { bytes: 1MiB }") { gateway in
                let kept = try versions(gateway)
                #expect(kept.count == 2)
            }
        }
    }

    /// Calls one model all the time.
    private func withBystanderModel(
        _ gateway: TestGateway, _ token: String, _ model: String,
        _ body: (SluiceClient) async throws -> Void
    ) async throws {
        try await gateway.withClient(token: token) { client in
            for _ in 0..<3 { _ = try await client.infer(model, inputs: TokenTests.iris()) }
            try await body(client)
            let answer = try await client.infer(model, inputs: TokenTests.iris())
            #expect(!answer.timing.isCold, "it was awake all the time")
        }
    }

    @Test func aFullDisk() async throws {
        try await store.start()
        try await store.publish("small", to: "full")
        try await store.publish("large", padding: 12 << 20, to: "full")
        try await withTemporaryFolder { folder in
            // No file may be larger than 8 MiB: for one that writes, as good as a disk that is full.
            let shell = [
                "/bin/bash", "-c", "trap '' XFSZ; ulimit -f 8192; exec \"$@\"", "bash",
            ]
            try await withGateway("full", in: folder, shell: shell) { gateway in
                let token = try await gateway.token(scope: "infer:*")
                try await withBystanderModel(gateway, token, "small") { client in
                    let error = try await failure(client, "large")
                    #expect(error.code == .resourceExhausted && error.reason == "CACHE_LIMIT")
                    #expect(error.message.contains("cache folder (models.cache.path) is full"))
                    #expect(!error.message.contains(folder.path))
                }
            }
        }
    }

    @Test func aReadOnlyCache() async throws {
        try await store.start()
        try await store.publish("kept", to: "still")
        try await store.publish("other", to: "still")
        try await withTemporaryFolder { folder in
            try await withGateway("still", in: folder) { gateway in
                try await gateway.withClient { client in
                    _ = try await client.infer("kept", inputs: TokenTests.iris())
                }
            }
            let cache = folder.appending(path: "state/cache").path
            // Root writes into every folder, except where the file system says no.
            let shell =
                getuid() == 0
                ? [
                    "/usr/bin/unshare", "-m", "/bin/sh", "-c",
                    "mount --bind '\(cache)' '\(cache)' && mount -o remount,bind,ro '\(cache)'"
                        + " && exec \"$@\"", "sh",
                ]
                : ["/bin/sh", "-c", "chmod -R a-w '\(cache)' && exec \"$@\"", "sh"]
            try await withGateway("still", in: folder, shell: shell) { gateway in
                let token = try await gateway.token(scope: "infer:*")
                try await withBystanderModel(gateway, token, "kept") { client in
                    let error = try await failure(client, "other")
                    #expect(error.code == .unavailable && error.reason == "CACHE_UNWRITABLE")
                    #expect(error.message.contains("models.cache.path"), "\(error.message)")
                }
                #expect(gateway.log.contains("the cache folder cannot be written to"))
            }
            _ = try await Command.run(program: "/bin/chmod", ["-R", "u+w", cache])
        }
    }

    @Test func wrongKeysAreTold() async throws {
        try await store.start()
        try await store.publish("one", to: "keys")
        let wrong = BucketServer.keys.merging(["AWS_SECRET_ACCESS_KEY": "guessed"]) { $1 }
        try await withTemporaryFolder { folder in
            let error = await #expect(throws: TestTrouble.self) {
                try await withGateway("keys", in: folder, environment: wrong) { _ in }
            }
            let text = error?.description ?? ""
            #expect(text.contains("ended with 78"), "\(text)")
            #expect(
                text.contains("SignatureDoesNotMatch") && text.contains("secret key"), "\(text)")
            #expect(!text.contains("guessed"))
            let none = await #expect(throws: TestTrouble.self) {
                try await withGateway(
                    "keys", in: folder,
                    environment: BucketServer.keys.mapValues { _ in "" }
                        .merging(["HOME": folder.path]) { $1 }
                ) { _ in }
            }
            #expect(none?.description.contains("AWS_ACCESS_KEY_ID") == true)
            // By files, and by the shared file.
            let (access, secret) = (
                folder.appending(path: "access"), folder.appending(path: "secret")
            )
            try Data("test:tester\n".utf8).write(to: access)
            try Data("testing\n".utf8).write(to: secret)
            let settings = store.settings()
                .replacing(
                    "s3: {",
                    with: "s3: { access_key_file: \(access.path), secret_key_file: \(secret.path),")
            let gateway = try await TestGateway.start(
                in: folder, models: "s3://models/keys", settings: settings,
                environment: BucketServer.keys.mapValues { _ in "" })
            try await gateway.withClient { client in
                _ = try await client.infer("one", inputs: TokenTests.iris())
            }
            #expect(try await gateway.stop() == 0)
            let shared = folder.appending(path: "credentials")
            try Data(
                "[team]\naws_access_key_id = test:tester\naws_secret_access_key = testing\n".utf8
            ).write(to: shared)
            try await withGateway(
                "keys", in: folder,
                environment: [
                    "AWS_SHARED_CREDENTIALS_FILE": shared.path, "AWS_PROFILE": "team",
                    "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "",
                ]
            ) { gateway in
                try await gateway.withClient { client in
                    _ = try await client.infer("one", inputs: TokenTests.iris())
                }
            }
        }
    }
}
