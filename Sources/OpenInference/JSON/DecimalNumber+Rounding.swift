// A decimal number to the nearest binary one, ties to even, rounded once. Three ways, each exact where it is taken: one
// operation on doubles, 128 bits, and the standard library for what is left.

/// Powers that need no rounding: 10^22 is the last one a double holds, 5^27 the last one 64 bits hold.
private let powersOfTen: [Double] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
]
private let powersOfFive: [UInt64] = (0...27).map { power in
    (0..<power).reduce(1) { product, _ in product * 5 }
}

extension DecimalNumber {
    /// The nearest double; nil when that is infinite, or the text too long.
    ///
    /// - Parameter text: where the number stands.
    @inline(__always)
    func double(_ bytes: Span<UInt8>, _ text: Range<Int>) -> Double? {
        // Clinger 1990: both operands are exact, so the one operation rounds once.
        if digits <= 1 << 53, !isTruncated, exponent.magnitude <= 22 {
            let whole = Double(digits)
            let value =
                exponent < 0
                ? whole / powersOfTen[0 &- exponent] : whole * powersOfTen[exponent]
            return isNegative ? -value : value
        }
        return slowDouble(bytes, text)
    }

    /// The nearest float; nil when that is infinite, or the text too long.
    @inline(__always)
    func float(_ bytes: Span<UInt8>, _ text: Range<Int>) -> Float? {
        // The double is off by less than two of its last places: rounding it again errs only if it lies that close
        // to the middle of two floats, which is where its last 29 bits are 1000... No double here is so small
        // that its float has fewer bits.
        if exponent.magnitude <= 22 {
            let whole = Double(digits)
            let value =
                exponent < 0
                ? whole / powersOfTen[0 &- exponent] : whole * powersOfTen[exponent]
            let rest = Int64(value.bitPattern & 0x1FFF_FFFF) - 0x1000_0000
            if rest.magnitude > 8 {
                let float = Float(value)
                guard float.isFinite else { return nil }
                return isNegative ? -float : float
            }
        }
        return slowFloat(bytes, text)
    }

    @inline(never)
    private func slowDouble(_ bytes: Span<UInt8>, _ text: Range<Int>) -> Double? {
        if let bits = wideBits(digitCount: 53, bias: 1_023) {
            return Double(bitPattern: bits | (isNegative ? 1 << 63 : 0))
        }
        guard let text = numeral(bytes, text), let value = Double(text), value.isFinite else {
            return nil
        }
        return value
    }

    @inline(never)
    private func slowFloat(_ bytes: Span<UInt8>, _ text: Range<Int>) -> Float? {
        if let bits = wideBits(digitCount: 24, bias: 127), bits < 0x7F80_0000 {
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
    /// The bits of the nearest number, without its sign, by integers alone: 64 by 64 bits multiplied, or 128 divided by 64. Nil
    /// where 10^exponent does not fit, or the digits left out decide.
    ///
    /// - Parameters:
    ///   - digitCount: binary digits of the type, the hidden one included.
    ///   - bias: of its exponent.
    private func wideBits(digitCount: Int, bias: Int) -> UInt64? {
        guard digits > 0, exponent.magnitude <= 27 else { return nil }
        let bits = DecimalNumber.wideBits(
            digits, exponent: exponent, digitCount: digitCount, bias: bias)
        // What was left out is less than one of the last digit.
        guard
            !isTruncated
                || bits
                    == DecimalNumber.wideBits(
                        digits + 1, exponent: exponent, digitCount: digitCount, bias: bias)
        else { return nil }
        return bits
    }

    private static func wideBits(
        _ digits: UInt64, exponent: Int, digitCount: Int, bias: Int
    ) -> UInt64 {
        var head: UInt64
        var power: Int
        let hasTail: Bool
        if exponent >= 0 {
            let product = digits.multipliedFullWidth(by: powersOfFive[exponent])
            let shift = product.high.leadingZeroBitCount
            // A shift by 64 gives zero in Swift.
            head = product.high << UInt64(shift) | product.low >> UInt64(64 - shift)
            hasTail = product.low << UInt64(shift) != 0
            power = exponent + 64 - shift
        } else {
            let five = powersOfFive[-exponent]
            let up = digits.leadingZeroBitCount
            let downUp = five.leadingZeroBitCount
            let dividend = digits << UInt64(up)
            let (quotient, remainder) = (five << UInt64(downUp)).dividingFullWidth(
                (high: dividend >> 1, low: dividend << 63))
            head = quotient
            hasTail = remainder != 0
            power = exponent - up + downUp - 63
        }
        let up = head.leadingZeroBitCount
        head <<= UInt64(up)
        power -= up
        // head × 2^power, the first bit of head set: the digits that stay, and whether they go up.
        let cut = UInt64(64 - digitCount)
        let half: UInt64 = 1 << (cut - 1)
        let rest = head & (half << 1 - 1)
        var kept = head >> cut
        if rest > half || rest == half && (hasTail || kept & 1 == 1) { kept += 1 }
        // The hidden bit is counted into the exponent, and so is a carry.
        return UInt64(power + 63 + bias - 1) << UInt64(digitCount - 1) + kept
    }
}
