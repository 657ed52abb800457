// The caller's trace context as text.

import Foundation
import SluiceClient
import Testing

@Suite struct TraceTests {
    private static let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    @Test func textIsTheBytes() {
        var options = CallOptions()
        #expect(options.traceparent.isEmpty)
        options.traceparent = Self.good
        #expect(options.trace.count == 25)
        #expect(options.trace.prefix(2) == [0x4B, 0xF9] && options.trace.last == 1)
        #expect(options.traceparent == Self.good)
        options.trace = Array(1...25)
        #expect(
            options.traceparent == "00-0102030405060708090a0b0c0d0e0f10-1112131415161718-19")
        options.traceparent = ""
        #expect(options.trace.isEmpty)
    }

    @Test func aLaterVersionIsReadAsTheFirst() {
        var options = CallOptions()
        options.traceparent = "cc" + Self.good.dropFirst(2) + "-more-to-come"
        #expect(options.traceparent == Self.good)
    }

    @Test(arguments: [
        "garbage", "ff" + good.dropFirst(2), good.uppercased(), good + "-more",
        String(good.dropLast()), "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        good.replacingOccurrences(of: "-", with: "_"), "---", "00-é-00f067aa0ba902b7-01",
    ])
    func whatIsNoContextIsNone(_ text: String) {
        var options = CallOptions()
        options.traceparent = Self.good
        options.traceparent = text
        #expect(options.trace.isEmpty)
    }
}
