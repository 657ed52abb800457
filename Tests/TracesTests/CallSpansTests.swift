// A call's record as spans: who is whose parent, and when.

import Contract
import Testing
import Traces

@Suite struct CallSpansTests {
    /// Second 10 of the monotonic clock is second 1,000 of the wall's.
    private let maker = CallSpans(
        anchor: WallAnchor(moment: .ms(0), wall: 1_000_000_000_000))

    private func spans(_ call: CallRecord) -> [TraceSpan] {
        var call = call
        let tracer = Tracer(everything)
        call.span = tracer.end(tracer.begin(call.trace), call)
        return maker.spans(of: call)
    }

    private var everything: TracePolicy {
        var policy = TracePolicy()
        policy.ratio = 1
        policy.follows = false
        return policy
    }

    private func marks() -> CallMarks {
        var marks = CallMarks(received: .ms(0), begun: .ms(1))
        marks.admitted = .ms(3)
        marks.prepared = .ms(4)
        return marks
    }

    /// Start and end in milliseconds from the call's arrival.
    private func times(_ span: TraceSpan) -> [UInt64] {
        [span.start, span.end].map { ($0 - 1_000_000_000_000) / 1_000_000 }
    }

    @Test func aWarmCall() throws {
        var timing = Timing()
        timing.queue = .milliseconds(5)
        timing.run = .milliseconds(7)
        timing.cpu = .milliseconds(6)
        let spans = spans(record(timing: timing, marks: marks()))
        #expect(
            spans.map(\.name) == [
                "sluice/infer", "accept", "admission", "catalogue", "queue", "run",
            ])
        #expect(spans.map(times) == [[0, 20], [0, 1], [1, 3], [3, 4], [4, 9], [9, 16]])
        let server = spans[0]
        #expect(server.kind == .server && server.parent.isEmpty && !server.isRemote)
        for step in spans.dropFirst() {
            #expect(step.kind == .internal && step.parent == server.identifier)
            #expect(step.trace == server.trace && step.status == .unset)
        }
        #expect(Set(spans.map(\.identifier)).count == 6)
        #expect(spans[5].attribute("sluice.cpu_ns") == .number(6_000_000))
        #expect(server.attribute("sluice.model") == .text("iris"))
        #expect(server.attribute("sluice.version") == .text("1"))
        #expect(server.attribute("sluice.client") == .text("app1"))
        #expect(server.attribute("sluice.status") == .text("OK"))
        #expect(server.attribute("sluice.cold") == .flag(false))
        #expect(server.attribute("rpc.system") == .text("sluice"))
        #expect(server.attribute("rpc.method") == .text("infer"))
        #expect(server.attribute("sluice.request.bytes") == .number(12))
    }

    @Test func aColdCallWithItsFetchAndItsLoad() throws {
        var timing = Timing()
        timing.cold = true
        timing.load = .milliseconds(14)
        timing.fetch = .milliseconds(4)
        timing.create = .milliseconds(5)
        timing.run = .milliseconds(3)
        let spans = spans(record(parent: context(), timing: timing, marks: marks()))
        #expect(
            spans.map(\.name) == [
                "sluice/infer", "accept", "admission", "catalogue", "wake", "fetch", "create",
                "first_run",
            ])
        let wake = try #require(spans.first { $0.name == "wake" })
        #expect(spans[5...].map(times) == [[4, 8], [9, 14], [14, 17]])
        #expect(times(wake) == [4, 14])
        #expect(spans[5].parent == wake.identifier && spans[6].parent == wake.identifier)
        #expect(spans[7].parent == spans[0].identifier)
        #expect(spans[0].parent == Array(1...8) && spans[0].isRemote)
        #expect(spans.allSatisfy { $0.trace == Array(1...16) })
    }

    /// Its deadline passed while it waited.
    @Test func aCallThatNeverGotItsModel() throws {
        var timing = Timing()
        timing.cold = true
        let failure = CallFailure(.deadlineExceeded, .deadlinePast, "too late")
        let spans = spans(record(failure: failure, timing: timing, marks: marks()))
        #expect(spans.map(\.name).last == "wake" && spans.last.map(times) == [4, 20])
        #expect(spans[0].status == .error("DEADLINE_PAST"))
        #expect(spans[0].attribute("sluice.reason") == .text("DEADLINE_PAST"))
        #expect(spans[0].attribute("error.type") == .text("DEADLINE_EXCEEDED"))
    }

    @Test func theIssuerIsAskedWithinTheAdmissionOrBeforeTheBody() throws {
        var marks = marks()
        marks.asked = .ms(1)
        marks.told = .ms(2)
        var spans = spans(record(marks: marks))
        #expect(spans.map(\.name)[2...3] == ["admission", "introspection"])
        #expect(spans[3].parent == spans[2].identifier && times(spans[3]) == [1, 2])
        marks.begun = .ms(3)
        marks.admitted = .ms(3)
        spans = self.spans(record(marks: marks))
        #expect(spans.map(\.name)[1...3] == ["accept", "introspection", "admission"])
        #expect(spans[2].parent == spans[1].identifier && times(spans[2]) == [1, 2])
    }

    /// Its upload took three milliseconds, which are not the call's own.
    @Test func theSpanBeginsWithTheHead() {
        var marks = CallMarks(
            received: Instant(nanoseconds: 9_997_000_000), begun: .ms(1))
        marks.asked = Instant(nanoseconds: 9_998_000_000)
        marks.told = .ms(0)
        let spans = spans(record(marks: marks))
        #expect(spans.map(\.name) == ["sluice/infer", "accept", "introspection"])
        #expect(spans[0].start == 999_997_000_000 && spans[1].start == 999_997_000_000)
        #expect(spans[2].start == 999_998_000_000)
        #expect(spans[0].end == 1_000_020_000_000)
    }

    @Test func aCallThatWasRefusedEndsWhereItWas() {
        var marks = CallMarks(received: .ms(0), begun: .ms(1))
        marks.admitted = .ms(2)
        let failure = CallFailure(.permissionDenied, .scopeMissing, "no")
        let spans = spans(record(failure: failure, marks: marks))
        #expect(spans.map(\.name) == ["sluice/infer", "accept", "admission"])
        // What the caller did wrong is no error of ours.
        #expect(spans[0].status == .unset)
    }

    @Test(arguments: StatusCode.allCases) func theServersFaultsAreErrors(_ code: StatusCode) {
        let failure = code == .ok ? nil : CallFailure(code, .none, "why")
        let status = spans(record(failure: failure))[0].status
        let faults: Set<StatusCode> = [
            .unknown, .deadlineExceeded, .unimplemented, .internal, .unavailable, .dataLoss,
        ]
        #expect(status == (faults.contains(code) ? .error(code.name) : .unset))
    }

    /// Neither what the caller wrote nor what a failure says of it.
    @Test func nothingThatACallerWroteIsThere() {
        let failure = CallFailure(.notFound, .modelNotFound, "no model 'asked'")
        var call = record(failure: failure)
        call.change { ($0.model, $0.version) = ("", "") }
        #expect(!"\(spans(call))".contains("asked"))
    }

    @Test func aCallThatIsNotExportedHasNone() { #expect(maker.spans(of: record()).isEmpty) }

    /// Whatever the record says: no step ends before it starts, begins before its call or ends after it.
    @Test func timesAreNeverNegative() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = Seeded(seed)
        func time() -> Nanoseconds {
            Nanoseconds(Bool.random(using: &random) ? 0 : random.next() >> (random.next() % 64))
        }
        for round in 0..<1_000 {
            var timing = Timing()
            timing.cold = Bool.random(using: &random)
            (timing.load, timing.fetch, timing.create) = (time(), time(), time())
            (timing.queue, timing.run, timing.cpu) = (time(), time(), time())
            var marks = CallMarks(
                received: Instant(nanoseconds: time().count),
                begun: Instant(nanoseconds: time().count))
            for path in [\CallMarks.asked, \.told, \.admitted, \.prepared]
            where Bool.random(using: &random) {
                marks[keyPath: path] = Instant(nanoseconds: time().count)
            }
            let spans = spans(record(timing: timing, total: time(), marks: marks))
            let wrong = spans.first { span in
                span.start > span.end || span.start < spans[0].start || span.end > spans[0].end
            }
            #expect(wrong == nil, "seed \(seed), round \(round)")
        }
    }
}

@Suite struct WallAnchorTests {
    private let anchor = WallAnchor(moment: .ms(0), wall: 1_000_000_000_000)

    @Test func instantsAreMomentsOfTheDay() {
        #expect(anchor.time(of: .ms(0)) == 1_000_000_000_000)
        #expect(anchor.time(of: .ms(5)) == 1_000_005_000_000)
        #expect(anchor.time(of: Instant(nanoseconds: 9_999_000_000)) == 999_999_000_000)
    }

    @Test func nothingWrapsAround() {
        #expect(anchor.time(of: .max) == .max)
        #expect(WallAnchor(moment: .ms(0), wall: 5).time(of: Instant(nanoseconds: 0)) == 0)
    }
}
