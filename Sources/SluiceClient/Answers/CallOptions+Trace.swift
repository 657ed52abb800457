// W3C trace context (https://www.w3.org/TR/trace-context/) as programs hand it around: the value of the field `traceparent`.

extension CallOptions {
    /// The caller's span, as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`: the gateway's spans of this call
    /// become its children. Empty: none. What is no trace context is taken as none, as the recommendation has it.
    ///
    /// Any tracer writes this text; with swift-distributed-tracing, where `context` is the current `ServiceContext`:
    ///
    ///     var fields: [String: String] = [:]
    ///     InstrumentationSystem.instrument.inject(context, into: &fields, using: FieldInjector())
    ///     options.traceparent = fields["traceparent"] ?? ""
    public var traceparent: String {
        get {
            guard trace.count == 25 else { return "" }
            func digits(_ bytes: ArraySlice<UInt8>) -> String {
                bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
            }
            return "00-\(digits(trace[..<16]))-\(digits(trace[16..<24]))-\(digits(trace[24...]))"
        }
        set { trace = CallOptions.trace(newValue) ?? [] }
    }

    /// Section 3.2: version 00, or what a later one must look like to be read as 00.
    private static func trace(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, text.utf8.count <= 512,
            let version = bytes(parts[0], count: 1), version != [0xFF],
            version != [0] || parts.count == 4,
            let identifier = bytes(parts[1], count: 16), identifier.contains(where: { $0 != 0 }),
            let span = bytes(parts[2], count: 8), span.contains(where: { $0 != 0 }),
            let flags = bytes(parts[3], count: 1)
        else { return nil }
        return identifier + span + flags
    }

    /// Hexadecimal digits in lower case, two a byte.
    private static func bytes(_ text: Substring, count: Int) -> [UInt8]? {
        let digits = text.utf8.map { byte -> UInt8? in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        guard digits.count == 2 * count else { return nil }
        var bytes: [UInt8] = []
        for place in stride(from: 0, to: digits.count, by: 2) {
            guard let high = digits[place], let low = digits[place + 1] else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }
}
