// The powers of ten that reading and writing numbers needs, to 128 binary digits: worked out once by whole numbers of any
// length instead of being carried as 600 literals.

/// 10^q for q in ``range``, rounded down: 128 bits, the first of them set, times 2^(``exponent(_:)`` - 127).
struct PowersOfTen: Sendable {
    /// From the smallest double with nineteen digits before the point to the inverse of the smallest double.
    static let range = -344...325
    static let shared = PowersOfTen()

    private let high: [UInt64]
    private let low: [UInt64]

    /// The first and the last 64 of the 128 bits.
    @inline(__always)
    subscript(power: Int) -> (high: UInt64, low: UInt64) {
        let index = power - PowersOfTen.range.lowerBound
        return (high[index], low[index])
    }

    /// The logarithm of 10^q to base 2, rounded down: 1741647 / 2^19 is near enough for every power in ``range``.
    @inline(__always)
    static func exponent(_ power: Int) -> Int { (power &* 1_741_647) >> 19 }

    private init() {
        var heads: [Int: (UInt64, UInt64)] = [:]
        var whole = LongNumber(limbs: [1])
        for power in 0...PowersOfTen.range.upperBound {
            heads[power] = whole.head
            whole.multiply(by: 10)
        }
        // 2^1408 has 128 digits and more left when it is divided by 10^344. Dividing in steps, each rounded down, is
        // dividing once, rounded down.
        var fraction = LongNumber(limbs: [UInt64](repeating: 0, count: 22) + [1])
        for power in stride(from: -1, through: PowersOfTen.range.lowerBound, by: -1) {
            fraction.divide(by: 10)
            heads[power] = fraction.head
        }
        let list = PowersOfTen.range.map { heads[$0] ?? (0, 0) }
        high = list.map(\.0)
        low = list.map(\.1)
    }
}

/// A whole number of any length, the lowest 64 bits first. Just what the table needs.
private struct LongNumber {
    var limbs: [UInt64]

    mutating func multiply(by factor: UInt64) {
        var carry: UInt64 = 0
        for index in limbs.indices {
            let product = limbs[index].multipliedFullWidth(by: factor)
            let (sum, overflow) = product.low.addingReportingOverflow(carry)
            limbs[index] = sum
            carry = product.high + (overflow ? 1 : 0)
        }
        if carry > 0 { limbs.append(carry) }
    }

    mutating func divide(by divisor: UInt64) {
        var remainder: UInt64 = 0
        for index in limbs.indices.reversed() {
            (limbs[index], remainder) = divisor.dividingFullWidth((remainder, limbs[index]))
        }
        while limbs.last == 0 { limbs.removeLast() }
    }

    /// The first 128 bits from the highest that is set.
    var head: (UInt64, UInt64) {
        let top = limbs.count - 1
        func limb(_ index: Int) -> UInt64 { index < 0 ? 0 : limbs[index] }
        let shift = UInt64(limb(top).leadingZeroBitCount)
        // A shift by 64 gives zero in Swift.
        return (
            limb(top) << shift | limb(top - 1) >> (64 - shift),
            limb(top - 1) << shift | limb(top - 2) >> (64 - shift)
        )
    }
}
