// Numbers, both ways: against the standard library on random values, and those that rounding twice gets wrong.

import Contract
import NIOCore
import OpenInference
import Testing

@Suite struct NumberTests {
    /// What the decoder makes of numbers, all in one tensor.
    private func floats(_ texts: [String]) throws -> [Float] {
        let data = "[" + texts.joined(separator: ",") + "]"
        let document = try decoded(one("FP32", "[\(texts.count)]", data))
        var bytes = document.request.inputs[0].bytes
        return texts.map { _ in
            Float(bitPattern: bytes.readInteger(endianness: .little, as: UInt32.self) ?? 0)
        }
    }

    private func doubles(_ texts: [String]) throws -> [Double] {
        let data = "[" + texts.joined(separator: ",") + "]"
        let document = try decoded(one("FP64", "[\(texts.count)]", data))
        var bytes = document.request.inputs[0].bytes
        return texts.map { _ in
            Double(bitPattern: bytes.readInteger(endianness: .little, as: UInt64.self) ?? 0)
        }
    }

    private func check(_ texts: [String], seed: UInt64) throws {
        for (text, float) in zip(texts, try floats(texts)) where Float(text) != float {
            Issue.record("FP32 of \(text) is \(float), seed \(seed)")
        }
        for (text, double) in zip(texts, try doubles(texts)) where Double(text) != double {
            Issue.record("FP64 of \(text) is \(double), seed \(seed)")
        }
    }

    /// A number as people and programs write it, within the range of a float.
    private func numeral(_ random: inout Seeded) -> String {
        var digits = String(random.next() >> UInt64(random.below(64)))
        if random.oneIn(8) { digits += String(random.next()) + String(random.next()) }
        let sign = random.oneIn(2) ? "-" : ""
        switch random.below(4) {
        case 0: return sign + "1" + digits
        case 1: return sign + "0." + String(repeating: "0", count: random.below(9)) + digits
        case 2: return sign + digits.prefix(1) + "." + digits + "e\(random.below(74) - 37)"
        default: return sign + digits.prefix(1) + "." + digits + "E+0\(random.below(30))"
        }
    }

    @Test func randomNumbersAreRoundedOnce() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        for _ in 0..<rounds(debug: 10, release: 2_000) {
            let texts = (0..<1_000).map { _ in numeral(&random) }
            try check(texts.filter { Float($0)?.isFinite ?? false }, seed: seed)
        }
    }

    /// The middle between two floats, exactly and a little beside it: 25 significant bits written out in full.
    @Test func middlesBetweenFloatsAreDecidedByTheLastDigit() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        for _ in 0..<rounds(debug: 4, release: 500) {
            var texts: [String] = []
            for _ in 0..<200 {
                let low = Float(bitPattern: UInt32.random(in: 1..<0x7F00_0000, using: &random))
                guard low > 1e-9, low < 1e15 else { continue }
                let middle = (Double(low) + Double(low.nextUp)) / 2
                let text = exact(middle)
                texts += [text, text + (text.contains(".") ? "" : ".") + "00000000000000000001"]
                texts.append(
                    String(text.dropLast()) + "\(max(0, (text.last?.wholeNumberValue ?? 1) - 1))")
            }
            try check(texts, seed: seed)
        }
    }

    /// A positive double of moderate size with all its digits.
    private func exact(_ value: Double) -> String {
        let whole = value.rounded(.down)
        var fraction = value - whole
        var text = String(UInt64(whole)) + "."
        repeat {
            fraction *= 10
            text += String(Int(fraction.rounded(.down)))
            fraction -= fraction.rounded(.down)
        } while fraction > 0 && text.count < 18
        return text
    }

    @Test(
        arguments: [
            // Rounding to a double first would give the wrong float.
            ("1.00000017881393432617187499", Float(bitPattern: 0x3F80_0001)),
            ("1.00000017881393432617187500", Float(bitPattern: 0x3F80_0002)),
            ("1.00000017881393432617187501", Float(bitPattern: 0x3F80_0002)),
            ("1.000000059604644775390625", 1), ("1.000000059604644775390626", Float(1).nextUp),
            ("16777217", 16_777_216), ("16777219", 16_777_220), ("0.1", 0.1), ("-0", -0.0),
            ("-0.0", -0.0),
            ("1e-45", .leastNonzeroMagnitude), ("0.7e-45", 0), ("0.71e-45", .leastNonzeroMagnitude),
            ("1.1754942e-38", Float(bitPattern: 0x007F_FFFF)),
            ("1.17549435e-38", .leastNormalMagnitude),
            ("3.4028235e38", .greatestFiniteMagnitude), ("3.40282356e38", .greatestFiniteMagnitude),
            ("1e-999", 0), ("0e999", 0), ("0." + String(repeating: "0", count: 47) + "1e48", 1),
            ("340282350000000000000000000000000000000", .greatestFiniteMagnitude),
            ("1" + String(repeating: "0", count: 41) + "e-41", 1),
            ("8.5899345920e9", 8_589_934_592),
        ] as [(String, Float)])
    func hardFloats(_ text: String, _ expected: Float) throws {
        let float = try floats([text])[0]
        #expect(float.bitPattern == expected.bitPattern, "\(float)")
    }

    @Test(
        arguments: [
            ("9007199254740993", 9_007_199_254_740_992),
            ("9007199254740995", 9_007_199_254_740_996),
            ("9007199254740993.0000000000000000000000001", 9_007_199_254_740_994),
            ("2.2250738585072011e-308", Double.leastNormalMagnitude.nextDown),
            ("5e-324", .leastNonzeroMagnitude),
            ("2.4703282292062327e-324", 0), ("2.4703282292062328e-324", .leastNonzeroMagnitude),
            ("-0.0", -0.0),
            ("1.7976931348623157e308", .greatestFiniteMagnitude),
            ("1.7976931348623158e308", .greatestFiniteMagnitude),
            ("179769313486231580793e288", .greatestFiniteMagnitude), ("1e23", 1e23),
            ("8.5e22", 8.5e22),
            ("0." + String(repeating: "0", count: 47) + "1e48", 1), ("1e-400", 0),
            ("6929495644600919.5", 6_929_495_644_600_920),
        ] as [(String, Double)])
    func hardDoubles(_ text: String, _ expected: Double) throws {
        let double = try doubles([text])[0]
        #expect(double.bitPattern == expected.bitPattern, "\(double)")
    }

    @Test(arguments: [
        ("FP32", "1e999"), ("FP32", "-1e999"), ("FP32", "3.4028236e38"), ("FP32", "1e39"),
        ("FP64", "1e999"), ("FP64", "1.7976931348623159e308"), ("FP64", "1e99999999999999999999"),
        ("FP32", "1" + String(repeating: "0", count: 40)),
    ])
    func whatIsTooLargeIsRefused(_ datatype: String, _ text: String) {
        let message = failure(one(datatype, "[2]", "[0,\(text)]"))?.message
        #expect(message?.contains("element 1 (byte") == true)
        #expect(
            message?.contains("must be a number within \(datatype)") == true, "\(message ?? "")")
    }

    @Test func veryLongNumbers() throws {
        let third = "0." + String(repeating: "3", count: 4_000)
        #expect(try doubles([third]) == [1.0 / 3])
        #expect(try floats([third]) == [1.0 / 3])
        let zeros = "0." + String(repeating: "0", count: 400) + "1e401"
        #expect(try doubles([zeros]) == [1])
        // Beyond what any number needs the exact way is not gone.
        let long = "1." + String(repeating: "0", count: 5_000) + "e-310"
        #expect(failure(one("FP64", "[1]", "[\(long)]")) != nil)
    }

    // MARK: - Out

    @Test func floatsAreWrittenAsShortAsTheyCanBe() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        for _ in 0..<rounds(debug: 10, release: 2_000) {
            var values = (0..<1_000).map { _ in
                Float(bitPattern: UInt32(truncatingIfNeeded: random.next()))
            }
            values += (0..<100).map { _ in
                Float(sign: .plus, exponent: random.below(277) - 149, significand: 1)
            }
            values += (0..<100).map { _ in Float(random.below(100_000)) / 1_000 }
            values = values.filter(\.isFinite)
            var bytes = ByteBuffer()
            for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
            let texts = try data(
                Tensor(name: "y", datatype: .fp32, shape: [Int64(values.count)], bytes: bytes))
            try #require(texts.count == values.count)
            for (text, value) in zip(texts, values) {
                let isRight =
                    Float(text)?.bitPattern == value.bitPattern
                    && significant(text) == significant(value.description)
                if !isRight { Issue.record("\(value) is written \(text), seed \(seed)") }
            }
        }
    }

    @Test func doublesAreWrittenAsShortAsTheyCanBe() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        for _ in 0..<rounds(debug: 10, release: 1_000) {
            var values = (0..<1_000).map { _ in Double(bitPattern: random.next()) }
            values += (0..<100).map { _ in
                Double(sign: .plus, exponent: random.below(2_098) - 1_074, significand: 1)
            }
            values += (0..<100).map { _ in Double(random.below(100_000_000)) / 10_000 }
            values = values.filter(\.isFinite)
            var bytes = ByteBuffer()
            for value in values { bytes.writeInteger(value.bitPattern, endianness: .little) }
            let texts = try data(
                Tensor(name: "y", datatype: .fp64, shape: [Int64(values.count)], bytes: bytes))
            try #require(texts.count == values.count)
            for (text, value) in zip(texts, values) {
                let isRight =
                    Double(text)?.bitPattern == value.bitPattern
                    && significant(text) == significant(value.description)
                if !isRight { Issue.record("\(value) is written \(text), seed \(seed)") }
            }
        }
    }

    @Test(
        arguments: [
            (1, "1.0"), (-2.5, "-2.5"), (0, "0.0"), (-0.0, "-0.0"), (0.1, "0.1"), (100, "100.0"),
            (1e15, "1000000000000000.0"), (1e16, "1e16"), (0.0001, "0.0001"), (0.00001, "0.00001"),
            (0.000001, "1e-6"), (1.5e-7, "1.5e-7"), (1.25e300, "1.25e300"),
            (.leastNonzeroMagnitude, "5e-324"),
            (-2.2250738585072014e-308, "-2.2250738585072014e-308"), (123_456.789, "123456.789"),
        ] as [(Double, String)])
    func theFormOfNumbers(_ value: Double, _ text: String) throws {
        var bytes = ByteBuffer()
        bytes.writeInteger(value.bitPattern, endianness: .little)
        #expect(try data(Tensor(name: "y", datatype: .fp64, shape: [1], bytes: bytes)) == [text])
    }

    /// The elements of an answer's only output.
    private func data(_ tensor: Tensor) throws -> [String] {
        let json = try encoded([tensor]).json
        let start = try #require(json.firstRange(of: "\"data\":["))
        return json[start.upperBound...].dropLast(4).split(separator: ",").map(String.init)
    }

    /// The digits that count, without sign, point, exponent and zeros around.
    private func significant(_ text: String) -> String {
        var digits = text.prefix { $0 != "e" && $0 != "E" }.filter(\.isNumber)[...]
        while digits.first == "0" { digits.removeFirst() }
        while digits.last == "0" { digits.removeLast() }
        return String(digits)
    }
}
