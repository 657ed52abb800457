// A version proves itself: it is loaded like any other, under the same budget, and gives the answers its manifest says.

import Catalogue
import Contract
import NIOCore
import Shards

/// What a version showed.
struct TrialProof: Sendable, Equatable {
    /// 0: its manifest has none, so it was only loaded and its signature compared.
    var goldenCases: Int
}

/// One trial. On its event loop only; it ends by itself, whoever waits for it.
final class Trial: RunDelegate {
    /// How long the load may take, waiting for room included.
    static let loadTime = Nanoseconds.seconds(600)
    /// How long a run may take that says nothing about itself.
    static let runTime = Nanoseconds.seconds(60)

    private let entry: ModelEntry
    private let cases: [GoldenCase]
    private let desk: LoopDesk
    private let done: (Result<TrialProof, CallFailure>) -> Void
    /// The case that runs; nil while the model is being loaded.
    private var current: Int?
    private var isOver = false

    /// `done` is called once, on the event loop, possibly before ``begin()`` has returned.
    init(
        _ entry: ModelEntry, cases: [GoldenCase], desk: LoopDesk,
        done: @escaping (Result<TrialProof, CallFailure>) -> Void
    ) {
        self.entry = entry
        self.cases = cases
        self.desk = desk
        self.done = done
    }

    func begin() {
        let now = Instant.now()
        _ = desk.load(entry, deadline: now + Trial.loadTime, now: now, delegate: self)
    }

    func runProgress(_ progress: Progress) {}
    func runWorkEnded(timing: Timing) {}

    func runFinished(
        _ result: Result<[Tensor], CallFailure>, timing: Timing, workContinues: Bool
    ) {
        switch result {
        case .failure(var failure):
            if let current { failure.message = "golden case \(current + 1): \(failure.message)" }
            end(.failure(failure))
        case .success(let outputs):
            if let current, let difference = cases[current].difference(from: outputs) {
                return end(.failure(wrong("golden case \(current + 1): \(difference)")))
            }
            runNext()
        }
    }

    private func runNext() {
        let next = current.map { $0 + 1 } ?? 0
        guard next < cases.count else {
            return end(.success(TrialProof(goldenCases: cases.count)))
        }
        current = next
        let golden = cases[next]
        let request = InferenceRequest(
            model: "", version: "", id: "", inputs: golden.inputs,
            outputs: golden.outputs.map(\.name))
        do throws(CallFailure) {
            let now = Instant.now()
            _ = desk.submit(
                try entry.prepare(request), deadline: now + (entry.limits.timeout ?? Trial.runTime),
                now: now, delegate: self)
        } catch {
            end(.failure(wrong("golden case \(next + 1): \(error.message)")))
        }
    }

    private func wrong(_ message: String) -> CallFailure {
        CallFailure(.failedPrecondition, .modelUnproved, message, notStarted: true)
    }

    private func end(_ result: Result<TrialProof, CallFailure>) {
        guard !isOver else { return }
        isOver = true
        done(result)
    }
}

extension CallFailure {
    /// Says nothing about the model: another time it may go well.
    var isPassing: Bool {
        switch reason {
        case .queueFull, .stopping, .modelLoading, .deadlinePast: true
        default: false
        }
    }
}
