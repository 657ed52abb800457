import Foundation
import NIOCore
import SluiceClient
import Testing

@Suite struct TensorTests {
    private func roundTrip<Element: TensorElement & Equatable>(
        _ values: [Element], _ datatype: Datatype
    ) throws {
        let tensor = try Tensor("x", shape: [1, values.count], values)
        #expect(tensor.datatype == datatype)
        #expect(tensor.count == values.count)
        #expect(try tensor.values(as: Element.self) == values)
        let again = try Tensor(
            "x", datatype: datatype, shape: tensor.shape, rawContents: tensor.rawContents)
        #expect(again == tensor)
        if let size = datatype.elementBytes {
            #expect(tensor.rawContents.count == size * values.count)
        }
    }

    @Test func everyTypeComesBack() throws {
        try roundTrip([true, false, true], .bool)
        try roundTrip([.min, 0, .max] as [Int8], .int8)
        try roundTrip([.min, 0, .max] as [Int16], .int16)
        try roundTrip([.min, 0, .max] as [Int32], .int32)
        try roundTrip([.min, 0, .max] as [Int64], .int64)
        try roundTrip([0, 7, .max] as [UInt8], .uint8)
        try roundTrip([0, 7, .max] as [UInt16], .uint16)
        try roundTrip([0, 7, .max] as [UInt32], .uint32)
        try roundTrip([0, 7, .max] as [UInt64], .uint64)
        try roundTrip([-0.0, 1.5, .infinity] as [Float], .fp32)
        try roundTrip([-0.0, 1.5, .infinity] as [Double], .fp64)
        #if !((os(macOS) || targetEnvironment(macCatalyst)) && arch(x86_64))
            try roundTrip([-0.0, 1.5, .infinity] as [Float16], .fp16)
        #endif
        try roundTrip([BFloat16(1.5), BFloat16(bitPattern: 0xFFFF)], .bf16)
        try roundTrip(["", "Köln", "\u{0}"], .bytes)
        try roundTrip([[], [1, 2, 3]] as [[UInt8]], .bytes)
        try roundTrip([Data(), Data([1, 2, 3])], .bytes)
    }

    @Test func numbersAreLittleEndian() throws {
        #expect(try Tensor("x", [0x0102_0304] as [Int32]).rawContents == [4, 3, 2, 1])
        #expect(try Tensor("x", [1] as [Float]).rawContents == [0, 0, 0x80, 0x3F])
        #expect(try Tensor("x", ["ab"]).rawContents == [2, 0, 0, 0, 97, 98])
    }

    @Test func notANumberKeepsItsBits() throws {
        let strange = Float(bitPattern: 0x7FC0_1234)
        let tensor = try Tensor("x", [strange])
        #expect(try tensor.values(as: Float.self)[0].bitPattern == 0x7FC0_1234)
    }

    static let rounded: [(UInt32, UInt16)] = [
        (0x3F80_0000, 0x3F80), (0xC000_0000, 0xC000), (0x3F80_8000, 0x3F80),
        (0x3F81_8000, 0x3F82), (0x7F80_0000, 0x7F80), (0x7F7F_FFFF, 0x7F80),
    ]

    @Test(arguments: rounded)
    func brainFloatsRoundToEven(_ bits: UInt32, _ rounded: UInt16) {
        #expect(BFloat16(Float(bitPattern: bits)).bitPattern == rounded)
    }

    @Test func brainFloatKeepsNotANumber() {
        #expect(BFloat16(.nan).float.isNaN)
        #expect(BFloat16(Float(bitPattern: 0x7F80_0001)).float.isNaN)
    }

    @Test func theShapeMustHoldTheValues() throws {
        let values: [Float] = [1, 2, 3]
        let error = #expect(throws: SluiceError.self) { try Tensor("X", shape: [2, 2], values) }
        #expect(error?.code == .invalidArgument)
        #expect(
            error?.message == "Tensor 'X': shape [2, 2] holds 4 elements, but there are 3.")
        #expect(throws: SluiceError.self) { try Tensor("X", shape: [-1, 3], values) }
        #expect(throws: SluiceError.self) { try Tensor("X", shape: [.max, 2], values) }
        #expect(throws: SluiceError.self) {
            try Tensor("X", datatype: .fp32, shape: [.max / 2], rawContents: [])
        }
        #expect(try Tensor("X", shape: [], [1] as [Float]).count == 1)
        #expect(try Tensor("X", shape: [0, 5], [] as [Float]).count == 0)
    }

    @Test func rawContentsMustFillTheShape() {
        #expect(throws: SluiceError.self) {
            try Tensor("X", datatype: .int16, shape: [2], rawContents: [0, 0, 0])
        }
        #expect(throws: SluiceError.self) {
            try Tensor("X", datatype: .bytes, shape: [1], rawContents: [2, 0, 0, 0, 1])
        }
        #expect(throws: SluiceError.self) {
            try Tensor("X", datatype: .bytes, shape: [2], rawContents: [0, 0, 0, 0])
        }
    }

    @Test func rowsMustBeEqual() throws {
        let matrix = try Tensor("X", rows: [[1, 2], [3, 4], [5, 6]] as [[Int64]])
        #expect(matrix.shape == [3, 2])
        #expect(try matrix.rows(as: Int64.self) == [[1, 2], [3, 4], [5, 6]])
        #expect(throws: SluiceError.self) { try Tensor("X", rows: [[1, 2], [3]] as [[Int64]]) }
        #expect(throws: SluiceError.self) { try Tensor("X", [1] as [Int64]).rows(as: Int64.self) }
        #expect(try Tensor("X", rows: [] as [[Float]]).shape == [0, 0])
    }

    @Test func nothingIsConverted() throws {
        let tensor = try Tensor("X", [1, 2] as [Float])
        let error = #expect(throws: SluiceError.self) { try tensor.values(as: Double.self) }
        #expect(error?.message == "Tensor 'X': its elements are FP32, not FP64 (Double).")
        #expect(throws: SluiceError.self) { try tensor.strings() }
        let blob = try Tensor("X", [[0xFF]] as [[UInt8]])
        #expect(throws: SluiceError.self) { try blob.strings() }
        #expect(try blob.blobs() == [[0xFF]])
    }

    @Test func aTensorCanBeRenamed() throws {
        let tensor = try Tensor("a", [1] as [Float])
        #expect(tensor.renamed("b").name == "b")
        #expect(tensor.renamed("b").rawContents == tensor.rawContents)
        #expect("\(tensor)" == "a: FP32 [1]")
    }

    @Test func brokenElementsNeverCrash() {
        var generator = SeededGenerator(0x7E45)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...24, using: &generator)).map { _ in
                UInt8(truncatingIfNeeded: Int.random(in: 0...6, using: &generator))
            }
            let count = Int.random(in: 0...6, using: &generator)
            guard
                let tensor = try? Tensor(
                    "x", datatype: .bytes, shape: [count], rawContents: bytes)
            else { continue }
            #expect((try? tensor.blobs().count) == count)
        }
    }
}
