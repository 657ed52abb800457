// What a [1,3,224,224] image costs as JSON, printed; with SLUICE_BENCH set, in release builds.

import Contract
import Foundation
import NIOCore
import OpenInference
import Testing

@Suite(.enabled(if: ProcessInfo.processInfo.environment["SLUICE_BENCH"] != nil), .serialized)
struct BenchmarkTests {
    private static let count = 3 * 224 * 224

    /// The best of many rounds: what else the machine does is not counted.
    private func measure(_ name: String, elements: Int, _ body: () throws -> Void) rethrows
        -> Double
    {
        var best = Duration.seconds(3_600)
        for _ in 0..<40 { best = min(best, try ContinuousClock().measure(body)) }
        let nanoseconds = best / .nanoseconds(1)
        let each = nanoseconds / Double(elements)
        print("\(name): \(nanoseconds / 1e6) ms, \(each) ns an element")
        return each
    }

    private func request(_ datatype: String, _ elements: [String]) -> ByteBuffer {
        ByteBuffer(
            string: one(datatype, "[1,3,224,224]", "[" + elements.joined(separator: ",") + "]"))
    }

    /// Reads and writes one image; nanoseconds an element.
    private func cost(_ datatype: String, _ elements: [String]) throws -> (
        read: Double, write: Double
    ) {
        let body = request(datatype, elements)
        let limits = DocumentLimits()
        var document = try InferenceDocument.decode(body, headerLength: nil, limits: limits)
        let read = try measure("\(datatype) read", elements: BenchmarkTests.count) {
            document = try InferenceDocument.decode(body, headerLength: nil, limits: limits)
        }
        let reply = InferenceReply(
            model: "m", version: "1", id: "", outputs: document.request.inputs)
        var size = 0
        let write = try measure("\(datatype) write", elements: BenchmarkTests.count) {
            size = try InferenceAnswer.encode(reply, for: AnswerForm()).byteCount
        }
        #expect(size > BenchmarkTests.count)
        return (read, write)
    }

    @Test func anImage() throws {
        let pixels = (0..<BenchmarkTests.count).map { _ in Float.random(in: -3..<3) }
        let floats = try cost("FP32", pixels.map(\.description))
        _ = try cost("FP32", pixels.map { Double($0).description })
        _ = try cost("FP64", pixels.map { _ in Double.random(in: -1..<1).description })
        _ = try cost("INT64", pixels.map { _ in String(Int64.random(in: .min ... .max)) })
        // Far above what it takes (25 and 40), far below what careless code takes.
        #expect(floats.read < rounds(debug: 100_000, release: 200).asDouble)
        #expect(floats.write < rounds(debug: 100_000, release: 400).asDouble)
    }

    @Test func aRowOfIris() throws {
        let body = ByteBuffer(
            string: #"{"id":"1",\#(one("FP32", "[1,4]", "[5.1,3.5,1.4,0.2]").dropFirst())"#)
        let limits = DocumentLimits()
        let each = try measure("iris request", elements: 1_000) {
            for _ in 0..<1_000 {
                _ = try InferenceDocument.decode(body, headerLength: nil, limits: limits)
            }
        }
        let outputs = [
            tensor(.int64, [1], [UInt8](repeating: 0, count: 8), name: "label"),
            tensor(.fp32, [1, 3], [UInt8](repeating: 0x3E, count: 12), name: "probabilities"),
        ]
        let reply = InferenceReply(model: "iris", version: "1", id: "1", outputs: outputs)
        _ = try measure("iris answer", elements: 1_000) {
            for _ in 0..<1_000 { _ = try InferenceAnswer.encode(reply, for: AnswerForm()) }
        }
        #expect(each < rounds(debug: 10_000_000, release: 50_000).asDouble)
    }
}

extension Int {
    fileprivate var asDouble: Double { Double(self) }
}
