// What is written reads back as the same bytes; and nothing that anybody sends does harm.

import Contract
import NIOCore
import OpenInference
import Testing

@Suite struct RoundTripTests {
    /// A random tensor that has a JSON form.
    private func tensor(_ random: inout Seeded, _ name: String) -> Tensor {
        let types = ElementType.allCases.filter { $0 != .fp16 && $0 != .bf16 }
        let datatype = types[random.below(types.count)]
        var shape = Shape()
        for _ in 0..<random.below(5) {
            _ = shape.append(Int64(random.oneIn(12) ? 0 : 1 + random.below(5)))
        }
        var bytes = ByteBuffer()
        for _ in 0..<(shape.elementCount ?? 0) {
            switch datatype {
            case .bool: bytes.writeInteger(UInt8(random.below(2)))
            case .bytes:
                let text = random.text()
                bytes.writeInteger(UInt32(text.utf8.count), endianness: .little)
                bytes.writeString(text)
            case .fp32:
                var bits = UInt32(truncatingIfNeeded: random.next())
                while !Float(bitPattern: bits).isFinite {
                    bits = UInt32(truncatingIfNeeded: random.next())
                }
                bytes.writeInteger(bits, endianness: .little)
            case .fp64:
                var bits = random.next()
                while !Double(bitPattern: bits).isFinite { bits = random.next() }
                bytes.writeInteger(bits, endianness: .little)
            default:
                for _ in 0..<(datatype.width ?? 0) {
                    bytes.writeInteger(UInt8(truncatingIfNeeded: random.next()))
                }
            }
        }
        return Tensor(name: name, datatype: datatype, shape: shape, bytes: bytes)
    }

    /// An answer's outputs as a request's inputs.
    private func asRequest(_ json: String) -> String {
        json.replacing(#""outputs":["#, with: #""inputs":["#, maxReplacements: 1)
    }

    /// Flat data as nested as its shape.
    private func nested(_ elements: [String], _ dimensions: ArraySlice<Int64>) -> String {
        guard let count = dimensions.first else { return elements.joined() }
        let size = count == 0 ? 0 : elements.count / Int(count)
        let parts = (0..<Int(count)).map { index in
            nested(Array(elements[(index * size)..<((index + 1) * size)]), dimensions.dropFirst())
        }
        return "[" + parts.joined(separator: ", ") + "]"
    }

    @Test func everyTensorComesBack() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        for round in 0..<rounds(debug: 150, release: 20_000) {
            let tensors = (0..<random.below(4)).map { tensor(&random, "t\($0)") }
            let names = tensors.filter { _ in random.oneIn(3) }.map(\.name)
            let isBase64 = random.oneIn(3)
            let wishes = tensors.map { wish in
                RequestedOutput(
                    wish.name, binary: names.contains(wish.name),
                    isBase64: isBase64 && wish.datatype == .bytes)
            }
            let (json, binary, length) = try encoded(
                tensors, form: AnswerForm(outputs: wishes), id: "é")
            let text = asRequest(json)
            let header = length == nil ? nil : text.utf8.count
            let back = try decoded(text, binary: binary, headerLength: header)
            #expect(back.request.inputs == tensors, "seed \(seed), round \(round)")
            #expect(back.request.id == "é")
        }
    }

    @Test func nestedDataIsTheSameAsFlat() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        for round in 0..<rounds(debug: 100, release: 5_000) {
            var one = tensor(&random, "x")
            while one.datatype == .bytes { one = tensor(&random, "x") }
            let json = asRequest(try encoded([one]).json)
            let start = try #require(json.firstRange(of: "\"data\":["))
            let flat = json[start.upperBound...].dropLast(4).split(separator: ",").map(String.init)
            let data = nested(flat, one.shape.dimensions[...])
            let text = json[..<start.lowerBound] + "\"data\":" + data + "}]}"
            #expect(
                try decoded(String(text)).request.inputs == [one],
                "\(text), seed \(seed), round \(round)")
        }
    }

    @Test func mutationsNeverDoHarm() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        var limits = DocumentLimits()
        limits.messageBytes = 4_096
        let pieces = [
            "[", "]", "{", "}", ",", ":", "\"", "\\u", "\\ud800", "-", "e", ".", "1e999", "NaN",
            "null", "true",
            "9223372036854775808", "[[", "]]", "\"data\":", "\"shape\":[4294967296]",
            "binary_data_size", "\u{0}",
            "\u{FEFF}", "99999999999999999999999999999999", "0",
        ].map { Array($0.utf8) }
        var taken = 0
        for _ in 0..<rounds(debug: 3_000, release: 200_000) {
            let tensors = (0..<(1 + random.below(3))).map { tensor(&random, "t\($0)") }
            let form = AnswerForm(binaryOutput: random.oneIn(3))
            let (json, binary, length) = try encoded(tensors, form: form)
            var text = Array(asRequest(json).utf8)
            for _ in 0..<(1 + random.below(3)) {
                let at = random.below(text.count + 1)
                switch random.below(4) {
                case 0: text.insert(contentsOf: pieces[random.below(pieces.count)], at: at)
                case 1: if at < text.count { text[at] = UInt8(random.below(256)) }
                case 2:
                    text.removeSubrange(
                        min(at, text.count)..<min(text.count, at + 1 + random.below(9)))
                default: if text.count > 1 { text.removeLast(random.below(text.count)) }
                }
            }
            let body = ByteBuffer(bytes: text + binary)
            do {
                let header =
                    length == nil ? nil : text.count + (random.oneIn(4) ? random.below(5) - 2 : 0)
                let document = try InferenceDocument.decode(
                    body, headerLength: header, limits: limits)
                taken += 1
                let size = document.request.inputs.reduce(0) { $0 + $1.bytes.readableBytes }
                #expect(size <= 2 * limits.messageBytes, "seed \(seed)")
                for input in document.request.inputs {
                    guard let width = input.datatype.width else { continue }
                    let isFull =
                        input.shape.elementCount.map { $0 * width } == input.bytes.readableBytes
                    if !isFull { Issue.record("\(input) is not full, seed \(seed)") }
                }
            } catch {
                #expect(error.message.utf8.count < 600, "seed \(seed)")
            }
        }
        #expect(taken > 0, "some mutations leave a request, seed \(seed)")
    }

    @Test func bytesFromNowhereNeverDoHarm() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        let alphabet = Array("{}[]\",:\\u0dfe1-+.tnrasl \u{0}\u{FF}".utf8)
        for _ in 0..<rounds(debug: 3_000, release: 200_000) {
            let bytes = (0..<random.below(60)).map { _ in alphabet[random.below(alphabet.count)] }
            do {
                var scanner = try JSONScanner(ByteBuffer(bytes: bytes))
                try scanner.skip()
                try scanner.finish()
            } catch {
                #expect(error.message.hasPrefix("the JSON body, byte "), "seed \(seed)")
            }
        }
    }
}
