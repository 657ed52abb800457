// Which calls are exported.

import Contract
import Testing
import Traces

@Suite struct TracePolicyTests {
    private func policy(_ ratio: Double, errors: Bool = false, cold: Bool = false) -> TracePolicy {
        var policy = TracePolicy()
        policy.ratio = ratio
        policy.errors = errors
        policy.cold = cold
        return policy
    }

    private func isExported(
        _ policy: TracePolicy, parent: TraceContext? = nil, failure: CallFailure? = nil,
        client: String = "app1", cold: Bool = false
    ) -> Bool {
        let tracer = Tracer(policy)
        var timing = Timing()
        timing.cold = cold
        let call = record(parent: parent, failure: failure, client: client, timing: timing)
        return tracer.end(tracer.begin(parent), call) != nil
    }

    private let failure = CallFailure(.internal, .runFailed, "broken")

    @Test func aCallerThatHasDecidedIsFollowed() {
        #expect(isExported(policy(0), parent: context(flags: 1)))
        #expect(isExported(policy(0), parent: context(flags: 0xFF)))
        #expect(!isExported(policy(1), parent: context(flags: 0)))
        #expect(!isExported(policy(1), parent: context(flags: 2)))
    }

    @Test func orIsNotWhenTheSettingsSaySo() {
        var none = policy(0)
        none.follows = false
        var all = policy(1)
        all.follows = false
        #expect(!isExported(none, parent: context(flags: 1)))
        #expect(isExported(all, parent: context(flags: 0)))
    }

    @Test func failuresAndColdCallsAreAddedAtTheEnd() {
        #expect(!isExported(policy(0), failure: failure))
        #expect(isExported(policy(0, errors: true), failure: failure))
        #expect(isExported(policy(0, errors: true), parent: context(flags: 0), failure: failure))
        #expect(!isExported(policy(0, errors: true)))
        #expect(!isExported(policy(0), cold: true))
        #expect(isExported(policy(0, cold: true), cold: true))
    }

    /// Neither a flag nor a failure of somebody nobody knows fills the queue.
    @Test func strangersAreChosenByChanceAlone() {
        let all = policy(0, errors: true, cold: true)
        #expect(!isExported(all, parent: context(flags: 1), failure: failure, client: ""))
        #expect(isExported(policy(1), parent: context(flags: 0), failure: failure, client: ""))
    }

    @Test func chanceIsWhatTheRatioSays() {
        let tracer = Tracer(policy(0.25))
        let call = record()
        var (count, changed) = (0, 0)
        for _ in 0..<40_000 {
            let span = tracer.begin(nil)
            let isExported = tracer.end(span, call) != nil
            if isExported { count += 1 }
            if isExported != span.isSampled { changed += 1 }
        }
        #expect(changed == 0)
        #expect((9_000...11_000).contains(count), "\(count) of 40000")
        #expect(policy(1).chooses(0) && policy(1).chooses(.max))
        #expect(!policy(0).chooses(0) && !policy(0).chooses(.max))
    }

    @Test func oneTraceIsDecidedAlikeEverywhere() {
        let (few, many) = (policy(0.1), policy(0.5))
        for low in stride(from: 0, to: 1 << 56 as UInt64, by: 1 << 48 + 12_345) {
            if few.chooses(low) { #expect(many.chooses(low), "\(low)") }
            #expect(many.chooses(low) == many.chooses(low | 0xAB << 56))
        }
    }

    @Test func theSpanIsInTheCallersTraceAndNewEachTime() throws {
        let tracer = Tracer(policy(1))
        let parent = try #require(context())
        let call = record()
        var seen: Set<String> = []
        for _ in 0..<1_000 {
            let child = try #require(tracer.end(tracer.begin(parent), call))
            #expect(child.traceID == parent.traceID && child.isSampled)
            let root = try #require(tracer.end(tracer.begin(nil), call))
            seen.formUnion([child.spanText, root.spanText, root.traceText])
        }
        #expect(seen.count == 3_000)
    }
}
