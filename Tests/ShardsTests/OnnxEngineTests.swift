// The real engine behind the fleet: small fixture models woken, run, stopped and refused.

import Catalogue
import Contract
import Foundation
import NIOCore
import NIOPosix
import OnnxRuntime
import Outside
import Shards
import Synchronization
import Testing

/// Started once in a process.
private let environment: Result<OnnxEnvironment, EngineFailure> = {
    do throws(EngineFailure) {
        return .success(try OnnxEnvironment())
    } catch {
        return .failure(error)
    }
}()

/// Fixture models as a repository finds them: each in a folder of its own.
private final class Shelf {
    let folder: URL

    init() throws {
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-shards-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit {
        do {
            try FileManager.default.removeItem(at: folder)
        } catch {
            Issue.record(error)
        }
    }

    /// `beside`: files of the fixtures that lie in the model's folder too.
    func entry(
        _ index: Int, _ name: String, _ signature: Signature, beside: [String] = []
    ) throws -> ModelEntry {
        let directory = folder.appendingPathComponent("\(name)/1")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let fixtures = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/models")
        let files = [("\(name).onnx", "model.onnx")] + beside.map { ($0, $0) }
        for (from, to) in files {
            try Data(contentsOf: fixtures.appendingPathComponent(from))
                .write(to: directory.appendingPathComponent(to))
        }
        let modelName = try #require(ModelName(name))
        let version = try #require(ModelVersion(number: 1))
        return ModelEntry(
            index: index,
            ScannedModel(
                name: modelName, version: version, directory: directory.path, signature: signature))
    }

    func linear(_ index: Int = 0) throws -> ModelEntry {
        try entry(index, "linear", linearSignature)
    }
}

private let linearSignature = Signature(
    inputs: [TensorSpecification(name: "x", datatype: .fp32, shape: [-1, 4])],
    outputs: [TensorSpecification(name: "y", datatype: .fp32, shape: [-1, 3])])

private let endlessSignature = Signature(
    inputs: [
        TensorSpecification(name: "x", datatype: .fp32, shape: [1]),
        TensorSpecification(name: "always", datatype: .bool, shape: []),
    ], outputs: [TensorSpecification(name: "y", datatype: .fp32, shape: [1])])

private func floats(_ name: String, _ shape: Shape, _ values: [Float]) -> Tensor {
    var bytes = ByteBuffer()
    for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
    return Tensor(name: name, datatype: .fp32, shape: shape, bytes: bytes)
}

private func prepared(_ entry: ModelEntry, _ inputs: [Tensor]) throws -> Prepared {
    try entry.prepare(
        InferenceRequest(model: "", version: "", id: "", inputs: inputs, outputs: []))
}

/// Runs a body with a started fleet over the real engine and one event loop.
private func withFleet(
    _ body: (Fleet, any EventLoop, NIOLoopBoundBox<LoopDesk>) async throws -> Void
) async throws {
    let fleet = Fleet(
        settings: ShardSettings(cores: 2), engine: OnnxEngine(try environment.get()))
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let loop = group.next()
    let desk = try await loop.submit { NIOLoopBoundBox(fleet.desk(on: loop), eventLoop: loop) }
        .get()
    fleet.start()
    try await body(fleet, loop, desk)
    #expect(await fleet.stop(by: Instant.now() + .seconds(5)))
    try await group.shutdownGracefully()
}

private func call(
    _ work: Prepared, _ loop: any EventLoop, _ desk: NIOLoopBoundBox<LoopDesk>,
    within time: Nanoseconds = .seconds(20)
) async throws -> Listener.Ear {
    try await loop.submit {
        let listener = Listener()
        let now = Instant.now()
        _ = desk.value.submit(work, deadline: now + time, now: now, delegate: listener)
        desk.value.turnEnded()
        return listener.ear
    }.get()
}

@Suite(.serialized) struct OnnxEngineTests {
    @Test func `a model wakes, runs cold, then on the spot, and sleeps again`() async throws {
        let shelf = try Shelf()
        let entry = try shelf.linear()
        try await withFleet { fleet, loop, desk in
            let work = try prepared(entry, [floats("x", [1, 4], [1, 0, 0, 0])])
            let first = try await call(work, loop, desk)
            #expect(eventually { first.isAnswered })
            #expect(try first.all.result?.get() == [floats("y", [1, 3], [0, 1, 2])])
            #expect(first.all.timing.cold)
            // The first run goes over a shard, which asks the kernel.
            #expect(first.all.timing.cpu > .zero && first.all.timing.cpu <= first.all.timing.run)
            var placed = fleet.statistics.placed
            var isInline = false
            for _ in 0..<200 where !isInline {
                let next = try await call(work, loop, desk)
                #expect(eventually { next.succeeded })
                isInline = fleet.statistics.placed == placed
                placed = fleet.statistics.placed
            }
            // Under a sanitizer it is not a matter of microseconds.
            #expect(
                isInline || ProcessInfo.processInfo.environment["SLUICE_SANITIZER"] != nil,
                "a model of a few microseconds runs on the event loop")
            let told = Told()
            fleet.unload(entry, done: told.hear)
            #expect(eventually { told.count == 1 })
            #expect(fleet.state(of: entry) == .asleep)
        }
    }

    @Test func `a loop without end is stopped at its deadline`() async throws {
        let shelf = try Shelf()
        let entry = try shelf.entry(1, "endless", endlessSignature)
        let bystander = try shelf.linear()
        try await withFleet { fleet, loop, desk in
            let always = Tensor(
                name: "always", datatype: .bool, shape: [], bytes: ByteBuffer(bytes: [1]))
            let work = try prepared(entry, [floats("x", [1], [0]), always])
            let ear = try await call(work, loop, desk, within: .milliseconds(150))
            let other = try await call(
                try prepared(bystander, [floats("x", [1, 4], [0, 1, 0, 0])]), loop, desk)
            #expect(eventually { other.succeeded })
            #expect(eventually { ear.isSettled })
            #expect(ear.failure?.code == .deadlineExceeded)
            #expect(ear.all.disorder == 0)
            #expect(eventually { fleet.statistics.running == 0 })
        }
    }

    @Test func `a corrupt file breaks its model only`() async throws {
        let shelf = try Shelf()
        let corrupt = try shelf.entry(2, "corrupt", linearSignature)
        let healthy = try shelf.linear()
        try await withFleet { fleet, loop, desk in
            let inputs = [floats("x", [1, 4], [0, 0, 0, 1])]
            let broken = try await call(try prepared(corrupt, inputs), loop, desk)
            let fine = try await call(try prepared(healthy, inputs), loop, desk)
            #expect(eventually { broken.isAnswered && fine.succeeded })
            #expect(broken.failure?.code == .failedPrecondition)
            #expect(broken.failure?.reason == .modelBroken)
            #expect(broken.failure?.retryAfter == .seconds(1))
            if case .broken = fleet.state(of: corrupt) {} else { Issue.record("not broken") }
        }
    }

    @Test func `a signature that is not the file's is refused at the load`() async throws {
        let shelf = try Shelf()
        let entry = try shelf.entry(3, "linear", endlessSignature)
        try await withFleet { fleet, loop, desk in
            let told = Told()
            fleet.load(entry, done: told.hear)
            #expect(eventually { told.count == 1 })
            #expect(told.failure?.reason == .modelBroken)
        }
    }

    // MARK: Files that are looked at first

    private func loading(_ engine: OnnxEngine, _ entry: ModelEntry) -> CallFailure? {
        do throws(CallFailure) {
            _ = try engine.load(entry)
            return nil
        } catch {
            return error
        }
    }

    @Test func `the engine opens what the inspector found`() throws {
        let shelf = try Shelf()
        let entry = try shelf.linear()
        let elsewhere = try shelf.entry(1, "endless", endlessSignature)
        let inspector = ScriptedInspector(path: elsewhere.modelPath)
        let engine = OnnxEngine(try environment.get(), inspector: inspector)
        #expect(try engine.load(entry).signature == endlessSignature)
        #expect(inspector.confirmed == 1)
    }

    @Test func `a fault of the files is the model's, before and after the load`() throws {
        let shelf = try Shelf()
        let entry = try shelf.linear()
        for isEarly in [true, false] {
            let inspector = ScriptedInspector(
                path: entry.modelPath, fault: ModelFault("it smells"), isEarly: isEarly)
            let engine = OnnxEngine(try environment.get(), inspector: inspector)
            let failure = try #require(loading(engine, entry))
            #expect(failure.code == .failedPrecondition && failure.reason == .modelBroken)
            #expect(failure.message.hasSuffix("cannot be served: it smells"))
            #expect(inspector.confirmed == (isEarly ? 0 : 1))
        }
    }

    @Test func `a file the engine refuses is named without its place`() throws {
        let shelf = try Shelf()
        let corrupt = try shelf.entry(0, "corrupt", linearSignature)
        let engine = OnnxEngine(try environment.get(), inspector: FolderInspector())
        let failure = try #require(loading(engine, corrupt))
        #expect(failure.reason == .modelBroken)
        #expect(!failure.message.contains("/"), "\(failure.message)")
        #expect(failure.message.contains("model.onnx"), "\(failure.message)")
    }

    /// By the descriptors of files that were looked at: alone, with weights beside it, and mapped.
    @Test func `the engine loads by descriptor`() throws {
        let shelf = try Shelf()
        let wide = TensorSpecification(name: "x", datatype: .fp32, shape: [-1, 64])
        let external = try shelf.entry(
            1, "external", Signature(inputs: [wide], outputs: [wide]), beside: ["external.weights"])
        let nested = try shelf.entry(
            2, "external-nested", linearSignature,
            beside: ["external.weights", "branch.weights", "constant.weights"])
        var mapped = OnnxSessionOptions()
        mapped.mapped = true
        for options in [OnnxSessionOptions(), mapped] {
            let engine = OnnxEngine(
                try environment.get(), options: options, inspector: FolderInspector())
            #expect(
                try engine.load(shelf.entry(0, "linear", linearSignature)).signature
                    == linearSignature)
            let model = try engine.load(external)
            let row = (0..<64).map { Float($0) }
            let answer = try model.run(
                Prepared(
                    entry: external, inputs: [floats("x", [1, 64], row)], outputs: [0],
                    byteCount: 256, requestID: ""), stopper: engine.stopper())
            #expect(answer == [floats("y", [1, 64], row)])
            let other = try engine.load(nested)
            let wanted = Tensor(
                name: "wanted", datatype: .bool, shape: [], bytes: ByteBuffer(bytes: [1]))
            let sum = try other.run(
                Prepared(
                    entry: nested, inputs: [floats("x", [4], [5, 6, 7, 8]), wanted], outputs: [0],
                    byteCount: 17, requestID: ""), stopper: engine.stopper())
            #expect(sum == [floats("y", [4], [9, 4, 4, 4])])
        }
        // Without the weights of the branch it never reaches the engine.
        try FileManager.default.removeItem(atPath: nested.directory + "/branch.weights")
        let failure = loading(
            OnnxEngine(try environment.get(), inspector: FolderInspector()), nested)
        #expect(failure?.message.contains("'branch.weights', which is missing") == true)
    }
}

/// Says what it is told to.
private final class ScriptedInspector: ModelInspector, InspectedModel {
    let path: String
    private let fault: ModelFault?
    private let isEarly: Bool
    private let count = Mutex(0)

    init(path: String, fault: ModelFault? = nil, isEarly: Bool = false) {
        self.path = path
        self.fault = fault
        self.isEarly = isEarly
    }

    var confirmed: Int { count.withLock { $0 } }

    func inspect(_ entry: ModelEntry) throws(ModelFault) -> any InspectedModel {
        if isEarly, let fault { throw fault }
        return self
    }

    func confirm() throws(ModelFault) {
        count.withLock { $0 += 1 }
        if let fault { throw fault }
    }
}
