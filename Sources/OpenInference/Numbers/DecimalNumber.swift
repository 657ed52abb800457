// A number as JSON writes it (RFC 8259 section 6), taken apart in place: the first nineteen digits, where the point stands,
// and nothing else. What becomes of it is in DecimalNumber+Rounding.

/// digits × 10^exponent. Nineteen digits always fit 64 bits.
struct DecimalNumber {
    /// Characters of one number. The longest that says something has 1,078: the smallest double, written out.
    static let lengthMax = 4_096
    private static let digitsMax = 19
    /// Exponents are counted no further: what is beyond is zero or no number for every type.
    private static let exponentMax = 99_999

    var isNegative: Bool
    var digits: UInt64
    var exponent: Int
    /// Further digits were left out, not all of them zero.
    var isTruncated = false
    /// Written without fraction and exponent.
    var isInteger: Bool

    /// Takes a number; nil when none stands there, with the position where a digit should be. What follows it is the
    /// caller's business: "01" is the number 0 and something else.
    @inline(__always)
    static func scan(_ bytes: Span<UInt8>, _ position: inout Int) -> DecimalNumber? {
        let end = bytes.count
        var at = position
        let start = at
        var isNegative = false
        if at < end, bytes[at] == JSONBytes.minus {
            isNegative = true
            at += 1
        }
        let first = at
        var digits: UInt64 = 0
        guard at < end, JSONBytes.isDigit(bytes[at]) else {
            position = at
            return nil
        }
        if bytes[at] == 0x30 {
            at += 1
        } else {
            while at < end, JSONBytes.isDigit(bytes[at]) {
                digits = digits &* 10 &+ UInt64(bytes[at] &- 0x30)
                at += 1
            }
        }
        var count = at - first
        var exponent = 0
        var isInteger = true
        if at < end, bytes[at] == UInt8(ascii: ".") {
            at += 1
            let fraction = at
            while at < end, JSONBytes.isDigit(bytes[at]) {
                digits = digits &* 10 &+ UInt64(bytes[at] &- 0x30)
                at += 1
            }
            guard at > fraction else {
                position = at
                return nil
            }
            exponent = fraction - at
            count -= exponent
            isInteger = false
        }
        let mantissaEnd = at
        if at < end, bytes[at] | 0x20 == UInt8(ascii: "e") {
            guard let power = scanExponent(bytes, &at) else {
                position = at
                return nil
            }
            exponent += power
            isInteger = false
        }
        position = at
        var number = DecimalNumber(
            isNegative: isNegative, digits: digits, exponent: exponent, isInteger: isInteger)
        if count > digitsMax { number.recount(bytes, start..<mantissaEnd) }
        return number
    }

    /// The part from the 'e' on.
    private static func scanExponent(_ bytes: Span<UInt8>, _ at: inout Int) -> Int? {
        at += 1
        var isNegative = false
        if at < bytes.count, bytes[at] == JSONBytes.minus || bytes[at] == UInt8(ascii: "+") {
            isNegative = bytes[at] == JSONBytes.minus
            at += 1
        }
        let first = at
        var power = 0
        while at < bytes.count, JSONBytes.isDigit(bytes[at]) {
            power = min(power * 10 + Int(bytes[at] &- 0x30), exponentMax)
            at += 1
        }
        guard at > first else { return nil }
        return isNegative ? -power : power
    }

    /// Many digits: leading zeros do not count, and those after the nineteenth are left out.
    private mutating func recount(_ bytes: Span<UInt8>, _ mantissa: Range<Int>) {
        digits = 0
        var count = 0
        for index in mantissa where JSONBytes.isDigit(bytes[index]) {
            let digit = UInt64(bytes[index] &- 0x30)
            if count < DecimalNumber.digitsMax {
                digits = digits * 10 + digit
                if digits > 0 { count += 1 }
            } else {
                exponent += 1
                if digit > 0 { isTruncated = true }
            }
        }
    }

    /// The number as an integer type; nil when it was not written as one or does not fit.
    ///
    /// - Parameter text: where it stands.
    @inline(__always)
    func integer<Number: FixedWidthInteger>(
        _: Number.Type, _ bytes: Span<UInt8>, _ text: Range<Int>
    ) -> Number? {
        guard isInteger else { return nil }
        guard exponent == 0 else { return longInteger(Number.self, bytes, text) }
        if isNegative {
            guard digits <= UInt64(Int64.max) + 1 else { return nil }
            return Number(exactly: Int64(truncatingIfNeeded: 0 &- digits))
        }
        return Number(exactly: digits)
    }

    /// Twenty digits may still fit an unsigned integer.
    private func longInteger<Number: FixedWidthInteger>(
        _: Number.Type, _ bytes: Span<UInt8>, _ text: Range<Int>
    ) -> Number? {
        guard !isNegative else { return nil }
        var value: UInt64 = 0
        for index in text {
            let (tens, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = tens.addingReportingOverflow(UInt64(bytes[index] &- 0x30))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return Number(exactly: value)
    }
}
