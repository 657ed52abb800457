// Every datatype goes through the engine and comes back bit for bit.

import Contract
import NIOCore
import OnnxRuntime
import Testing

extension OnnxRuntimeTests {
    @Suite struct DatatypeTests {
        /// A tensor [rows, 2] with random elements; booleans are 0 and 1, strings hold zeros and broken UTF-8.
        private func random(
            _ datatype: ElementType, rows: Int, _ generator: inout SeededGenerator
        ) -> Tensor {
            let shape: Shape = [Int64(rows), 2]
            guard let width = datatype.width else {
                let texts = (0..<2 * rows).map { _ in
                    (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                        UInt8.random(in: 0...255, using: &generator)
                    }
                }
                return tensor("x", shape, texts)
            }
            let range: ClosedRange<UInt8> = datatype == .bool ? 0...1 : 0...255
            let bytes = (0..<2 * rows * width).map { _ in UInt8.random(in: range, using: &generator)
            }
            return tensor("x", datatype, shape, bytes)
        }

        private func roundTrip(_ input: Tensor, _ session: OnnxSession) throws {
            let outputs = try session.run(inputs: [input], outputs: [0])
            let output = try #require(outputs.first)
            #expect(outputs.count == 1)
            #expect(output.name == "y")
            #expect(output.datatype == input.datatype)
            #expect(output.shape == input.shape)
            #expect(output.bytes == input.bytes, "\(input.datatype) \(input.shape)")
        }

        @Test(arguments: ElementType.allCases)
        func `comes back as it went in`(_ datatype: ElementType) throws {
            let session = try session("identity-\(datatype.name.lowercased())")
            #expect(session.signature.inputs[0].datatype == datatype)
            #expect(session.signature.inputs[0].shape == [-1, 2])
            var generator = SeededGenerator(seed: 1)
            for rows in [1, 2, 3, 7, 64, 1_000] {
                try roundTrip(random(datatype, rows: rows, &generator), session)
            }
        }

        @Test(arguments: ElementType.allCases)
        func `zero elements`(_ datatype: ElementType) throws {
            let session = try session("identity-\(datatype.name.lowercased())")
            let empty = Tensor(name: "x", datatype: datatype, shape: [0, 2], bytes: ByteBuffer())
            try roundTrip(empty, session)
        }

        @Test(arguments: ElementType.allCases)
        func `bytes at any address`(_ datatype: ElementType) throws {
            let session = try session("identity-\(datatype.name.lowercased())")
            var generator = SeededGenerator(seed: 2)
            for distance in 0...17 {
                // Small ones are copied to the stack, large ones to the heap.
                for rows in [1, 5, 500] {
                    let input = random(datatype, rows: rows, &generator)
                    try roundTrip(input.shifted(by: distance), session)
                }
            }
        }

        @Test func `the bytes received are not changed by a run`() throws {
            let session = try session("linear")
            let input = tensor("x", [1, 4], [1, 2, 3, 4])
            let before = input.bytes
            for distance in 0...4 {
                _ = try session.run(inputs: [input.shifted(by: distance)], outputs: [0])
            }
            #expect(input.bytes == before)
        }
    }
}
