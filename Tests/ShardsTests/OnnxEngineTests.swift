// The real engine behind the fleet: small fixture models woken, run, stopped and refused.

import Catalogue
import Contract
import Foundation
import NIOCore
import NIOPosix
import OnnxRuntime
import Shards
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

    func entry(_ index: Int, _ name: String, _ signature: Signature) throws -> ModelEntry {
        let directory = folder.appendingPathComponent("\(name)/1")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let fixture = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/models/\(name).onnx")
        try FileManager.default.copyItem(
            at: fixture, to: directory.appendingPathComponent("model.onnx"))
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
}
