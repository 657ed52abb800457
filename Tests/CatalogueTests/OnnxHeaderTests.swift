// Signatures from the bytes of a model, and hostile bytes that must end in a fault.

import Catalogue
import Contract
import Testing

/// Writes protobuf by hand, so that the tests do not depend on anyone's reader.
struct ProtobufWriter {
    var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func number(_ field: UInt64, _ value: UInt64) {
        varint(field << 3)
        varint(value)
    }

    mutating func block(_ field: UInt64, _ content: [UInt8]) {
        varint(field << 3 | 2)
        varint(UInt64(content.count))
        bytes += content
    }

    mutating func text(_ field: UInt64, _ text: String) { block(field, Array(text.utf8)) }

    static func message(_ fill: (inout ProtobufWriter) -> Void) -> [UInt8] {
        var writer = ProtobufWriter()
        fill(&writer)
        return writer.bytes
    }
}

enum OnnxSamples {
    enum Dimension {
        case size(Int64)
        case named(String)
        case unknown
    }

    static func value(
        _ name: String, element: UInt64, _ dimensions: [Dimension]?, kind: UInt64 = 1
    ) -> [UInt8] {
        .init(
            ProtobufWriter.message { value in
                value.text(1, name)
                value.block(
                    2,
                    ProtobufWriter.message { type in
                        type.block(
                            kind,
                            ProtobufWriter.message { tensor in
                                tensor.number(1, element)
                                guard let dimensions else { return }
                                tensor.block(2, shape(dimensions))
                            })
                    })
            })
    }

    static func shape(_ dimensions: [Dimension]) -> [UInt8] {
        ProtobufWriter.message { shape in
            for dimension in dimensions {
                shape.block(
                    1,
                    ProtobufWriter.message { part in
                        switch dimension {
                        case .size(let size): part.number(1, UInt64(bitPattern: size))
                        case .named(let name): part.text(2, name)
                        case .unknown: break
                        }
                    })
            }
        }
    }

    static func initializer(
        _ name: String, weights: Int = 0, location: String? = nil
    ) -> [UInt8] {
        ProtobufWriter.message { tensor in
            tensor.number(1, UInt64(weights))
            tensor.number(2, 1)
            if weights > 0 { tensor.block(9, [UInt8](repeating: 0xFF, count: weights)) }
            if let location {
                tensor.block(
                    13,
                    ProtobufWriter.message { entry in
                        entry.text(1, "location")
                        entry.text(2, location)
                    })
                tensor.block(
                    13,
                    ProtobufWriter.message { entry in
                        entry.text(1, "offset")
                        entry.text(2, "4096")
                    })
                tensor.number(14, 1)
            }
            tensor.text(8, name)
        }
    }

    static func model(_ fill: (inout ProtobufWriter) -> Void) -> [UInt8] {
        ProtobufWriter.message { model in
            model.number(1, 8)
            model.text(2, "test")
            model.block(7, ProtobufWriter.message(fill))
            model.block(8, ProtobufWriter.message { $0.number(2, 17) })
        }
    }

    /// The same signature as ``Samples/iris``, with a defaulted input and weights.
    static func iris(location: String? = nil, weights: Int = 64) -> [UInt8] {
        model { graph in
            graph.block(1, [0x0A, 0x01, 0x61])
            graph.text(2, "iris")
            graph.block(11, value("X", element: 1, [.named("N"), .size(4)]))
            graph.block(11, value("W", element: 1, [.size(4), .size(3)]))
            graph.block(5, initializer("W", weights: weights, location: location))
            graph.block(12, value("label", element: 7, [.unknown]))
            graph.block(12, value("probabilities", element: 1, [.named("N"), .size(3)]))
        }
    }
}

/// Counts what is read.
private final class Counting: RandomAccess {
    let inner: BytesInMemory
    var bytesRead = 0

    init(_ bytes: [UInt8]) { inner = BytesInMemory(bytes) }

    var byteCount: UInt64 { inner.byteCount }
    func read(at offset: UInt64, count: Int) throws -> [UInt8] {
        bytesRead += count
        return try inner.read(at: offset, count: count)
    }
}

/// A file said to be huge: zeros but for its head and its tail.
private struct Hollow: RandomAccess {
    let head: [UInt8]
    let gap: UInt64
    let tail: [UInt8]

    var byteCount: UInt64 { UInt64(head.count) + gap + UInt64(tail.count) }
    func read(at offset: UInt64, count: Int) throws -> [UInt8] {
        (offset..<(offset + UInt64(count))).map { place in
            if place < UInt64(head.count) { return head[Int(place)] }
            let behind = place - UInt64(head.count)
            return behind < gap ? 0 : tail[Int(behind - gap)]
        }
    }
}

@Suite struct OnnxHeaderTests {
    private func fault(_ bytes: [UInt8]) -> String? {
        do {
            _ = try OnnxHeader(BytesInMemory(bytes))
            return nil
        } catch {
            return error.message
        }
    }

    @Test func theSignatureIsRead() throws {
        let header = try OnnxHeader(BytesInMemory(OnnxSamples.iris()))
        #expect(header.signature == Samples.iris)
        #expect(header.externalFiles.isEmpty)
    }

    @Test func weightsAreSkippedNotRead() throws {
        let source = Counting(OnnxSamples.iris(weights: 8 << 20))
        #expect(try OnnxHeader(source).signature == Samples.iris)
        #expect(source.bytesRead < 20_000)
    }

    @Test func aFileOfGigabytesIsSkippedThrough() throws {
        let gap: UInt64 = 3 << 30
        let inputs = ProtobufWriter.message { graph in
            graph.block(11, OnnxSamples.value("X", element: 1, [.named("N"), .size(4)]))
            graph.block(12, OnnxSamples.value("label", element: 7, [.unknown]))
            graph.block(12, OnnxSamples.value("probabilities", element: 1, [.unknown, .size(3)]))
        }
        let raw = ProtobufWriter.message {
            $0.varint(9 << 3 | 2)
            $0.varint(gap)
        }
        let initializer = ProtobufWriter.message {
            $0.varint(5 << 3 | 2)
            $0.varint(UInt64(raw.count) + gap)
        }
        let graph = UInt64(initializer.count + raw.count + inputs.count) + gap
        let head = ProtobufWriter.message {
            $0.varint(7 << 3 | 2)
            $0.varint(graph)
            $0.bytes += initializer + raw
        }
        let header = try OnnxHeader(Hollow(head: head, gap: gap, tail: inputs))
        #expect(header.signature == Samples.iris)
    }

    @Test func externalFilesAreNamedAsTheyStand() throws {
        let bytes = OnnxSamples.model { graph in
            for (name, place) in [("a", "w.bin"), ("b", "../x"), ("c", "w.bin")] {
                graph.block(5, OnnxSamples.initializer(name, location: place))
            }
            graph.block(12, OnnxSamples.value("y", element: 1, nil))
        }
        let header = try OnnxHeader(BytesInMemory(bytes))
        #expect(header.externalFiles == ["../x", "w.bin"])
        #expect(header.signature.outputs[0].shape == [-1])
    }

    @Test func everyDatatype() throws {
        let known: [(UInt64, ElementType)] = [
            (1, .fp32), (2, .uint8), (3, .int8), (4, .uint16), (5, .int16), (6, .int32),
            (7, .int64), (8, .bytes), (9, .bool), (10, .fp16), (11, .fp64), (12, .uint32),
            (13, .uint64), (16, .bf16),
        ]
        for (number, datatype) in known {
            let bytes = OnnxSamples.model {
                $0.block(12, OnnxSamples.value("y", element: number, []))
            }
            let output = try OnnxHeader(BytesInMemory(bytes)).signature.outputs[0]
            #expect(output == TensorSpecification(name: "y", datatype: datatype, shape: []))
        }
        for number: UInt64 in [0, 14, 15, 17, 20, 99] {
            let bytes = OnnxSamples.model {
                $0.block(12, OnnxSamples.value("y", element: number, []))
            }
            #expect(
                fault(bytes)
                    == "output 'y' has ONNX element type \(number), which has no datatype here")
        }
    }

    @Test func negativeSizesAreFree() throws {
        let bytes = OnnxSamples.model {
            $0.block(11, OnnxSamples.value("x", element: 1, [.size(-1), .size(-7), .size(0)]))
            $0.block(12, OnnxSamples.value("y", element: 1, []))
        }
        #expect(try OnnxHeader(BytesInMemory(bytes)).signature.inputs[0].shape == [-1, -1, 0])
    }

    static let output = OnnxSamples.value("y", element: 1, [])

    static let wrongs: [(bytes: [UInt8], says: String)] = [
        ([], "it has no graph"),
        (Array("hello, this is no model".utf8), "model.onnx"),
        (Array("PK\u{3}\u{4}".utf8), "model.onnx"),
        (OnnxSamples.model { _ in }, "has no outputs"),
        (
            OnnxSamples.model { $0.block(12, output) }
                + OnnxSamples.model { $0.block(12, output) }, "two graphs"
        ),
        (Array(OnnxSamples.iris().dropLast(5)), "cut off"),
        (Array(OnnxSamples.iris().prefix(60)), "cut off"),
        (
            OnnxSamples.model {
                $0.block(11, OnnxSamples.value("x", element: 1, nil))
                $0.block(12, output)
            }, "input 'x' has no shape"
        ),
        (
            OnnxSamples.model {
                $0.block(
                    11,
                    OnnxSamples.value(
                        "x", element: 1, [OnnxSamples.Dimension](repeating: .unknown, count: 9)))
                $0.block(12, output)
            }, "input 'x' has more than 8 dimensions"
        ),
        (
            OnnxSamples.model {
                $0.block(12, output)
                $0.block(12, OnnxSamples.value("z", element: 1, [], kind: 4))
            }, "output 'z' is a sequence, not a tensor (convert without ZipMap)"
        ),
        (
            OnnxSamples.model { $0.block(12, OnnxSamples.value("z", element: 1, [], kind: 5)) },
            "output 'z' is a map"
        ),
        (
            OnnxSamples.model { $0.block(12, OnnxSamples.value("z", element: 1, [], kind: 9)) },
            "output 'z' is an optional value"
        ),
        (
            OnnxSamples.model { $0.block(12, ProtobufWriter.message { $0.text(1, "z") }) },
            "output 'z' has no type"
        ),
        (
            OnnxSamples.model { for _ in 0..<2 { $0.block(12, output) } },
            "an output without a name of its own"
        ),
        (
            OnnxSamples.model {
                $0.block(12, OnnxSamples.value(String(repeating: "n", count: 600), element: 1, []))
            }, "a name of 600 bytes, 512 are allowed"
        ),
        (
            OnnxSamples.model { for _ in 0..<257 { $0.block(12, output) } },
            "more than 256 outputs"
        ),
        ([0x3B], "damaged"),
        (
            [0x3A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
            "longer than its whole"
        ),
        ([UInt8](repeating: 0xFF, count: 64), "damaged"),
        ([0x00], "damaged"),
    ]

    @Test(arguments: wrongs.indices) func badModels(_ index: Int) {
        let (bytes, says) = OnnxHeaderTests.wrongs[index]
        let text = fault(bytes)
        #expect(text?.contains(says) == true, "\(text ?? "no fault")")
    }

    @Test func namesThatAreNotTextAreRefused() {
        let bytes = OnnxSamples.model {
            $0.block(12, ProtobufWriter.message { $0.block(1, [0xC3, 0x28]) })
        }
        #expect(fault(bytes)?.contains("not UTF-8") == true)
    }

    @Test func manySmallPartsEndAtTheLimit() {
        // Four million empty nodes and one more.
        let bytes = OnnxSamples.model { graph in
            graph.bytes.reserveCapacity(9_000_000)
            for _ in 0...OnnxHeader.stepsMax { graph.bytes += [0x0A, 0x00] }
        }
        #expect(fault(bytes) == "model.onnx has more parts than are read")
    }

    @Test func fuzz() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("OnnxHeaderTests.fuzz seed \(seed)")
        var random = SeededRandom(seed: seed)
        let right = OnnxSamples.iris(location: "w.bin")
        var faults = 0
        for _ in 0..<20_000 {
            var bytes = right
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
                case 2 where bytes.count > 1: bytes.removeLast(bytes.count - place)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: place)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            if let header = try? OnnxHeader(BytesInMemory(bytes)) {
                #expect(header.signature.inputs.count <= 256, "seed \(seed)")
            } else {
                faults += 1
            }
        }
        #expect(faults > 5_000)
    }

    @Test func noise() {
        let seed = UInt64.random(in: 0...UInt64.max)
        print("OnnxHeaderTests.noise seed \(seed)")
        var random = SeededRandom(seed: seed)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...80, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            #expect(fault(bytes) != nil, "seed \(seed)")
        }
    }
}
