// A decimal number to the nearest binary one, ties to even, rounded once. Three ways, each taken only where it is right: one
// operation on doubles, one product of 192 bits, and the standard library for what is left.

/// The powers of ten that a double holds exactly.
private let exactPowers: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]

extension DecimalNumber {
    /// The nearest double; nil when that is infinite, or the text too long.
    ///
    /// - Parameter text: where the number stands.
    @inline(__always)
    func double(_ bytes: Span<UInt8>, _ text: Range<Int>) -> Double? {
        // Clinger 1990: both operands are exact, so the one operation rounds once.
        if digits <= 1 << 53, !isTruncated, exponent.magnitude <= 22 {
            let value = scaled
            return isNegative ? -value : value
        }
        return wideDouble(bytes, text)
    }

    /// The nearest float; nil when that is infinite, or the text too long.
    @inline(__always)
    func float(_ bytes: Span<UInt8>, _ text: Range<Int>) -> Float? {
        // The double is off by less than four of its last places: rounding it again errs only if it lies that
        // close to the middle of two floats, which is where its last 29 bits are 1000... No double here is so
        // small that its float has fewer bits.
        if exponent.magnitude <= 22 {
            let value = scaled
            let rest = Int64(value.bitPattern & 0x1FFF_FFFF) - 0x1000_0000
            if rest.magnitude > 8 {
                let float = Float(value)
                guard float.isFinite else { return nil }
                return isNegative ? -float : float
            }
        }
        return wideFloat(bytes, text)
    }

    @inline(__always)
    private var scaled: Double {
        let whole = Double(digits)
        return exponent < 0
            ? whole / exactPowers[0 &- exponent] : whole * exactPowers[exponent]
    }

    @inline(never)
    private func wideDouble(_ bytes: Span<UInt8>, _ text: Range<Int>) -> Double? {
        if let bits = wideBits(digitCount: 53, bias: 1_023) {
            return Double(bitPattern: bits | (isNegative ? 1 << 63 : 0))
        }
        guard let text = numeral(bytes, text), let value = Double(text), value.isFinite else {
            return nil
        }
        return value
    }

    @inline(never)
    private func wideFloat(_ bytes: Span<UInt8>, _ text: Range<Int>) -> Float? {
        if let bits = wideBits(digitCount: 24, bias: 127) {
            return Float(bitPattern: UInt32(bits) | (isNegative ? 1 << 31 : 0))
        }
        guard let text = numeral(bytes, text), let value = Float(text), value.isFinite else {
            return nil
        }
        return value
    }

    /// The text for the standard library, whose rounding is exact; its grammar was checked here.
    private func numeral(_ bytes: Span<UInt8>, _ text: Range<Int>) -> String? {
        guard text.count <= DecimalNumber.lengthMax,
            let checked = try? UTF8Span(validating: bytes.extracting(text))
        else { return nil }
        return String(copying: checked)
    }
}

extension DecimalNumber {
    /// The bits of the nearest number, without its sign (after Eisel and Lemire, "Number Parsing at a Gigabyte per
    /// Second", 2021). Nil where 192 bits do not decide, or the number is not a normal one.
    ///
    /// - Parameters:
    ///   - digitCount: binary digits of the type, the hidden one included.
    ///   - bias: of its exponent.
    private func wideBits(digitCount: Int, bias: Int) -> UInt64? {
        guard digits > 0, PowersOfTen.range.contains(exponent) else { return nil }
        let bits = DecimalNumber.wideBits(digits, exponent, digitCount: digitCount, bias: bias)
        guard isTruncated, let bits else { return bits }
        // What was left out is less than one of the last digit.
        let above = DecimalNumber.wideBits(
            digits + 1, exponent, digitCount: digitCount, bias: bias)
        return above == bits ? bits : nil
    }

    private static func wideBits(
        _ digits: UInt64, _ exponent: Int, digitCount: Int, bias: Int
    ) -> UInt64? {
        let shift = digits.leadingZeroBitCount
        let factor = digits << UInt64(shift)
        let power = PowersOfTen.shared[exponent]
        let upper = factor.multipliedFullWidth(by: power.high)
        let lower = factor.multipliedFullWidth(by: power.low)
        let (middle, carry) = upper.low.addingReportingOverflow(lower.high)
        var head = upper.high &+ (carry ? 1 : 0)
        var tail = middle
        // The number is head.tail × 2^place, and less than two of tail's last places more.
        var place = PowersOfTen.exponent(exponent) - shift + 1
        if head >> 63 == 0 {
            head = head << 1 | tail >> 63
            tail <<= 1
            place -= 1
        }
        let cut = UInt64(64 - digitCount)
        let half: UInt64 = 1 << (cut - 1)
        let rest = head & (half << 1 - 1)
        // A carry out of the tail, or an exact tie: others decide.
        guard tail < UInt64.max - 8, rest != half || tail > 8 else { return nil }
        let biased = place + 63 + bias
        let kept = head >> cut + (rest >= half ? 1 : 0)
        guard biased > 0, biased < 2 * bias else { return nil }
        // The hidden bit is counted into the exponent, and so is a carry.
        return UInt64(biased - 1) << UInt64(digitCount - 1) + kept
    }
}
