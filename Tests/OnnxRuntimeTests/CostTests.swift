// What one run costs, printed and not judged: SLUICE_MEASURE names a model with one float32 input [n, 4]. The bare
// C API with the same calls is what to compare with.

import Contract
import Foundation
import NIOCore
import OnnxRuntime
import Testing

/// CPU time of this thread.
private func cpuNanoseconds() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

extension OnnxRuntimeTests {
    @Suite(.enabled(if: ProcessInfo.processInfo.environment["SLUICE_MEASURE"] != nil))
    struct CostTests {
        @Test(arguments: [0, 1]) func `one run`(_ distance: Int) throws {
            let path = ProcessInfo.processInfo.environment["SLUICE_MEASURE"] ?? ""
            let session = try OnnxSession(path: path, environment: try engine())
            let input = [tensor("X", [1, 4], [5.1, 3.5, 1.4, 0.2]).shifted(by: distance)]
            let outputs = Array(session.signature.outputs.indices)
            // The best of many short rounds: what other processes do to this one falls out.
            let runs = 500
            var best = UInt64.max
            for _ in 0..<2_000 {
                let start = cpuNanoseconds()
                for _ in 0..<runs { _ = try session.run(inputs: input, outputs: outputs) }
                best = min(best, (cpuNanoseconds() - start) / UInt64(runs))
            }
            print("one run, bytes \(distance) off their alignment: \(best) ns")
        }
    }
}
