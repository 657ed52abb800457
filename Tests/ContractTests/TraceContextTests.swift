// What a trace context is, and what is none.

import Contract
import Testing

@Suite struct TraceContextTests {
    private let good = [UInt8](1...25)

    @Test func itsPartsAreItsBytes() throws {
        let context = try #require(TraceContext(good))
        #expect(Array(context.traceID) == Array(1...16) && Array(context.spanID) == Array(17...24))
        #expect(context.traceText == "0102030405060708090a0b0c0d0e0f10")
        #expect(context.spanText == "1112131415161718")
        #expect(context.flags == 25 && context.isSampled)
    }

    @Test func whatHasAnotherLengthOrNoIdIsNone() {
        #expect(TraceContext(Array(good.dropLast())) == nil && TraceContext(good + [0]) == nil)
        #expect(TraceContext([]) == nil)
        #expect(TraceContext([UInt8](repeating: 0, count: 16) + Array(1...9)) == nil)
        #expect(TraceContext(Array(1...16) + [UInt8](repeating: 0, count: 9)) == nil)
    }

    @Test func aChildIsInItsParentsTrace() throws {
        let parent = try #require(TraceContext(good))
        let child = TraceContext(
            childOf: parent, newTrace: (1, 2), span: 0x0102, isSampled: false)
        #expect(child.traceID == parent.traceID && child.spanText == "0000000000000102")
        #expect(!child.isSampled)
        let root = TraceContext(childOf: nil, newTrace: (1, 2), span: 3, isSampled: true)
        #expect(root.traceText == "00000000000000010000000000000002")
        #expect(root.isSampled && TraceContext(root.bytes) == root)
    }
}
