// Which trace a call belongs to (W3C Trace Context). Doors read it from their callers, traces name their spans by it.

/// 16 bytes trace id, 8 bytes span id, flags. Neither id is all zeros.
package struct TraceContext: Sendable, Hashable {
    package let bytes: [UInt8]

    /// The context, or nil unless there are exactly 25 bytes with two ids that mean something (section 3.2.2): a caller's context
    /// that is wrong is no context, never an error.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == 25, bytes[..<16].contains(where: { $0 != 0 }),
            bytes[16..<24].contains(where: { $0 != 0 })
        else { return nil }
        self.bytes = bytes
    }

    /// The trace that `parent` began or, without one, a new trace; and a span in it.
    /// - Parameters:
    ///   - newTrace: the id of the trace when there is no parent; not zero.
    ///   - span: not zero.
    package init(
        childOf parent: TraceContext?, newTrace: (high: UInt64, low: UInt64), span: UInt64,
        isSampled: Bool
    ) {
        precondition(span != 0 && newTrace.high | newTrace.low != 0, "an id of zeros is none")
        var bytes: [UInt8] = []
        bytes.reserveCapacity(25)
        func append(_ number: UInt64) {
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> UInt64(shift)))
            }
        }
        if let parent {
            bytes += parent.bytes[..<16]
        } else {
            append(newTrace.high)
            append(newTrace.low)
        }
        append(span)
        bytes.append(isSampled ? TraceContext.sampledFlag : 0)
        self.bytes = bytes
    }

    package static let sampledFlag: UInt8 = 1

    package var traceID: ArraySlice<UInt8> { bytes[..<16] }
    package var spanID: ArraySlice<UInt8> { bytes[16..<24] }
    package var flags: UInt8 { bytes[24] }
    /// Whoever sent it records this trace.
    package var isSampled: Bool { flags & TraceContext.sampledFlag != 0 }

    /// The ids as they are written everywhere: 32 and 16 hexadecimal digits in lower case.
    package var traceText: String { TraceContext.text(traceID) }
    package var spanText: String { TraceContext.text(spanID) }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        func digit(_ value: UInt8) -> UInt8 {
            value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
        }
        return String(
            decoding: bytes.flatMap { [digit($0 >> 4), digit($0 & 15)] }, as: UTF8.self)
    }
}
