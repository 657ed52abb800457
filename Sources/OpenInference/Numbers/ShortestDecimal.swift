// The shortest decimal that reads back as the same binary number, and of those the nearest (after Giulietti, "The Schubfach
// way to render doubles", 2020).

/// digits × 10^exponent, 0 × 10^0 for zero.
struct ShortestDecimal {
    var digits: UInt64
    var exponent: Int

    /// - Parameter bits: of a finite float, its sign ignored.
    @inline(__always)
    init(floatBits bits: UInt32, powers: PowersOfTen) {
        let fraction = UInt64(bits & 0x7F_FFFF)
        let biased = Int(bits >> 23 & 0xFF)
        self.init(
            fraction, biased, hidden: 1 << 23, bias: 150
        ) { scale, number in
            // 64 of the 128 bits are enough for 24 digits.
            let product = number.multipliedFullWidth(by: powers[scale].high &+ 1)
            return product.high | (product.low >> 32 > 1 ? 1 : 0)
        }
    }

    /// - Parameter bits: of a finite double, its sign ignored.
    @inline(__always)
    init(doubleBits bits: UInt64, powers: PowersOfTen) {
        let fraction = bits & (1 << 52 - 1)
        let biased = Int(bits >> 52 & 0x7FF)
        self.init(
            fraction, biased, hidden: 1 << 52, bias: 1_075
        ) { scale, number in
            var (high, low) = powers[scale]
            low &+= 1
            if low == 0 { high &+= 1 }
            let upper = number.multipliedFullWidth(by: high)
            let lower = number.multipliedFullWidth(by: low)
            let (middle, carry) = upper.low.addingReportingOverflow(lower.high)
            return (upper.high &+ (carry ? 1 : 0)) | (middle > 1 ? 1 : 0)
        }
    }

    /// - Parameter multiply: 10^scale times a number, rounded to odd: what is cut off makes the result odd.
    @inline(__always)
    private init(
        _ fraction: UInt64, _ biased: Int, hidden: UInt64, bias: Int,
        _ multiply: (_ scale: Int, _ number: UInt64) -> UInt64
    ) {
        guard fraction | UInt64(biased) != 0 else {
            digits = 0
            exponent = 0
            return
        }
        // The number is value × 2^power.
        let value = biased == 0 ? fraction : fraction | hidden
        let power = (biased == 0 ? 1 : biased) - bias
        let isEven = value & 1 == 0
        // Below a power of two, numbers lie twice as close.
        let isCloserBelow = fraction == 0 && biased > 1
        let scale = (power &* 1_262_611 &- (isCloserBelow ? 524_031 : 0)) >> 22
        let shift = UInt64(power + PowersOfTen.exponent(-scale) + 1)
        let below = multiply(-scale, (4 * value - 2 + (isCloserBelow ? 1 : 0)) << shift)
        let number = multiply(-scale, (4 * value) << shift)
        let above = multiply(-scale, (4 * value + 2) << shift)
        // Everything from lower to upper reads back as this number; all are times four.
        let lower = below + (isEven ? 0 : 1)
        let upper = above - (isEven ? 0 : 1)
        let whole = number / 4
        if whole >= 10 {
            let tenth = whole / 10
            let isDown = lower <= 40 * tenth
            let isUp = 40 * tenth + 40 <= upper
            if isDown != isUp {
                digits = tenth + (isUp ? 1 : 0)
                exponent = scale + 1
                return
            }
        }
        exponent = scale
        let isDown = lower <= 4 * whole
        let isUp = 4 * whole + 4 <= upper
        guard isDown == isUp else {
            digits = whole + (isUp ? 1 : 0)
            return
        }
        let middle = 4 * whole + 2
        digits = whole + (number > middle || number == middle && whole & 1 == 1 ? 1 : 0)
    }

    /// Zeros at the end say nothing; numbers that people think up have many.
    @inline(__always)
    mutating func dropZeros() {
        guard digits > 0 else { return }
        while digits % 10_000 == 0 {
            digits /= 10_000
            exponent &+= 4
        }
        while digits % 10 == 0 {
            digits /= 10
            exponent &+= 1
        }
    }
}
