// The access log's values: lines in both formats, what is escaped and cut, which calls are kept, what waits and what a full disk
// leaves of a line.

import Contract
import Foundation
import Gateway
import JSONDoor
import NIOCore
import NIOHTTP1
import Testing

/// A body of so many bytes that nobody reads.
private struct Weight: CallBody {
    var byteCount: Int
    func inferenceRequest() throws(CallFailure) -> InferenceRequest {
        throw CallFailure(.internal, .runFailed, "not asked for")
    }
    func question() throws(CallFailure) -> Question { Question() }
}

/// 2026-11-23T06:15:00.250Z, when the monotonic clock says 100 s.
private let wall: UInt64 = 1_795_414_500_250_000_000
private let now = Instant(nanoseconds: 100_000_000_000)

private func call(
    model: String = "iris", version: String = "1", asked: (String, String) = ("iris", ""),
    failure: CallFailure? = nil, client: String = "app", connection: String = "k3-1",
    trace: TraceContext? = nil, timing: Timing = Timing(), total: Nanoseconds = .milliseconds(2)
) -> CallRecord {
    let arrived = Instant(nanoseconds: now.nanoseconds - 500_000_000)
    var call = Call(
        method: .infer, model: asked.0, version: asked.1, arrived: arrived,
        deadline: arrived + .seconds(60), trace: trace, body: Weight(byteCount: 120))
    call.door = .binary
    var traits = CallTraits(call)
    (traits.model, traits.version) = (model, version)
    if let failure { (traits.code, traits.reason) = (failure.code, failure.reason) }
    (traits.issuer, traits.client, traits.plan) = ("local", client, "gold")
    (traits.address, traits.connection) = ("127.0.0.1", connection)
    return CallRecord(
        CallKind(traits), trace: trace, bytesIn: 120, bytesOut: 48, arrived: arrived,
        timing: timing, answered: arrived + total)
}

private func line(_ format: AccessLines.Format, _ call: CallRecord) -> String {
    var lines = AccessLines(format, wall: wall, now: now)
    lines.add(call)
    return String(decoding: lines.bytes, as: UTF8.self)
}

private func line(_ format: AccessLines.Format, _ request: HTTPRecord) -> String {
    var lines = AccessLines(format, wall: wall, now: now)
    lines.add(request)
    return String(decoding: lines.bytes, as: UTF8.self)
}

private func object(_ line: String) throws -> [String: any Sendable] {
    let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
    return try #require(object as? [String: any Sendable])
}

private let trace = TraceContext(
    [
        0x4b, 0xf9, 0x2f, 0x35, 0x77, 0xb3, 0x4d, 0xa6, 0xa3, 0xce, 0x92, 0x9d, 0x0e, 0x0e, 0x47,
        0x36,
    ]
        + [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7, 1])

@Suite struct AccessLinesTests {
    @Test func aCallAsJSON() {
        var timing = Timing()
        timing.admission = .microseconds(10)
        timing.queue = .microseconds(20)
        timing.load = .milliseconds(30)
        timing.fetch = .milliseconds(9)
        timing.create = .milliseconds(20)
        timing.run = .microseconds(40)
        timing.cold = true
        timing.batch = 4
        #expect(
            line(.json, call(trace: trace, timing: timing, total: .milliseconds(31))) == """
                {"time":"2026-11-23T06:14:59.750Z","kind":"call","door":"binary","method":"infer",\
                "model":"iris","version":"1","code":"OK","issuer":"local","client":"app","plan":"gold",\
                "peer":"127.0.0.1","connection":"k3-1","trace":"4bf92f3577b34da6a3ce929d0e0e4736",\
                "bytes_in":120,"bytes_out":48,"auth_us":10,"queue_us":20,"load_us":30000,"fetch_us":9000,"create_us":20000,"run_us":40,\
                "total_us":31000,"cold":true,"batch":4}

                """)
    }

    /// What a line has in common with the one before is kept as bytes: whatever changes has to show.
    @Test func consecutiveCallsKeepNothingOfEachOther() throws {
        var timing = Timing()
        timing.cold = true
        let failure = CallFailure(.unavailable, .modelLoading, "later")
        let calls = [
            call(), call(), call(model: "digits", asked: ("digits", "")), call(version: "2"),
            call(version: "2", asked: ("iris", "latest")), call(client: "other"),
            call(failure: failure), call(failure: CallFailure(.unavailable, .queueFull, "later")),
            call(trace: trace, timing: timing), call(),
            call(model: "", version: "", asked: (String(repeating: "x", count: 999), "")),
            call(model: "", version: "", asked: ("y", "")), call(), call(connection: "k3-2"),
            call(connection: "k3-2"), call(),
        ]
        for format in [AccessLines.Format.json, .common] {
            var lines = AccessLines(format, wall: wall, now: now)
            for call in calls { lines.add(call) }
            let (bytes, count) = lines.take()
            #expect(count == calls.count)
            #expect(
                String(decoding: bytes, as: UTF8.self)
                    == calls.map { line(format, $0) }.joined())
            #expect(lines.bytes.isEmpty && lines.count == 0)
        }
        // Of one kind, as the calls of one connection are.
        var alike = [call()]
        for change in [
            { (call: inout CallRecord) in call.total = .milliseconds(12) },
            { $0.arrived = $0.arrived + .milliseconds(1) }, { $0.bytesIn = 7 }, { $0.bytesOut = 8 },
            { $0.timing.admission = .microseconds(3) }, { $0.timing.queue = .microseconds(4) },
            { $0.timing.load = .microseconds(5) }, { $0.timing.run = .microseconds(1_234_567) },
            { $0.trace = trace }, { $0.timing.batch = 3 }, { $0.trace = nil }, { $0.bytesIn = 9 },
        ] {
            var next = alike[alike.count - 1]
            change(&next)
            alike.append(next)
        }
        var lines = AccessLines(.json, wall: wall, now: now)
        for call in alike { lines.add(call) }
        #expect(
            String(decoding: lines.bytes, as: UTF8.self)
                == alike.map { line(.json, $0) }.joined())
        // The door, the method, the plan, the issuer and the address have no other way to change here.
        for change in [
            { (traits: inout CallTraits) in traits.door = .http },
            { $0.method = .modelMetadata }, { $0.plan = "bronze" }, { $0.issuer = "main" },
            { $0.address = "::1" },
        ] {
            var changed = call()
            changed.change(change)
            var lines = AccessLines(.json, wall: wall, now: now)
            lines.add(call())
            lines.add(changed)
            #expect(
                String(decoding: lines.bytes, as: UTF8.self)
                    == line(.json, call()) + line(.json, changed))
        }
    }

    @Test func aLineShowsTheSecondOfItsCallAlsoWhenTheClockWasSet() throws {
        var clock = LineClock(wall: wall, now: now)
        func shown(_ moment: Instant) -> String {
            clock.turn(to: moment)
            return String(decoding: clock.text, as: UTF8.self)
        }
        #expect(shown(now) == "2026-11-23T06:15:00.250Z")
        #expect(shown(now + .milliseconds(750)) == "2026-11-23T06:15:01.000Z")
        #expect(
            shown(Instant(nanoseconds: now.nanoseconds - 250_000_000)) == "2026-11-23T06:15:00.000Z"
        )
        #expect(
            shown(Instant(nanoseconds: now.nanoseconds - 251_000_000)) == "2026-11-23T06:14:59.999Z"
        )
        // An hour back.
        clock.set(wall: wall - 3_600_000_000_000, now: now)
        #expect(shown(now) == "2026-11-23T05:15:00.250Z")
        #expect(String(decoding: clock.common, as: UTF8.self) == "23/Nov/2026:05:15:00 +0000")
    }

    @Test func aRefusedCallAsJSON() throws {
        let refused = try object(
            line(
                .json,
                call(
                    model: "", version: "", asked: ("nobody", "latest"),
                    failure: CallFailure(.notFound, .modelNotFound, "no such model"))))
        #expect(refused["code"] as? String == "NOT_FOUND")
        #expect(refused["reason"] as? String == "MODEL_NOT_FOUND")
        #expect(refused["asked_model"] as? String == "nobody")
        #expect(refused["asked_version"] as? String == "latest")
        #expect(refused["model"] == nil && refused["trace"] == nil)
        #expect(refused["cold"] as? Bool == false)
    }

    @Test func aCallInTheCommonFormat() {
        #expect(
            line(.common, call(trace: trace)) == """
                127.0.0.1 - app [23/Nov/2026:06:14:59 +0000] "infer /iris/1 sluice/1" 200 48 "-" "-" \
                time=2026-11-23T06:14:59.750Z kind=call door=binary code=OK reason=- issuer=local plan=gold \
                connection=k3-1 trace=4bf92f3577b34da6a3ce929d0e0e4736 bytes_in=120 auth_us=0 queue_us=0 \
                load_us=0 run_us=0 total_us=2000 cold=false batch=0

                """)
    }

    @Test func aRequestThatWasNoCall() throws {
        var request = HTTPRecord(
            status: 401, code: .unauthenticated, reason: .tokenMissing, address: "::1",
            connection: "k3-2", bytesOut: 91, answered: now)
        request.method = "POST"
        request.route = "/v2/models/{model}/infer"
        request.request = "k3-2-7"
        request.total = .microseconds(35)
        #expect(
            line(.json, request) == """
                {"time":"2026-11-23T06:15:00.250Z","kind":"request","door":"http","method":"POST",\
                "route":"/v2/models/{model}/infer","status":401,"code":"UNAUTHENTICATED",\
                "reason":"TOKEN_MISSING","peer":"::1","connection":"k3-2","request":"k3-2-7",\
                "bytes_in":0,"bytes_out":91,"total_us":35}

                """)
        #expect(
            line(.common, request) == """
                ::1 - - [23/Nov/2026:06:15:00 +0000] "POST /v2/models/{model}/infer HTTP/1.1" 401 91 "-" "-" \
                time=2026-11-23T06:15:00.250Z kind=request door=http code=UNAUTHENTICATED \
                reason=TOKEN_MISSING connection=k3-2 request=k3-2-7 bytes_in=0 total_us=35

                """)
    }

    /// A name that would begin a line, end a string or steer a terminal does none of it, and a long one is cut.
    @Test func whatCallersSayBreaksNoLine() throws {
        let evil = "a\"b\\c\n{\"d\":1}\r\u{1B}[31m\u{0} [x]é"
        for format in [AccessLines.Format.json, .common] {
            let written = line(
                format, call(model: "", version: "", asked: (evil, evil), client: evil))
            #expect(written.hasSuffix("\n") && written.dropLast().utf8.allSatisfy { $0 >= 0x20 })
        }
        let json = try object(
            line(
                .json, call(model: "", version: "", asked: (evil, evil), client: evil)))
        #expect(json["client"] as? String == evil)
        #expect(json["asked_model"] as? String == evil && json["asked_version"] as? String == evil)
        let common = line(.common, call(client: evil))
        #expect(
            common.contains(
                #"- a\x22b\x5cc\x0a{\x22d\x22:1}\x0d\x1b\x5b31m\x00\x20\x5bx\x5dé [23/Nov"#))

        let long = String(repeating: "é", count: 10_000)
        let cut = try object(
            line(.json, call(model: "", version: "", asked: (long, ""), client: long)))
        #expect(cut["client"] as? String == String(repeating: "é", count: 128))
        #expect((cut["asked_model"] as? String)?.utf8.count == 256)
    }

    @Test func errorsAndColdCallsAreKeptAndTheRestByTraceOrInTurn() throws {
        let tenth = AccessSampling(oneIn: 10)
        #expect(tenth.keeps(isNotable: true, trace: nil, number: 3))
        #expect(
            (0..<100).filter { tenth.keeps(isNotable: false, trace: nil, number: $0) }.count == 10)
        // The same trace is kept or left out whatever came before.
        var bytes = try #require(trace).bytes
        var kept = 0
        for last in UInt8.min ... .max {
            bytes[15] = last
            let first = tenth.keeps(isNotable: false, trace: TraceContext(bytes), number: 0)
            let again = tenth.keeps(isNotable: false, trace: TraceContext(bytes), number: 7)
            #expect(first == again)
            kept += first ? 1 : 0
        }
        #expect((25...26).contains(kept))
        let none = AccessSampling(oneIn: 0)
        #expect(!none.keeps(isNotable: false, trace: nil, number: 0))
        #expect(none.keeps(isNotable: true, trace: nil, number: 0))
        #expect(AccessSampling(oneIn: 1).keeps(isNotable: false, trace: trace, number: 5))
    }

    @Test func aBacklogIsBoundedAndCountsWhatItDrops() {
        var backlog = Backlog<Int>(countMax: 1_000)
        let places = (0..<1_500).map { backlog.add($0) }
        #expect(places[0] == .first && places[1..<1_000].allSatisfy { $0 == .behind })
        #expect(places[1_000...].allSatisfy { $0 == .none })
        #expect(backlog.count == 1_000 && backlog.dropped == 500)
        let (pieces, dropped) = backlog.take()
        #expect(pieces.flatMap { $0 } == Array(0..<1_000) && dropped == 500)
        #expect(backlog.count == 0 && backlog.dropped == 0)
        let next = backlog.add(1)
        #expect(next == .first)
    }

    /// Wherever the disk stops taking bytes, no line is written in two halves with another between.
    @Test func aFullDiskLeavesWholeLines() {
        let lines = Array("one\ntwo\nthree\n".utf8)
        for taken in 0...lines.count {
            var rest = LineRest()
            let lost = rest.took(taken, of: lines[...])
            let disk = Array(lines[..<taken]) + rest.bytes
            #expect(disk.isEmpty || disk.last == UInt8(ascii: "\n"), "\(taken)")
            #expect(LineRest.count(disk[...]) + lost == 3, "\(taken)")
            if !rest.bytes.isEmpty {
                rest.took(1)
                #expect(disk.suffix(rest.bytes.count) == rest.bytes[...])
            }
        }
    }

    @Test func slowCallsAreToldOfInTurn() {
        var slow = SlowCalls(perSecond: 10)
        let told = (0..<100).filter { _ in slow.add(call(), at: now) }
        #expect(told == [0])
        let (calls, unsaid) = slow.take()
        #expect(calls.count == 10 && unsaid == 90)
        let wakes = slow.add(call(), at: now + .seconds(1))
        #expect(wakes)
        let (later, none) = slow.take()
        #expect(later.count == 1 && none == 0)
    }

    @Test func thePhasesOfASlowCall() {
        var timing = Timing()
        timing.admission = .milliseconds(2)
        timing.load = .milliseconds(1_200)
        timing.run = .milliseconds(20)
        #expect(
            call(timing: timing, total: .milliseconds(1_225)).phases
                == "auth 2 ms, load 1.2 s, queue 0 ns, run 20 ms, other 3 ms")
        timing.cold = true
        timing.fetch = .milliseconds(900)
        timing.create = .milliseconds(300)
        timing.run = .zero
        #expect(
            call(
                failure: CallFailure(.deadlineExceeded, .deadlinePast, "too late"), timing: timing,
                total: .milliseconds(1_302)
            ).phases
                == "auth 2 ms, load 1.2 s (fetch 900 ms, create 300 ms), queue 0 ns, run 0 ns, unfinished 100 ms"
        )
    }
}
