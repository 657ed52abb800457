// What counting costs, and a page of a thousand models, printed; with SLUICE_BENCH set, in release builds.

import Contract
import Foundation
import Gateway
import NIOCore
import Telemetry
import Testing

private struct NoBody: CallBody {
    var byteCount = 100
    func inferenceRequest() throws(CallFailure) -> InferenceRequest {
        throw CallFailure(.internal, .none, "not asked for")
    }
    func question() throws(CallFailure) -> Question { Question() }
}

@Suite(.enabled(if: ProcessInfo.processInfo.environment["SLUICE_BENCH"] != nil), .serialized)
struct MetricsBenchmarkTests {
    /// The best of many rounds, in nanoseconds each: what else the machine does is not counted.
    private func best(_ name: String, rounds: Int, each count: Int, _ body: () -> Void) -> Double {
        var best = Duration.seconds(3_600)
        for _ in 0..<rounds { best = min(best, ContinuousClock().measure(body)) }
        let nanoseconds = best / .nanoseconds(1) / Double(count)
        print("\(name): \(nanoseconds) ns")
        return nanoseconds
    }

    private func record(_ model: String) -> CallRecord {
        var timing = Timing()
        timing.run = .microseconds(15)
        timing.queue = .microseconds(1)
        let arrived = Instant(nanoseconds: 1_000)
        let call = Call(
            method: .infer, model: model, version: "", arrived: arrived,
            deadline: arrived + .seconds(1), body: NoBody())
        var traits = CallTraits(call)
        (traits.model, traits.version) = (model, "1")
        traits.client = "team"
        return CallRecord(
            CallKind(traits), bytesOut: 20, arrived: arrived, timing: timing,
            answered: arrived + .microseconds(40))
    }

    @Test func anObservation() {
        let book = MetricBook()
        let series = book.histogram(MetricDescription("time_seconds", .histogram, "Times."))
            .series()
        let count = 100_000
        let fast = best("an observation of 40 us", rounds: 50, each: count) {
            for _ in 0..<count { series.observe(40_000) }
        }
        let slow = best("an observation of 7 s", rounds: 50, each: count) {
            for _ in 0..<count { series.observe(7_000_000_000) }
        }
        let together = best("two threads on one series", rounds: 50, each: count) {
            DispatchQueue.concurrentPerform(iterations: 2) { _ in
                for _ in 0..<count / 2 { series.observe(40_000) }
            }
        }
        print("contended: \(together) ns")
        let calls = CallMetrics(MetricBook(), modelsMax: 10)
        let call = record("iris")
        let whole = best("a whole call", rounds: 50, each: count) {
            for _ in 0..<count { calls.answered(call) }
        }
        #if !DEBUG
            #expect(fast < 50 && slow < 50)
            #expect(whole < 1_000)
        #endif
    }

    @Test func aPageOfAThousandModels() {
        let desk = MetricsDesk(MetricsSettings())
        for number in 0..<1_000 {
            for _ in 0..<3 { desk.calls.answered(record("model-\(number)")) }
        }
        var bytes = 0
        let each = best("a page of 1,000 models", rounds: 30, each: 1) {
            bytes = desk.page(.openMetrics)?.readableBytes ?? 0
        }
        print("its bytes: \(bytes)")
        #expect(bytes > 1_000_000)
        #if !DEBUG
            #expect(each < 50e6)
        #endif
    }
}
