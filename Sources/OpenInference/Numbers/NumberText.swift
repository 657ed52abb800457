// Numbers as JSON writes them, into room that is known to be enough.

/// Each function writes at `at`, moves it behind what was written, and traps where the room ends.
enum NumberText {
    /// The most characters of any number here: sign, 17 digits, point, `e-308`; or `-0.0000` and 17 digits.
    static let lengthMax = 25

    private static let powers: [UInt64] = [
        1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000,
        10_000_000_000, 100_000_000_000, 1_000_000_000_000, 10_000_000_000_000,
        100_000_000_000_000, 1_000_000_000_000_000, 10_000_000_000_000_000,
        100_000_000_000_000_000, 1_000_000_000_000_000_000, 10_000_000_000_000_000_000,
    ]

    @inline(__always)
    static func put(_ byte: UInt8, _ room: inout MutableRawSpan, _ at: inout Int) {
        room.storeBytes(of: byte, toByteOffset: at, as: UInt8.self)
        at &+= 1
    }

    /// How many digits a number has; 1 for zero.
    @inline(__always)
    static func digitCount(_ number: UInt64) -> Int {
        // log10 2 is 1233/4096, nearly.
        let guess = ((64 &- (number | 1).leadingZeroBitCount) &* 1_233) >> 12
        return guess &+ (number >= powers[guess] || guess == 0 ? 1 : 0)
    }

    /// Writes exactly `count` digits, zeros in front if there are fewer; at most 24, of a number that has no more.
    @inline(__always)
    static func put(
        _ number: UInt64, count: Int, _ room: inout MutableRawSpan, _ at: inout Int
    ) {
        guard count > 8 else {
            return putShort(UInt32(truncatingIfNeeded: number), count: count, &room, &at)
        }
        let (rest, last) = number.quotientAndRemainder(dividingBy: 100_000_000)
        if count > 16 {
            let (first, middle) = rest.quotientAndRemainder(dividingBy: 100_000_000)
            putShort(UInt32(truncatingIfNeeded: first), count: count &- 16, &room, &at)
            putShort(UInt32(truncatingIfNeeded: middle), count: 8, &room, &at)
        } else {
            putShort(UInt32(truncatingIfNeeded: rest), count: count &- 8, &room, &at)
        }
        putShort(UInt32(truncatingIfNeeded: last), count: 8, &room, &at)
    }

    /// The same for eight digits at most: all of them at once, in the lanes of one word.
    @inline(__always)
    private static func putShort(
        _ number: UInt32, count: Int, _ room: inout MutableRawSpan, _ at: inout Int
    ) {
        let (high, low) = number.quotientAndRemainder(dividingBy: 10_000)
        // Two lanes of four digits, four of two, eight of one; the first digit in the lowest byte. 10486/2^20 is near enough to a
        // hundredth for four digits, 103/2^10 to a tenth for two.
        let fours = UInt64(high) | UInt64(low) << 32
        let hundreds = ((fours &* 10_486) >> 20) & 0x0000_007F_0000_007F
        let twos = hundreds | (fours &- hundreds &* 100) << 16
        let tens = ((twos &* 103) >> 10) & 0x000F_000F_000F_000F
        let ones = tens | (twos &- tens &* 10) << 8
        var text = (ones | 0x3030_3030_3030_3030) >> UInt64(8 &* (8 &- count))
        if at &+ 8 <= room.byteCount {
            room.storeBytes(of: text.littleEndian, toByteOffset: at, as: UInt64.self)
        } else {
            for place in 0..<count {
                room.storeBytes(
                    of: UInt8(truncatingIfNeeded: text), toByteOffset: at &+ place,
                    as: UInt8.self)
                text >>= 8
            }
        }
        at &+= count
    }

    @inline(__always)
    static func putInteger<Number: FixedWidthInteger>(
        _ number: Number, _ room: inout MutableRawSpan, _ at: inout Int
    ) {
        if number < 0 { put(JSONBytes.minus, &room, &at) }
        let size = UInt64(number.magnitude)
        put(size, count: digitCount(size), &room, &at)
    }

    /// Positional where that is short, else with an exponent; always with a point or an exponent, so that readers see a
    /// number that is not whole by nature.
    static func put(
        _ decimal: ShortestDecimal, isNegative: Bool, _ room: inout MutableRawSpan,
        _ at: inout Int
    ) {
        if isNegative { put(JSONBytes.minus, &room, &at) }
        let digits = decimal.digits
        let count = digitCount(digits)
        // The number is 0.digits × 10^point.
        let point = count + decimal.exponent
        if point > 0, point <= 16 {
            if decimal.exponent >= 0 {
                put(digits, count: count, &room, &at)
                put(0, count: decimal.exponent, &room, &at)
                put(UInt8(ascii: "."), &room, &at)
                put(UInt8(ascii: "0"), &room, &at)
            } else {
                putSplit(digits, after: point, count: count, &room, &at)
            }
        } else if point <= 0, point > -5 {
            put(UInt8(ascii: "0"), &room, &at)
            put(UInt8(ascii: "."), &room, &at)
            put(digits, count: count - point, &room, &at)
        } else {
            if count == 1 {
                put(digits, count: 1, &room, &at)
            } else {
                putSplit(digits, after: 1, count: count, &room, &at)
            }
            put(UInt8(ascii: "e"), &room, &at)
            putInteger(point - 1, &room, &at)
        }
    }

    /// Digits with a point after some of them, fewer than all.
    @inline(__always)
    private static func putSplit(
        _ digits: UInt64, after: Int, count: Int, _ room: inout MutableRawSpan, _ at: inout Int
    ) {
        let (whole, fraction) = digits.quotientAndRemainder(dividingBy: powers[count - after])
        put(whole, count: after, &room, &at)
        put(UInt8(ascii: "."), &room, &at)
        put(fraction, count: count - after, &room, &at)
    }
}
