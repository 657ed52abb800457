// What the tests of this room share: an engine that follows a script, a clock set by hand, callers that write down what
// they are told.

import Catalogue
import Contract
import Dispatch
import NIOCore
import Shards
import Synchronization
import Testing

/// A clock that stands still until it is moved.
final class ManualClock: Sendable {
    private let nanoseconds = Atomic<UInt64>(1_000_000_000)

    var now: Instant { Instant(nanoseconds: nanoseconds.load(ordering: .sequentiallyConsistent)) }

    func advance(_ time: Nanoseconds) {
        nanoseconds.add(time.count, ordering: .sequentiallyConsistent)
    }
}

/// SplitMix64, so that a walk can be repeated from its printed seed.
struct Dice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

// MARK: - The engine

final class ScriptedStopper: RunStopper {
    private let told = Atomic<Bool>(false)
    func stop() { told.store(true, ordering: .sequentiallyConsistent) }
    var isStopped: Bool { told.load(ordering: .sequentiallyConsistent) }
}

/// What the scripted engine does; each part may be replaced while it is used.
struct Script: Sendable {
    /// Called by a load before it succeeds; throws to make it fail.
    var load: @Sendable (ModelEntry) throws(CallFailure) -> Void = { _ in }
    /// Called by a run; returns what is answered.
    var run: @Sendable (Prepared, ScriptedStopper) throws(CallFailure) -> [Tensor] = { p, _ in
        p.inputs
    }
    /// Called before a run, with the form of the session that it uses.
    var enter: (@Sendable (LoadForm) -> Void)?
    /// Instead of the entry's.
    var signature: Signature?
    /// Anonymous bytes a model holds while it lives, as it is loaded; nothing can be measured when nil.
    var bytes: (@Sendable (ModelEntry) -> UInt64)?
    /// The same of a model that is mapped.
    var mappedOwnBytes: UInt64 = 0
    /// What a load needs beside that, while it goes on.
    var loadExtra: UInt64 = 0
}

final class ScriptedEngine: ModelEngine {
    struct Counts: Sendable, Equatable {
        var loads = 0
        /// Those of them that left the weights in their file.
        var mappedLoads = 0
        var runs = 0
        var living = 0
        var trims = 0
        var runsOfReleased = 0
        var bytes: UInt64 = 0
        var bytesMost: UInt64 = 0
        var peak: UInt64 = 0
    }

    let script: Mutex<Script>
    let counts = Mutex(Counts())

    init(_ script: Script = Script()) { self.script = Mutex(script) }

    func load(_ entry: ModelEntry, as form: LoadForm) throws(CallFailure) -> any LoadedModel {
        counts.withLock {
            $0.loads += 1
            if form == .mapped { $0.mappedLoads += 1 }
        }
        let script = script.withLock { $0 }
        try script.load(entry)
        return ScriptedModel(
            self, script.signature ?? entry.signature, form: form,
            bytes: form == .mapped ? script.mappedOwnBytes : script.bytes?(entry) ?? 0,
            extra: script.loadExtra)
    }

    func memory() -> ProcessMemory? {
        guard script.withLock({ $0.bytes }) != nil else { return nil }
        return counts.withLock { ProcessMemory(anonymous: $0.bytes, mapped: 0, peak: $0.peak) }
    }

    func resetMemoryPeak() { counts.withLock { $0.peak = $0.bytes } }

    func stopper() -> any RunStopper { ScriptedStopper() }
    func trimMemory() { counts.withLock { $0.trims += 1 } }
    var count: Counts { counts.withLock { $0 } }
}

final class ScriptedModel: LoadedModel {
    let signature: Signature
    private let engine: ScriptedEngine
    let form: LoadForm
    private let bytes: UInt64

    init(
        _ engine: ScriptedEngine, _ signature: Signature, form: LoadForm, bytes: UInt64,
        extra: UInt64
    ) {
        self.engine = engine
        self.form = form
        self.signature = signature
        self.bytes = bytes
        engine.counts.withLock {
            $0.living += 1
            $0.bytes += bytes
            $0.bytesMost = max($0.bytesMost, $0.bytes)
            $0.peak = max($0.peak, $0.bytes + extra)
        }
    }

    deinit {
        engine.counts.withLock {
            $0.living -= 1
            $0.bytes -= bytes
        }
    }

    func run(_ prepared: Prepared, stopper: any RunStopper) throws(CallFailure) -> [Tensor] {
        engine.counts.withLock { $0.runs += 1 }
        guard let stopper = stopper as? ScriptedStopper else {
            throw CallFailure(.internal, .runFailed, "a stopper of another engine")
        }
        let (enter, run) = engine.script.withLock { ($0.enter, $0.run) }
        enter?(form)
        return try run(prepared, stopper)
    }
}

extension Script {
    static let stopped = CallFailure(.internal, .runFailed, "stopped")

    /// A run that ends only when it is told to.
    static func endless(_ began: Gate? = nil)
        -> @Sendable (Prepared, ScriptedStopper)
        throws(CallFailure) -> [Tensor]
    {
        { _, stopper throws(CallFailure) in
            while !stopper.isStopped { letOthersRun() }
            throw stopped
        }
    }
}

/// Lets another thread go on. Tests wait for conditions, never for a time to pass.
func letOthersRun() { _ = DispatchSemaphore(value: 0).wait(timeout: .now() + .microseconds(100)) }

/// Closed until it is opened; then open for all.
final class Gate: Sendable {
    private let isOpen = Atomic<Bool>(false)
    func open() { isOpen.store(true, ordering: .sequentiallyConsistent) }
    var hasOpened: Bool { isOpen.load(ordering: .sequentiallyConsistent) }

    /// Waits for at most 20 s.
    @discardableResult
    func pass() -> Bool { eventually { hasOpened } }
}

/// Waits until the condition holds: false when it does not within 20 s.
func eventually(_ condition: () -> Bool) -> Bool {
    let deadline = Instant.now() + .seconds(20)
    while !condition() {
        if Instant.now() > deadline { return false }
        letOthersRun()
    }
    return true
}

// MARK: - Models and calls

enum Samples {
    static let signature = Signature(
        inputs: [TensorSpecification(name: "X", datatype: .fp32, shape: [-1, 4])],
        outputs: [TensorSpecification(name: "Y", datatype: .fp32, shape: [-1, 4])])

    /// `weights`: bytes of a file beside the model; a mapped model when there are any.
    static func entry(
        _ index: Int = 0, _ name: String? = nil, weights: UInt64 = 0,
        limits: ModelLimits = ModelLimits()
    ) -> ModelEntry {
        var files = [ModelFile(name: "model.onnx", byteCount: 0)]
        if weights > 0 { files.append(ModelFile(name: "weights.bin", byteCount: weights)) }
        guard let name = ModelName(name ?? "model-\(index)"), let version = ModelVersion(number: 1)
        else { preconditionFailure("a sample's name is a name") }
        return ModelEntry(
            index: index,
            ScannedModel(
                name: name, version: version, directory: "/nowhere/\(name)/1", files: files,
                signature: signature, limits: limits, load: weights > 0 ? .mapped : .plain))
    }

    static func prepared(_ entry: ModelEntry, rows: Int = 1) -> Prepared {
        let tensor = Tensor(
            name: "X", datatype: .fp32, shape: [Int64(rows), 4],
            bytes: ByteBuffer(repeating: 0, count: rows * 16))
        return Prepared(
            entry: entry, inputs: [tensor], outputs: [0], byteCount: rows * 16, requestID: "")
    }
}

/// What a caller was told. Used on its event loop; other threads look at `heard` only.
final class Listener: RunDelegate {
    struct Heard: Sendable {
        var progress: [Progress.State] = []
        var result: Result<[Tensor], CallFailure>?
        var timing = Timing()
        var answers = 0
        var workContinued = false
        var workEnds = 0
        /// What a run that was stopped took.
        var workTime = Nanoseconds.zero
        /// Anything after the end, or an end without an answer.
        var disorder = 0
    }

    /// What can be read from any thread.
    final class Ear: Sendable {
        let heard = Mutex(Heard())
        let order: Order?
        let number: Int
        init(_ order: Order?, _ number: Int) {
            self.order = order
            self.number = number
        }

        var all: Heard { heard.withLock { $0 } }
        var isAnswered: Bool { all.answers > 0 }
        var isSettled: Bool {
            let heard = all
            return heard.answers == 1 && (!heard.workContinued || heard.workEnds == 1)
        }
        var failure: CallFailure? {
            if case .failure(let failure) = all.result { failure } else { nil }
        }
        var succeeded: Bool {
            if case .success = all.result { true } else { false }
        }
    }

    let ear: Ear

    init(_ order: Order? = nil, number: Int = 0) { ear = Ear(order, number) }

    func runProgress(_ progress: Progress) {
        ear.heard.withLock {
            if $0.answers > 0 { $0.disorder += 1 }
            $0.progress.append(progress.state)
        }
    }

    func runFinished(
        _ result: Result<[Tensor], CallFailure>, timing: Timing, workContinues: Bool
    ) {
        ear.order?.note(ear.number)
        ear.heard.withLock {
            if $0.answers > 0 { $0.disorder += 1 }
            $0.result = result
            $0.timing = timing
            $0.answers += 1
            $0.workContinued = workContinues
        }
    }

    func runWorkEnded(timing: Timing) {
        ear.heard.withLock {
            if $0.answers != 1 || !$0.workContinued || $0.workEnds > 0 { $0.disorder += 1 }
            $0.workEnds += 1
            $0.workTime = timing.run
        }
    }
}

/// The order in which calls were answered.
final class Order: Sendable {
    private let numbers = Mutex<[Int]>([])
    func note(_ number: Int) { numbers.withLock { $0.append(number) } }
    var all: [Int] { numbers.withLock { $0 } }
}

/// Whether somebody was told, and what.
final class Told: Sendable {
    private let results = Mutex<[Result<Void, CallFailure>]>([])
    var hear: @Sendable (Result<Void, CallFailure>) -> Void {
        { result in self.results.withLock { $0.append(result) } }
    }
    var count: Int { results.withLock { $0.count } }
    var failure: CallFailure? {
        results.withLock {
            if case .failure(let failure) = $0.last { failure } else { nil }
        }
    }
}

extension Sequence where Element == Listener.Ear {
    var allSucceeded: Bool { allSatisfy { $0.succeeded } }
}
