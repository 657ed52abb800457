// The words of the house: shapes that cannot overflow, names that cannot be paths, secrets that cannot be seen.

import Contract
import Testing

@Suite struct ShapeTests {
    @Test func countsElements() {
        #expect(([] as Shape).elementCount == 1)
        #expect(([2, 3] as Shape).elementCount == 6)
        #expect(([0, 1 << 40] as Shape).elementCount == 0)
        #expect(([-1, 4] as Shape).elementCount == nil)
        #expect(([1 << 32, 1 << 32] as Shape).elementCount == nil, "overflow is no number")
    }

    @Test func holdsEightDimensionsAndNoMore() {
        #expect(Shape(1...8)?.dimensions == Array(1...8))
        #expect(Shape(1...9) == nil)
        var shape = Shape()
        for dimension in 1...8 { #expect(shape.append(Int64(dimension)) == true) }
        let ninth = shape.append(9)
        #expect(!ninth)
        #expect(shape.rank == 8)
    }

    @Test func comparesWhatItHoldsOnly() {
        #expect(([1, 2] as Shape) == [1, 2])
        #expect(([1, 2] as Shape) != [1, 2, 0])
        #expect(Set([[1, 2], [1, 2], [2, 1]] as [Shape]).count == 2)
        #expect(([-1, 4] as Shape).description == "[-1,4]")
    }
}

@Suite struct ElementTypeTests {
    @Test func everyNameReadsBack() {
        for type in ElementType.allCases { #expect(ElementType(name: type.name) == type) }
        #expect(ElementType(name: "fp32") == nil)
        #expect(ElementType(name: "STRING") == nil)
    }

    @Test func widthsAreTheProtocols() {
        #expect(ElementType.bool.width == 1)
        #expect(ElementType.bf16.width == 2)
        #expect(ElementType.fp32.width == 4)
        #expect(ElementType.int64.width == 8)
        #expect(ElementType.bytes.width == nil)
    }
}

@Suite struct NameTests {
    @Test(arguments: ["iris", "a", "0", "A.b-c_d", String(repeating: "x", count: 128)])
    func goodNames(_ text: String) { #expect(ModelName(text)?.text == text) }

    @Test(arguments: [
        "", ".", "..", "../etc", "a/b", "a\u{0}b", "-a", ".a", "a b", "ä", "a%2e",
        String(repeating: "x", count: 129),
    ])
    func badNames(_ text: String) { #expect(ModelName(text) == nil) }

    @Test func versionsArePositiveAndShort() {
        #expect(ModelVersion("1")?.number == 1)
        #expect(ModelVersion("999999999999999999")?.number == 999_999_999_999_999_999)
        for text in ["", "0", "-1", "01", "+1", "1.0", "abc", " 1", "1000000000000000000"] {
            #expect(ModelVersion(text) == nil, "\(text)")
        }
    }
}

@Suite struct SecretTests {
    @Test func printsAsBullets() {
        let secret = Secret("canary")
        var dumped = ""
        dump(secret, to: &dumped)
        for text in ["\(secret)", String(reflecting: secret), dumped, "\([secret])"] {
            #expect(!text.contains("canary"))
            #expect(!text.contains("99"), "nor as the numbers of its bytes")
        }
        #expect(secret.reveal { String(decoding: $0, as: UTF8.self) } == "canary")
    }

    @Test func comparesWhole() {
        #expect(Secret("same").matches(Secret("same")))
        #expect(!Secret("same").matches(Secret("sane")))
        #expect(!Secret("same").matches(Secret("same!")))
    }
}

@Suite struct TimeTests {
    @Test func neverWrapsAround() {
        let late = Instant(nanoseconds: .max)
        #expect(late + .seconds(1) == late)
        #expect(Instant(nanoseconds: 1).since(late) == .zero)
        #expect((Nanoseconds(.max) + .seconds(1)).count == .max)
    }

    @Test(arguments: [
        (UInt64(3), "3 ns"), (2_000, "2 us"), (20_000_000, "20 ms"), (1_500_000_000, "1.5 s"),
        (60_000_000_000, "60 s"),
    ])
    func saysItsUnit(_ count: UInt64, _ text: String) {
        #expect(Nanoseconds(count).description == text)
    }
}
