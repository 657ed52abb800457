// Every way a tensor can be wrong, and what the error says.

import Catalogue
import Contract
import NIOCore
import Testing

@Suite struct PrepareTests {
    private func message(
        _ signature: Signature, _ request: InferenceRequest
    ) throws -> CallFailure? {
        do {
            _ = try Samples.entry("iris", signature).prepare(request)
            return nil
        } catch let error as CallFailure {
            return error
        }
    }

    private let good = Samples.floats("X", [1, 4], [1, 2, 3, 4])

    @Test func aRightCallPasses() throws {
        let entry = try Samples.entry("iris", Samples.iris)
        let prepared = try entry.prepare(Samples.request([good], model: "iris", version: "1"))
        #expect(prepared.entry === entry)
        #expect(prepared.inputs == [good])
        #expect(prepared.outputs == [0, 1])
        #expect(prepared.byteCount == 16)
        #expect(prepared.requestID == "7")
    }

    @Test func moreRowsThanTheModelAllowsAreRefused() throws {
        var scanned = try Samples.scanned("iris", 1, Samples.iris)
        scanned.limits.batch = 2
        let entry = ModelEntry(index: 0, scanned)
        func rows(_ count: Int) -> InferenceRequest {
            Samples.request([
                Samples.floats("X", [Int64(count), 4], [Float](repeating: 1, count: count * 4))
            ])
        }
        #expect(try entry.prepare(rows(2)).byteCount == 32)
        let failure = try #require(throws: CallFailure.self) { try entry.prepare(rows(3)) }
        #expect(failure.code == .invalidArgument)
        #expect(failure.message.contains("has 3 rows, 2 are allowed"), "\(failure.message)")
        #expect(failure.message.contains("limits.batch"))
    }

    @Test func notANumberAndInfinityAreLeftAlone() throws {
        let odd = Samples.floats("X", [1, 4], [.nan, .infinity, -.infinity, 1e31])
        let prepared = try Samples.entry("iris", Samples.iris).prepare(Samples.request([odd]))
        #expect(prepared.inputs[0].bytes == odd.bytes)
    }

    @Test func noElementsAreAllowedWhereTheDimensionIsFree() throws {
        let none = Samples.floats("X", [0, 4], [])
        #expect(
            try Samples.entry("iris", Samples.iris).prepare(Samples.request([none])).byteCount == 0)
    }

    @Test func inputsComeInAnyOrder() throws {
        let words = Samples.words("words", ["ab", "", "ü"])
        let numbers = Samples.floats("numbers", [1, 2], [1, 2])
        let flags = Samples.raw("flags", .bool, [2], [0, 1])
        let scalar = Samples.raw("scalar", .int64, [], [1, 0, 0, 0, 0, 0, 0, 0])
        let entry = try Samples.entry("mixed", Samples.mixed)
        let prepared = try entry.prepare(
            Samples.request([scalar, words, flags, numbers], outputs: ["c", "a"]))
        #expect(prepared.inputs == [numbers, words, flags, scalar])
        #expect(prepared.outputs == [2, 0])
        #expect(prepared.byteCount == 8 + (4 + 2 + 4 + 4 + 2) + 2 + 8)
    }

    struct Wrong: CustomTestStringConvertible, Sendable {
        var inputs: [Tensor]
        var outputs: [String] = []
        var message: String
        var testDescription: String { message }
    }

    static let wrongs: [Wrong] = [
        Wrong(inputs: [], message: "input 'X': missing; expected FP32 [-1,4]"),
        Wrong(
            inputs: [Samples.floats("x", [1, 4], [1, 2, 3, 4])],
            message: "input 'x': unknown; the model's inputs are 'X'"),
        Wrong(
            inputs: [
                Samples.floats("X", [1, 4], [1, 2, 3, 4]),
                Samples.floats("X", [1, 4], [1, 2, 3, 4]),
            ], message: "input 'X': given twice"),
        Wrong(
            inputs: [Samples.raw("X", .fp64, [1, 4], [UInt8](repeating: 0, count: 32))],
            message: "input 'X': datatype is FP64, must be FP32"),
        Wrong(
            inputs: [Samples.floats("X", [4], [1, 2, 3, 4])],
            message: "input 'X': shape [4] does not fit [-1,4]: it has 1 dimensions, must have 2"),
        Wrong(
            inputs: [Samples.floats("X", [1, 5], [1, 2, 3, 4, 5])],
            message: "input 'X': shape [1,5] does not fit [-1,4]: dimension 1 is 5, must be 4"),
        Wrong(
            inputs: [Samples.floats("X", [-1, 4], [])],
            message:
                "input 'X': shape [-1,4] does not fit [-1,4]: dimension 0 is -1, must not be negative"
        ),
        Wrong(
            inputs: [Samples.floats("X", [.max, 4], [])],
            message:
                "input 'X': shape [9223372036854775807,4] has more elements than can be counted"
        ),
        Wrong(
            inputs: [Samples.floats("X", [1 << 60, 4], [])],
            message:
                "input 'X': 0 bytes do not fill FP32 [1152921504606846976,4]: must be more than can be counted"
        ),
        Wrong(
            inputs: [Samples.floats("X", [1, 4], [1, 2, 3])],
            message: "input 'X': 12 bytes do not fill FP32 [1,4]: must be 16"),
        Wrong(
            inputs: [Samples.raw("X", .fp32, [1, 4], [UInt8](repeating: 0, count: 17))],
            message: "input 'X': 17 bytes do not fill FP32 [1,4]: must be 16"),
        Wrong(
            inputs: [Samples.floats("X", [1, 4], [1, 2, 3, 4])], outputs: ["label", "odds"],
            message: "output 'odds': unknown; the model's outputs are 'label', 'probabilities'"),
        Wrong(
            inputs: [Samples.floats("X", [1, 4], [1, 2, 3, 4])], outputs: ["label", "label"],
            message: "output 'label': asked for twice"),
    ]

    @Test(arguments: wrongs) func theErrorNamesWhatWasWrong(_ wrong: Wrong) throws {
        let failure = try message(
            Samples.iris, Samples.request(wrong.inputs, outputs: wrong.outputs))
        #expect(failure?.message == "model 'iris' " + wrong.message)
        #expect(failure?.code == .invalidArgument)
        #expect(failure?.reason == .badTensor)
        #expect(failure?.notStarted == true)
    }

    @Test func theMessageMustNameTheSameModel() throws {
        let other = try message(Samples.iris, Samples.request([good], model: "digits"))
        #expect(other?.reason == .badMessage)
        #expect(other?.message == "the call is for model 'iris', its message names 'digits'")
        let version = try message(Samples.iris, Samples.request([good], version: "2"))
        #expect(version?.code == .invalidArgument)
        #expect(version?.message.contains("names version '2'") == true)
    }

    private static let words = Signature(
        inputs: [TensorSpecification(name: "W", datatype: .bytes, shape: [-1])],
        outputs: [TensorSpecification(name: "y", datatype: .bytes, shape: [-1])])

    static let strings: [(bytes: [UInt8], count: Int64, message: String?)] = [
        ([], 0, nil),
        ([2, 0, 0, 0, 0x61, 0x62, 0, 0, 0, 0], 2, nil),
        ([0, 0, 0, 0], 0, "1 byte strings do not fill shape [0]: must be 0"),
        ([], 1, "0 byte strings do not fill shape [1]: must be 1"),
        ([1, 0, 0], 1, "element 0 has 3 bytes where a length of 4 bytes must be"),
        ([2, 0, 0, 0, 0x61], 1, "element 0 says it has 2 bytes, 1 are left"),
        ([0xFF, 0xFF, 0xFF, 0xFF], 1, "element 0 says it has 4294967295 bytes, 0 are left"),
        ([0, 0, 0, 0, 9], 1, "element 1 has 1 bytes where a length of 4 bytes must be"),
    ]

    @Test(arguments: strings.indices) func byteStrings(_ index: Int) throws {
        let (bytes, count, expected) = PrepareTests.strings[index]
        let failure = try message(
            PrepareTests.words,
            Samples.request([Samples.raw("W", .bytes, [count], bytes)]))
        #expect(failure?.message == expected.map { "model 'iris' input 'W': " + $0 })
    }

    @Test func booleansAreZeroOrOne() throws {
        let signature = Signature(
            inputs: [TensorSpecification(name: "f", datatype: .bool, shape: [-1])],
            outputs: Samples.iris.outputs)
        let right = Samples.raw("f", .bool, [3], [0, 1, 1])
        #expect(try message(signature, Samples.request([right])) == nil)
        let wrong = Samples.raw("f", .bool, [3], [0, 7, 1])
        #expect(
            try message(signature, Samples.request([wrong]))?.message
                == "model 'iris' input 'f': holds the byte 7, BOOL must be 0 or 1")
    }

    @Test func onlyTheReadableBytesCount() throws {
        var bytes = ByteBuffer(bytes: [9, 9, 9] + [UInt8](repeating: 0, count: 16))
        bytes.moveReaderIndex(forwardBy: 3)
        let tensor = Tensor(name: "X", datatype: .fp32, shape: [1, 4], bytes: bytes)
        #expect(try message(Samples.iris, Samples.request([tensor])) == nil)
        var strings = ByteBuffer(bytes: [9, 1, 0, 0, 0, 0x61])
        strings.moveReaderIndex(forwardBy: 1)
        let word = Tensor(name: "W", datatype: .bytes, shape: [1], bytes: strings)
        #expect(try message(PrepareTests.words, Samples.request([word])) == nil)
    }

    @Test func hostileNamesAreShownTame() throws {
        let failure = try message(
            Samples.iris,
            Samples.request([
                Samples.floats(
                    "X\r\n\u{1b}[31m" + String(repeating: "y", count: 9_999), [1, 4], [])
            ]))
        #expect(failure?.message.contains("'X???[31myyy") == true)
        #expect((failure?.message.utf8.count ?? 0) < 300)
    }

    /// Whatever comes in, it is either refused as INVALID_ARGUMENT or really fits the signature.
    @Test func fuzz() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("PrepareTests.fuzz seed \(seed)")
        var random = SeededRandom(seed: seed)
        let entry = try Samples.entry("mixed", Samples.mixed)
        let names = ["numbers", "words", "flags", "scalar", "other"]
        let dimensions: [Int64] = [-1, 0, 1, 2, 3, 4, .max, .min, 1 << 33]
        var passed = 0
        for _ in 0..<20_000 {
            var inputs = [
                Samples.floats("numbers", [1, 2], [1, 2]), Samples.words("words", ["a", "bc"]),
                Samples.raw("flags", .bool, [2], [0, 1]),
                Samples.raw("scalar", .int64, [], [0, 0, 0, 0, 0, 0, 0, 1]),
            ]
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                let victim = Int.random(in: 0..<4, using: &random)
                switch Int.random(in: 0..<5, using: &random) {
                case 0: inputs[victim].name = names[Int.random(in: 0..<5, using: &random)]
                case 1:
                    inputs[victim].datatype =
                        ElementType.allCases.randomElement(using: &random) ?? .bool
                case 2:
                    let shape = (0..<Int.random(in: 0...8, using: &random)).map { _ in
                        dimensions[Int.random(in: 0..<dimensions.count, using: &random)]
                    }
                    inputs[victim].shape = Shape(shape) ?? []
                case 3:
                    inputs[victim].bytes = ByteBuffer(
                        bytes: (0..<Int.random(in: 0...24, using: &random)).map { _ in
                            UInt8.random(in: 0...3, using: &random)
                        })
                default: inputs.shuffle(using: &random)
                }
            }
            do {
                let prepared = try entry.prepare(Samples.request(inputs))
                passed += 1
                #expect(prepared.inputs.map(\.name) == Samples.mixed.inputs.map(\.name))
                for (tensor, declared) in zip(prepared.inputs, Samples.mixed.inputs) {
                    let elements = try #require(tensor.shape.elementCount)
                    #expect(tensor.datatype == declared.datatype)
                    #expect(tensor.shape.rank == declared.shape.rank)
                    if let width = tensor.datatype.width {
                        #expect(tensor.bytes.readableBytes == elements * width, "seed \(seed)")
                    }
                }
            } catch let error as CallFailure {
                #expect(error.code == .invalidArgument, "seed \(seed)")
            }
        }
        #expect(passed > 1_000)
    }

    /// Not a timed test: prints what the check of one small input costs.
    @Test func costOfOneSmallInput() throws {
        let entry = try Samples.entry("iris", Samples.iris)
        let request = Samples.request([good], model: "iris")
        let start = Instant.now()
        var bytes = 0
        for _ in 0..<200_000 { bytes += try entry.prepare(request).byteCount }
        let each = Instant.now().since(start).count / 200_000
        print("prepare: \(each) ns")
        #expect(bytes == 200_000 * 16)
    }
}
