// The small languages of the settings file: sizes, times, whole numbers; and what a mistyped word was meant to be.

package import Contract

package enum SettingText {
    /// Bytes: `64MiB`, `2 GiB`, `4096`, `512B`. Only powers of 1024 have units, so that nobody has to guess.
    package static func size(_ text: String) -> UInt64? {
        let (digits, unit) = split(text)
        guard let number = wholeNumber(digits) else { return nil }
        let shift: UInt64? =
            switch unit {
            case "", "B": 0
            case "KiB": 10
            case "MiB": 20
            case "GiB": 30
            case "TiB": 40
            default: nil
            }
        guard let shift else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: 1 << shift)
        return overflow ? nil : product
    }

    /// A time: `30s`, `100us`, `5m`; a bare 0 needs no unit, every other number does.
    package static func time(_ text: String) -> Nanoseconds? {
        let (digits, unit) = split(text)
        guard let number = wholeNumber(digits) else { return nil }
        let factor: UInt64? =
            switch unit {
            case "ns": 1
            case "us": 1_000
            case "ms": 1_000_000
            case "s": 1_000_000_000
            case "m": 60_000_000_000
            case "h": 3_600_000_000_000
            case "d": 86_400_000_000_000
            case "": number == 0 ? 1 : nil
            default: nil
            }
        guard let factor else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: factor)
        return overflow ? nil : Nanoseconds(product)
    }

    package static func wholeNumber(_ text: some StringProtocol) -> UInt64? {
        guard !text.isEmpty, text.utf8.count <= 19,
            text.utf8.allSatisfy({ $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") })
        else { return nil }
        return UInt64(text)
    }

    private static func split(_ text: String) -> (digits: Substring, unit: Substring) {
        let digits = text.prefix { $0.isASCII && $0.isWholeNumber }
        return (digits, text[digits.endIndex...].drop { $0 == " " })
    }

    /// The size with the largest unit that divides it.
    package static func written(size: UInt64) -> String {
        for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")]
            as [(UInt64, String)]
        where size > 0 && size % (1 << shift) == 0 {
            return "\(size >> shift)\(unit)"
        }
        return String(size)
    }

    /// The time with the largest unit that divides it.
    package static func written(time: Nanoseconds) -> String {
        let units: [(UInt64, String)] = [
            (86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "m"),
            (1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us"), (1, "ns"),
        ]
        for (factor, unit) in units where time.count > 0 && time.count % factor == 0 {
            return "\(time.count / factor)\(unit)"
        }
        return "0"
    }

    /// A value as it may stand in an error: short, without control characters.
    package static func shown(_ value: String) -> String { "'" + short(value) + "'" }

    /// At most 80 characters on one line.
    static func short(_ value: String) -> String {
        var text = ""
        for scalar in value.unicodeScalars.prefix(80) {
            text.unicodeScalars.append(scalar.value >= 0x20 && scalar.value != 0x7F ? scalar : "?")
        }
        return text + (value.unicodeScalars.count > 80 ? "..." : "")
    }
}

// MARK: - What was meant

extension SettingText {
    /// How many letters must be added, dropped, replaced or swapped with their neighbour to make one word of the
    /// other; words longer than 100 letters count by their lengths.
    package static func distance(_ left: String, _ right: String) -> Int {
        let a = Array(left.utf8)
        let b = Array(right.utf8)
        guard !a.isEmpty, !b.isEmpty, a.count <= 100, b.count <= 100 else {
            return max(a.count, b.count)
        }
        var before: [Int] = []
        var above = Array(0...b.count)
        for (row, letter) in a.enumerated() {
            var line = [row + 1]
            for (column, other) in b.enumerated() {
                var cost = min(
                    above[column + 1] + 1, line[column] + 1,
                    above[column] + (letter == other ? 0 : 1))
                if row > 0, column > 0, letter == b[column - 1], a[row - 1] == other {
                    cost = min(cost, before[column - 1] + 1)
                }
                line.append(cost)
            }
            before = above
            above = line
        }
        return above[b.count]
    }

    /// The known key that was most likely meant, or nil when none is near. A key with the right last word in
    /// the wrong place counts as near too.
    package static func nearest(to key: String, among known: [String]) -> String? {
        var best: (key: String, distance: Int)?
        for candidate in known {
            let whole = distance(key, candidate)
            let last = distance(lastWord(key), lastWord(candidate)) * 2 + 1
            let near = min(whole, last)
            if near < (best?.distance ?? .max) { best = (candidate, near) }
        }
        guard let best, best.distance <= max(2, lastWord(key).utf8.count / 3) else { return nil }
        return best.key
    }

    private static func lastWord(_ key: String) -> String {
        String(key[(key.lastIndex(of: ".").map(key.index(after:)) ?? key.startIndex)...])
    }
}
