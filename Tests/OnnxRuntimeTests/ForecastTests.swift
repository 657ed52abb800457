// Outputs whose place is given to the engine before the run: right when the forecast is right, and when it is wrong.

import Contract
import NIOCore
import OnnxRuntime
import Testing

extension OnnxRuntimeTests {
    @Suite struct ForecastTests {
        private func positive(_ session: OnnxSession, _ values: [Float]) throws -> [[Float]] {
            let outputs = try session.run(
                inputs: [tensor("x", [Int64(values.count)], values)], outputs: [0, 1])
            #expect(outputs.map(\.shape.rank) == [1, 1])
            #expect(outputs.map { Int($0.shape[0]) } == outputs.map(\.floats.count))
            return outputs.map(\.floats)
        }

        @Test func `a shape that depends on the numbers`() throws {
            let session = try session("positive")
            // Three runs in which the output is as long as the input make it look like the batch.
            for _ in 0..<3 {
                #expect(try positive(session, [1, 2, 3]) == [[1, 2, 3], [-1, -2, -3]])
            }
            #expect(try positive(session, [1, -2, 3]) == [[1, 3], [-1, 2, -3]])
            #expect(try positive(session, [-1, -2]) == [[], [1, 2]])
            for _ in 0..<3 { #expect(try positive(session, [4, 5]) == [[4, 5], [-4, -5]]) }
        }

        @Test func `a shape that was never the batch's`() throws {
            let session = try session("positive")
            for _ in 0..<3 {
                #expect(try positive(session, [1, -2, 3]) == [[1, 3], [-1, 2, -3]])
            }
            for _ in 0..<3 { #expect(try positive(session, [1, 2]) == [[1, 2], [-1, -2]]) }
        }

        @Test func `batches of every size, again and again`() throws {
            let session = try session("linear")
            var generator = SeededGenerator(seed: 5)
            for _ in 0..<200 {
                let batch = Int.random(in: 0...9, using: &generator)
                let first = Float(Int.random(in: 0...1_000, using: &generator))
                let rows = (0..<batch).flatMap { _ -> [Float] in [first, 0, 0, 1] }
                let output = try session.run(
                    inputs: [tensor("x", [Int64(batch), 4], rows)], outputs: [0])[0]
                #expect(output.shape == [Int64(batch), 3])
                let row: [Float] = [9, first + 10, 2 * first + 11]
                #expect(output.floats == (0..<batch).flatMap { _ -> [Float] in row })
            }
        }

        @Test func `answers do not share their memory with later ones`() throws {
            let session = try session("pair")
            func run(_ value: Float) throws -> [Tensor] {
                try session.run(
                    inputs: [
                        tensor("width", [3], [value, value, value]),
                        tensor("height", [3], [1, 2, 3]),
                    ],
                    outputs: [0, 1])
            }
            let answers = try (0..<20).map { try run(Float($0)) }
            for (number, answer) in answers.enumerated() {
                let value = Float(number)
                #expect(answer[0].floats == [value, 2 * value, 3 * value])
                #expect(
                    answer[1].integers(Int64.self) == [Int64](repeating: Int64(number), count: 3))
            }
        }

        @Test func `a failing run fails with its own reason, told or not`() throws {
            let session = try session("seven")
            let seven = tensor("x", [7], [Float](repeating: 1, count: 7))
            for _ in 0..<3 { _ = try session.run(inputs: [seven], outputs: [0]) }
            let answer = failure { () throws(EngineFailure) in
                try session.run(inputs: [tensor("x", [2], [1, 2])], outputs: [0])
            }
            guard case .runFailed(let text)? = answer else {
                Issue.record("\(String(describing: answer))")
                return
            }
            #expect(text.contains("Reshape"))
            #expect(try session.run(inputs: [seven], outputs: [0])[0].floats == seven.floats)
        }

        @Test func `a limit holds for outputs that can be told`() throws {
            var options = OnnxSessionOptions()
            options.outputBytesMax = 120
            let session = try session("linear", options)
            func run(_ batch: Int) -> EngineFailure? {
                let input = tensor(
                    "x", [Int64(batch), 4], [Float](repeating: 0, count: 4 * batch))
                return failure { () throws(EngineFailure) in
                    try session.run(inputs: [input], outputs: [0])
                }
            }
            for _ in 0..<3 { #expect(run(10) == nil) }
            guard case .runFailed(let text)? = run(11) else {
                Issue.record("the limit was not met")
                return
            }
            #expect(text.contains("120") && text.contains("'y' is FP32 [11,3]"))
        }
    }
}
