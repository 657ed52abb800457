// `traceparent` (W3C Trace Context, section 3.2): read strictly, answered with a span of our own.

import Contract

enum TraceParent {
    /// Version 00, or what a later version must look like to be read as 00; anything else is no context at all.
    static func read(_ text: String) -> TraceContext? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 55, bytes.count <= 512,
            bytes[2] == dash, bytes[35] == dash, bytes[52] == dash,
            let version = octet(bytes, 0), version != 0xFF,
            bytes.count == 55 || (version > 0 && bytes[55] == dash)
        else { return nil }
        var context: [UInt8] = []
        context.reserveCapacity(25)
        for place in Array(stride(from: 3, to: 35, by: 2)) + stride(from: 36, to: 52, by: 2) + [53]
        {
            guard let value = octet(bytes, place) else { return nil }
            context.append(value)
        }
        return TraceContext(context)
    }

    /// The same trace and flags, another span: one that nobody exports.
    static func write(_ trace: TraceContext, span: UInt64) -> String {
        write(
            trace,
            span: stride(from: 56, through: 0, by: -8).lazy.map {
                UInt8(truncatingIfNeeded: span >> UInt64($0))
            })
    }

    /// As it is.
    static func write(_ span: TraceContext) -> String { write(span, span: span.spanID) }

    private static func write(_ trace: TraceContext, span: some Sequence<UInt8>) -> String {
        var text: [UInt8] = []
        text.reserveCapacity(55)
        func append(_ byte: UInt8) {
            text.append(digit(byte >> 4))
            text.append(digit(byte & 15))
        }
        text += "00-".utf8
        trace.traceID.forEach(append)
        text.append(dash)
        span.forEach(append)
        text.append(dash)
        append(trace.flags)
        return String(decoding: text, as: UTF8.self)
    }

    private static let dash = UInt8(ascii: "-")

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// Two hexadecimal digits in lower case.
    private static func octet(_ bytes: [UInt8], _ place: Int) -> UInt8? {
        func value(_ byte: UInt8) -> UInt8? {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        guard let high = value(bytes[place]), let low = value(bytes[place + 1]) else { return nil }
        return high << 4 | low
    }
}

/// `X-Request-Id`, when a caller brings one.
enum GivenRequestID {
    /// 1 to 128 of `A-Z a-z 0-9 . _ -`: what stands in a log line and in a field as it is.
    static func isAllowed(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "."), UInt8(ascii: "_"),
                    UInt8(ascii: "-"):
                    true
                default: false
                }
            }
    }
}
