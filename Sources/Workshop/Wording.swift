// Sizes and times for people.

/// Numbers in words.
package enum Wording {
    /// For example `1.2 MB`: in thousands, as disks are sold.
    package static func bytes(_ count: UInt64) -> String {
        var value = Double(count)
        var unit = "B"
        for next in ["kB", "MB", "GB", "TB"] where value >= 999.5 {
            value /= 1_000
            unit = next
        }
        return unit == "B" ? "\(count) B" : "\(rounded(value)) \(unit)"
    }

    /// Microseconds, for example `3.4 ms`.
    package static func time(_ microseconds: Double) -> String {
        switch microseconds {
        case ..<999.5: "\(rounded(microseconds)) us"
        case ..<999_500: "\(rounded(microseconds / 1_000)) ms"
        default: "\(rounded(microseconds / 1_000_000)) s"
        }
    }

    package static func time(_ time: Duration) -> String {
        Wording.time(time / .microseconds(1))
    }

    /// A limit as the operator gives it: `10m`, `30s`, `500ms`.
    static func limit(_ time: Duration) -> String {
        let milliseconds = Int64(time / .milliseconds(1))
        if milliseconds % 60_000 == 0 { return "\(milliseconds / 60_000)m" }
        if milliseconds % 1_000 == 0 { return "\(milliseconds / 1_000)s" }
        return "\(milliseconds)ms"
    }

    static func limit(_ bytes: UInt64) -> String {
        for (unit, name) in [(UInt64(1) << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        where bytes.isMultiple(of: unit) && bytes > 0 {
            return "\(bytes / unit)\(name)"
        }
        return "\(bytes)"
    }

    /// A difference, for example `1.2e-7`.
    package static func difference(_ value: Double) -> String {
        guard value > 0 else { return "0" }
        var exponent = 0
        var mantissa = value
        while mantissa < 1 { (mantissa, exponent) = (mantissa * 10, exponent - 1) }
        while mantissa >= 10 { (mantissa, exponent) = (mantissa / 10, exponent + 1) }
        let shown = (mantissa * 10).rounded() / 10
        return exponent == 0 ? "\(shown)" : "\(shown)e\(exponent)"
    }

    private static func rounded(_ value: Double) -> String {
        value >= 9.95 ? "\(Int(value.rounded()))" : "\((value * 10).rounded() / 10)"
    }
}
