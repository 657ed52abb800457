// Several threads on one session, and ending a run from another thread.

import Contract
import Foundation
import NIOCore
import OnnxRuntime
import Synchronization
import Testing

/// Runs `body` on a thread of its own; the returned semaphore is signalled when it has ended.
private func onThread(_ body: @escaping @Sendable () -> Void) -> DispatchSemaphore {
    let ended = DispatchSemaphore(value: 0)
    let thread = Thread {
        body()
        ended.signal()
    }
    thread.start()
    return ended
}

extension OnnxRuntimeTests {
    @Suite struct ThreadTests {
        @Test func `four threads run one session`() throws {
            let session = try session("linear")
            let wrong = Atomic<Int>(0)
            let runs = Atomic<Int>(0)
            let threads = (0..<4).map { number in
                onThread { [session] in
                    for round in 0..<2_000 {
                        let value = Float(number * 10_000 + round)
                        let input = tensor("x", [1, 4], [value, 0, 0, 1]).shifted(by: round % 5)
                        let output = try? session.run(inputs: [input], outputs: [0])
                        if output?.first?.floats != [9, value + 10, 2 * value + 11] {
                            wrong.add(1, ordering: .relaxed)
                        }
                        runs.add(1, ordering: .relaxed)
                    }
                }
            }
            for thread in threads { #expect(thread.wait(timeout: .now() + 30) == .success) }
            #expect(runs.load(ordering: .relaxed) == 8_000)
            #expect(wrong.load(ordering: .relaxed) == 0)
        }

        private func always() -> [Tensor] {
            [tensor("x", [1], [0]), tensor("always", .bool, [], [UInt8(1)])]
        }

        @Test func `an endless loop is ended within a second`() throws {
            let session = try session("endless")
            let terminator = try RunTerminator(try engine())
            let inputs = always()
            let answer = Mutex<EngineFailure?>(nil)
            let ended = onThread { [session] in
                let failure = failure { () throws(EngineFailure) in
                    try session.run(inputs: inputs, outputs: [0], terminator: terminator)
                }
                answer.withLock { $0 = failure }
            }
            #expect(ended.wait(timeout: .now() + 0.1) == .timedOut, "it ended by itself")
            #expect(!terminator.isTerminated)
            terminator.terminate()
            try #require(ended.wait(timeout: .now() + 1) == .success)
            #expect(answer.withLock { $0 } == .terminated)
            #expect(terminator.isTerminated)
        }

        @Test func `a run told to end before it starts ends at once`() throws {
            let session = try session("endless")
            let terminator = try RunTerminator(try engine())
            terminator.terminate()
            terminator.terminate()
            let answer = failure { () throws(EngineFailure) in
                try session.run(inputs: always(), outputs: [0], terminator: terminator)
            }
            #expect(answer == .terminated)
        }

        @Test func `a terminator which is not used changes nothing`() throws {
            let session = try session("linear")
            let terminator = try RunTerminator(try engine())
            let input = tensor("x", [1, 4], [0, 0, 0, 1])
            for _ in 0..<10 {
                let output = try session.run(
                    inputs: [input], outputs: [0], terminator: terminator)
                #expect(output[0].floats == [9, 10, 11])
            }
            #expect(
                failure { () throws(EngineFailure) in
                    try session.run(inputs: [], outputs: [0], terminator: terminator)
                } != .terminated)
        }

        /// Terminate races with the end of the run and with dropping the terminator: any order is fine.
        @Test func `terminate at any moment`() throws {
            let session = try session("linear")
            let environment = try engine()
            let input = tensor("x", [1, 4], [0, 0, 0, 1])
            for _ in 0..<300 {
                let terminator = try RunTerminator(environment)
                let ended = onThread { terminator.terminate() }
                do throws(EngineFailure) {
                    let output = try session.run(
                        inputs: [input], outputs: [0], terminator: terminator)
                    #expect(output[0].floats == [9, 10, 11])
                } catch {
                    #expect(error == .terminated)
                }
                ended.wait()
            }
        }
    }
}
