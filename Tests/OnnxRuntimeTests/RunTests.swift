// Runs of small models: order, subsets, shapes, strings, and what is refused before the engine sees it.

import Contract
import Foundation
import NIOCore
import OnnxRuntime
import Testing

extension OnnxRuntimeTests {
    @Suite struct RunTests {
        @Test func `a signature is in the model's order`() throws {
            let signature = try session("pair").signature
            #expect(
                signature
                    == Signature(
                        inputs: [
                            TensorSpecification(name: "width", datatype: .fp32, shape: [-1]),
                            TensorSpecification(name: "height", datatype: .fp32, shape: [-1]),
                        ],
                        outputs: [
                            TensorSpecification(name: "area", datatype: .fp32, shape: [-1]),
                            TensorSpecification(name: "rounded", datatype: .int64, shape: [-1]),
                        ]))
        }

        @Test func `outputs come in the order asked for`() throws {
            let session = try session("pair")
            let inputs = [tensor("width", [3], [1.5, 2, 3]), tensor("height", [3], [2, 10, 0])]
            let both = try session.run(inputs: inputs, outputs: [0, 1])
            #expect(both.map(\.name) == ["area", "rounded"])
            #expect(both[0].floats == [3, 20, 0])
            #expect(both[1].integers(Int64.self) == [1, 2, 3])
            let turned = try session.run(inputs: inputs, outputs: [1, 0])
            #expect(turned == [both[1], both[0]])
            #expect(try session.run(inputs: inputs, outputs: [1]) == [both[1]])
            #expect(try session.run(inputs: inputs, outputs: [0]) == [both[0]])
        }

        @Test func `outputs are aligned in one buffer`() throws {
            let session = try session("pair")
            // Three floats are 12 bytes: the integers behind them start at 16.
            let inputs = [tensor("width", [3], [1, 2, 3]), tensor("height", [3], [1, 1, 1])]
            for output in try session.run(inputs: inputs, outputs: [0, 1]) {
                unsafe output.bytes.withUnsafeReadableBytes { bytes in
                    let address = UInt(bitPattern: bytes.baseAddress)
                    #expect(address % 8 == 0)
                }
            }
        }

        @Test(arguments: [1, 2, 100]) func `a free batch`(_ batch: Int) throws {
            let session = try session("linear")
            var rows: [Float] = []
            var expected: [Float] = []
            for row in 0..<batch {
                let first = Float(row)
                rows += [first, 0, 0, 1]
                // Row r of the weights is 3r, 3r + 1, 3r + 2.
                expected += [9, first + 10, 2 * first + 11]
            }
            let output = try session.run(
                inputs: [tensor("x", [Int64(batch), 4], rows)], outputs: [0])[0]
            #expect(output.shape == [Int64(batch), 3])
            #expect(output.floats == expected)
        }

        @Test func `a scalar has rank zero`() throws {
            let session = try session("scalar")
            #expect(session.signature.inputs[0].shape == [])
            let output = try session.run(
                inputs: [tensor("x", .fp64, [], [(41.0).bitPattern])], outputs: [0])[0]
            #expect(output.shape == [])
            #expect(output.integers(UInt64.self).map(Double.init(bitPattern:)) == [42])
        }

        @Test func `more inputs and outputs than usual`() throws {
            let session = try session("many")
            let inputs = (0..<9).map { tensor("x\($0)", .int32, [1], [Int32(1 << $0)]) }
            let expected: [Int32] = (0..<12).map { (index: Int) -> Int32 in
                let first: Int32 = 1 << Int32(index % 9)
                let second: Int32 = 1 << Int32((index + 1) % 9)
                return first + second
            }
            let all = try session.run(inputs: inputs, outputs: Array(0..<12))
            #expect(all.map { $0.integers(Int32.self)[0] } == expected)
            let some = try session.run(inputs: inputs, outputs: [11, 0, 5, 6])
            #expect(some.map(\.name) == ["y11", "y0", "y5", "y6"])
            #expect(some.map { $0.integers(Int32.self)[0] } == [11, 0, 5, 6].map { expected[$0] })
        }

        @Test func `strings to strings`() throws {
            let session = try session("upper")
            let texts = ["straße", "", "a", String(repeating: "lang ", count: 100)]
            let output = try session.run(
                inputs: [tensor("x", [4], texts.map { Array($0.utf8) })], outputs: [0])[0]
            #expect(output.shape == [4])
            let answers = try #require(output.texts).map { String(decoding: $0, as: UTF8.self) }
            #expect(answers[1...] == ["", "A", String(repeating: "LANG ", count: 100)])
        }

        @Test func `strings whose encoding is wrong`() throws {
            let session = try session("identity-bytes")
            func refused(_ bytes: [UInt8], _ shape: Shape) -> Bool {
                let input = Tensor(
                    name: "x", datatype: .bytes, shape: shape, bytes: ByteBuffer(bytes: bytes))
                let answer = failure { () throws(EngineFailure) in
                    try session.run(inputs: [input], outputs: [0])
                }
                guard case .invalidInput(let text)? = answer else { return false }
                return text.contains("'x'")
            }
            let pair: [UInt8] = [1, 0, 0, 0, 65, 0, 0, 0, 0]
            #expect(!refused(pair, [1, 2]))
            #expect(refused(Array(pair.dropLast()), [1, 2]), "the last length is cut")
            #expect(refused(pair + [0], [1, 2]), "a byte too many")
            #expect(refused(pair, [2, 2]), "too few elements")
            #expect(refused(pair, [0, 2]), "bytes for no elements")
            #expect(refused([255, 255, 255, 255] + pair, [1, 2]), "a length beyond the end")
            #expect(refused([6, 0, 0, 0, 65, 0, 0, 0, 0], [1, 2]), "a length over the next one")
            #expect(refused([], [1 << 40, 2]), "a huge shape without bytes")
            #expect(refused(pair, [-1, -2]), "negative dimensions")
        }

        @Test func `random bytes as strings neither crash nor pass unnoticed`() throws {
            let session = try session("identity-bytes")
            let seed: UInt64 = 77
            var generator = SeededGenerator(seed: seed)
            var accepted = 0
            for round in 0..<2_000 {
                // Small lengths, so that some are right.
                let bytes = (0..<Int.random(in: 0...24, using: &generator)).map { index in
                    index % 4 == 0 ? UInt8.random(in: 0...3, using: &generator) : 0
                }
                let input = Tensor(
                    name: "x", datatype: .bytes, shape: [1, 2], bytes: ByteBuffer(bytes: bytes))
                if let outputs = try? session.run(inputs: [input], outputs: [0]) {
                    accepted += 1
                    #expect(outputs[0].bytes == input.bytes, "seed \(seed) round \(round)")
                    #expect(outputs[0].texts?.count == 2, "seed \(seed) round \(round)")
                } else {
                    #expect(input.texts?.count != 2, "seed \(seed) round \(round)")
                }
            }
            #expect(accepted > 0)
        }
    }

    @Suite struct RefusedInputTests {
        private func text(_ inputs: [Tensor], _ outputs: [Int]) throws -> String {
            let session = try session("pair")
            let answer = failure { () throws(EngineFailure) in
                try session.run(inputs: inputs, outputs: outputs)
            }
            guard case .invalidInput(let text)? = answer else {
                Issue.record("not refused: \(String(describing: answer))")
                return ""
            }
            return text
        }

        private let width = tensor("width", [2], [1, 2])
        private let height = tensor("height", [2], [1, 2])

        @Test func `each with its sentence`() throws {
            #expect(try text([width], [0]).contains("2 inputs, 1 were given"))
            #expect(try text([], [0]).contains("2 inputs, 0 were given"))
            #expect(try text([width, height, height], [0]).contains("2 inputs, 3 were given"))
            let integers = tensor("height", .int32, [2], [Int32(1), 2])
            #expect(try text([width, integers], [0]).contains("'height' is FP32, not INT32"))
            let short = Tensor(
                name: "height", datatype: .fp32, shape: [3], bytes: height.bytes)
            #expect(try text([width, short], [0]).contains("'height' of FP32 [3] has 8 bytes"))
            for shape: Shape in [[-2], [Int64.max, Int64.max], [Int64.max], [1 << 61]] {
                let huge = Tensor(name: "h", datatype: .fp32, shape: shape, bytes: height.bytes)
                #expect(try text([width, huge], [0]).contains("has 8 bytes"))
            }
            #expect(try text([width, height], []).contains("no output"))
            #expect(try text([width, height], [2]).contains("no output 2"))
            #expect(try text([width, height], [-1]).contains("no output -1"))
            #expect(try text([width, height], [1, 1]).contains("'rounded' is asked for twice"))
        }

        @Test func `a wrong dimension is the caller's mistake`() throws {
            let session = try session("linear")
            for shape: Shape in [[1, 5], [5], [1, 1, 5]] {
                let answer = failure { () throws(EngineFailure) in
                    try session.run(inputs: [tensor("x", shape, [1, 2, 3, 4, 5])], outputs: [0])
                }
                guard case .invalidInput(let text)? = answer else {
                    Issue.record("\(shape): \(String(describing: answer))")
                    continue
                }
                #expect(text.contains("x"))
            }
        }

        @Test func `a model that fails while it runs`() throws {
            let session = try session("seven")
            #expect(
                try session.run(
                    inputs: [tensor("x", [7], [Float](repeating: 1, count: 7))], outputs: [0])[0]
                    .shape == [7])
            let answer = failure { () throws(EngineFailure) in
                try session.run(inputs: [tensor("x", [2], [1, 2])], outputs: [0])
            }
            guard case .runFailed(let text)? = answer else {
                Issue.record("\(String(describing: answer))")
                return
            }
            #expect(text.contains("Reshape"))
            #expect(!text.contains("\n"))
        }

        @Test func `outputs have a limit`() throws {
            var options = OnnxSessionOptions()
            options.outputBytesMax = 4_000
            let session = try session("expand", options)
            func run(_ count: Int64) -> EngineFailure? {
                failure { () throws(EngineFailure) in
                    try session.run(
                        inputs: [tensor("x", [1], [1]), tensor("size", .int64, [1], [count])],
                        outputs: [0])
                }
            }
            #expect(run(1_000) == nil)
            guard case .runFailed(let text)? = run(1_001) else {
                Issue.record("the limit was not met")
                return
            }
            #expect(text.contains("4000") && text.contains("'y' is FP32 [1001]"))
        }

        @Test func `an activation that does not fit into memory`() throws {
            let session = try session("activation")
            func run(_ count: Int64) -> Result<[Tensor], any Error> {
                Result {
                    try session.run(
                        inputs: [tensor("x", [1], [2]), tensor("size", .int64, [1], [count])],
                        outputs: [0])
                }
            }
            #expect(try run(1_000).get()[0].floats == [2_000])
            // 4 EiB: no machine has them, so the engine's allocation fails and nothing else.
            #expect(throws: EngineFailure.self) { try run(1 << 60).get() }
            #expect(throws: EngineFailure.self) { try run(-5).get() }
            #expect(try run(1_000_000).get()[0].floats == [2_000_000])
        }
    }
}
