// What is counted of calls, how much of it there may be, and whether docs/metrics.md says the same.

import Contract
import Foundation
import Gateway
import NIOCore
import Telemetry
import Testing

private struct NoBody: CallBody {
    var byteCount = 100
    func inferenceRequest() throws(CallFailure) -> InferenceRequest {
        throw CallFailure(.internal, .none, "not asked for")
    }
    func question() throws(CallFailure) -> Question { Question() }
}

/// A call that was answered 5 ms after it came.
private func record(
    _ model: String = "iris", version: String = "1", method: Contract.Method = .infer,
    asked: String = "", failure: CallFailure? = nil, client: String = "team", plan: String = "",
    cold: Bool = false, ran: Bool = true
) -> CallRecord {
    var timing = Timing()
    if ran {
        timing.run = .milliseconds(2)
        timing.queue = .microseconds(10)
        timing.cpu = .milliseconds(1)
    }
    if cold {
        timing.cold = true
        timing.load = .milliseconds(1)
    }
    let arrived = Instant(nanoseconds: 1_000)
    let call = Call(
        method: method, model: asked, version: "", arrived: arrived,
        deadline: arrived + .seconds(1), body: NoBody())
    var traits = CallTraits(call)
    (traits.model, traits.version) = (model, version)
    if let failure { (traits.code, traits.reason) = (failure.code, failure.reason) }
    (traits.client, traits.plan) = (client, plan)
    return CallRecord(
        CallKind(traits), bytesIn: 100, bytesOut: 20, arrived: arrived, timing: timing,
        answered: arrived + .milliseconds(5))
}

private func lines(_ book: MetricBook, _ format: MetricPage.Format = .prometheus) -> [String] {
    var page = MetricPage(format)
    book.write(to: &page)
    return String(decoding: page.bytes, as: UTF8.self).split(separator: "\n").map { String($0) }
        .filter { !$0.hasPrefix("#") }
}

@Suite struct CallMetricsTests {
    @Test func aCallIsCountedWhereItBelongs() {
        let book = MetricBook()
        let calls = CallMetrics(book, modelsMax: 10)
        calls.answered(record(plan: "gold", cold: true))
        calls.answered(record())
        calls.answered(
            record(
                "", version: "", asked: "no\"such\n",
                failure: CallFailure(.notFound, .modelNotFound, "no"),
                ran: false))
        calls.answered(record("", version: "", method: .repositoryIndex, ran: false))
        let lines = lines(book)
        for expected in [
            #"sluice_calls_total{model="iris",version="1",door="binary",method="infer",code="OK"} 2"#,
            #"sluice_calls_total{model="",version="",door="binary",method="infer",code="NOT_FOUND"} 1"#,
            #"sluice_calls_total{model="",version="",door="binary",method="models.index",code="OK"} 1"#,
            #"sluice_plan_calls_total{plan="gold",code="OK"} 1"#,
            #"sluice_cold_calls_total{model="iris",version="1"} 1"#,
            #"sluice_call_seconds_sum{model="iris",version="1"} 0.01"#,
            #"sluice_call_seconds_bucket{model="iris",version="1",le="0.0025"} 0"#,
            #"sluice_call_seconds_bucket{model="iris",version="1",le="0.005"} 2"#,
            #"sluice_call_run_seconds_count{model="iris",version="1"} 2"#,
            #"sluice_call_queue_seconds_sum{model="iris",version="1"} 0.00002"#,
            #"sluice_call_load_seconds_count{model="iris",version="1"} 1"#,
            #"sluice_call_cpu_seconds_total{model="iris",version="1"} 0.002"#,
            #"sluice_request_bytes_total{model="iris",version="1"} 200"#,
            #"sluice_response_bytes_total{model="iris",version="1"} 40"#,
            "sluice_call_auth_seconds_count 0",
        ] {
            #expect(lines.contains(expected), "\(expected)")
        }
        #expect(!lines.contains { $0.contains("such") })
    }

    /// Two loops' tallies come to the same as counting at once, also when they hold more models than they keep apart.
    @Test func talliesComeToTheSame() {
        let (book, tallied) = (MetricBook(), MetricBook())
        let (calls, brought) = (
            CallMetrics(book, modelsMax: 5_000), CallMetrics(tallied, modelsMax: 5_000)
        )
        let tallies = [CallTally(brought), CallTally(brought)]
        for number in 0..<6_000 {
            var call = record(
                number % 3 == 0 ? "model-\(number % 1_500)" : "iris",
                failure: number % 7 == 0
                    ? CallFailure(.notFound, .modelNotFound, "no") : nil,
                plan: "plan-\(number % 90)", cold: number % 5 == 0)
            if number % 11 == 0 { call.timing.admission = .microseconds(UInt64(number)) }
            if number % 100 == 0 {
                call.span = TraceContext([UInt8](repeating: 1, count: 25))
            }
            calls.answered(call)
            tallies[number % 2].answered(call)
            if number == 3_000 { tallies[0].settle() }
        }
        for tally in tallies { tally.settle() }
        #expect(Set(lines(tallied)) == Set(lines(book)))
        // Brought once.
        for tally in tallies { tally.settle() }
        #expect(Set(lines(tallied)) == Set(lines(book)))
        #expect(lines(book).count > 5_000)
    }

    /// Names that callers invent make no series: neither clients nor models they only asked for.
    @Test func aHundredThousandClientsAreNoSeries() {
        let book = MetricBook()
        let calls = CallMetrics(book, modelsMax: 10)
        calls.answered(record(client: "first"))
        let before = lines(book).count
        for number in 0..<100_000 {
            calls.answered(record(asked: "name-\(number)", client: "client-\(number)"))
        }
        let after = lines(book)
        #expect(after.count == before)
        #expect(
            after.contains(
                #"sluice_calls_total{model="iris",version="1",door="binary",method="infer",code="OK"} 100001"#
            ))
    }

    @Test func modelsBeyondTheBoundAreCountedTogether() {
        let book = MetricBook()
        let calls = CallMetrics(book, modelsMax: 10)
        for number in 0..<1_000 { calls.answered(record("model-\(number)")) }
        let counted = lines(book).filter { $0.hasPrefix("sluice_calls_total") }
        #expect(counted.count <= 12)
        #expect(counted.contains { $0.contains("model=\"other\"") && $0.hasSuffix(" 989") })
        let sum = counted.compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }
            .reduce(0, +)
        #expect(sum == 1_000)
    }

    @Test func versionsThatHaveGoneMakeRoom() {
        let book = MetricBook()
        let calls = CallMetrics(book, modelsMax: 4)
        for number in 0..<6 { calls.answered(record("model-\(number)")) }
        calls.keep { model, _ in model == "model-0" }
        calls.answered(record("model-5"))
        let counted = lines(book).filter { $0.hasPrefix("sluice_calls_total") }
        #expect(counted.contains { $0.contains("model=\"model-5\"") && $0.hasSuffix(" 1") })
        #expect(counted.contains { $0.contains("model=\"model-0\"") && $0.hasSuffix(" 1") })
        #expect(!counted.contains { $0.contains("model=\"model-1\"") })
        #expect(counted.contains { $0.contains("model=\"other\"") })
    }

    @Test func anExemplarIsTheCallsOwnSpan() {
        let book = MetricBook()
        let calls = CallMetrics(book, modelsMax: 10)
        var call = record()
        let bytes = [UInt8](repeating: 0xAB, count: 16) + [UInt8](repeating: 0xCD, count: 8) + [1]
        call.span = TraceContext(bytes)
        calls.answered(call)
        let trace = String(repeating: "ab", count: 16)
        let span = String(repeating: "cd", count: 8)
        #expect(
            lines(book, .openMetrics).contains {
                $0.hasPrefix(
                    #"sluice_call_seconds_bucket{model="iris",version="1",le="0.005"} 1 # {trace_id="\#(trace)",span_id="\#(span)"} 0.005 "#
                )
            })
    }
}

@Suite struct BroughtCountsTests {
    private func count(in page: ByteBuffer) -> String? {
        String(buffer: page).split(separator: "\n").first {
            $0.hasPrefix("sluice_calls_total{model=\"iris\"")
        }.map { String($0.split(separator: " ")[1]) }
    }

    /// Whoever asks for pages that are refused, one after the other, makes nothing grow and loses nothing.
    @Test func whatNoPageTakesIsBounded() throws {
        let desk = MetricsDesk(MetricsSettings())
        let tally = CallTally(desk.calls)
        for _ in 0..<1_000 {
            tally.answered(record())
            desk.bring(tally)
        }
        #expect(desk.broughtCount == MetricsDesk.broughtMax)
        #expect(count(in: try #require(desk.page(.prometheus))) == "\(MetricsDesk.broughtMax)")
        #expect(desk.broughtCount == 0)
        desk.bring(tally)
        #expect(count(in: try #require(desk.page(.prometheus))) == "1000")
    }
}

@Suite struct MetricNamesTests {
    private static let root = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()

    /// docs/metrics.md has every metric, as the gateway tells it, and no other.
    @Test func theDocumentSaysWhatIsThere() throws {
        let text = try String(
            contentsOf: Self.root.appending(path: "docs/metrics.md"), encoding: .utf8)
        let told = text.split(separator: "\n").map { String($0) }.filter { $0.hasPrefix("| `") }
        let expected = (MetricNames.all + TritonNames.all).map {
            "| `\($0.name)` | \($0.kind.rawValue) | \($0.labels.joined(separator: ", ")) "
                + "| \($0.unit.rawValue) | \($0.help) |"
        }
        #expect(told == expected)
        #expect(Set(expected).count == expected.count)
    }

    @Test func namesKeepPrometheusRules() {
        for metric in MetricNames.all {
            #expect(metric.name.hasPrefix("sluice_") || metric.name.hasPrefix("process_"))
            #expect(metric.help.hasSuffix("."), "\(metric.name)")
            if metric.unit == .seconds || metric.unit == .bytes {
                let name =
                    metric.name.hasSuffix("_total")
                    ? String(metric.name.dropLast(6)) : metric.name
                #expect(name.hasSuffix("_" + metric.unit.rawValue), "\(metric.name)")
            }
        }
    }

    @Test func failuresHaveTritonsWords() {
        for code in StatusCode.allCases where code != .ok {
            #expect(
                ["REJECTED", "CANCELED", "BACKEND", "OTHER"].contains(
                    TritonNames.reason(code.name)))
        }
        #expect(TritonNames.reason("CANCELLED") == "CANCELED")
    }
}

@Suite struct ProcessReadingTests {
    @Test func theSystemsWordsAreRead() {
        var reading = ProcessReading()
        reading.take(
            stat: "4711 (sl) uice (x)) S 1 2 3 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 7 0 12345 "
                + "1048576 300 18446744073709551615 1 1",
            system: "cpu 1 2 3\nbtime 1700000000\nprocesses 5\n", ticks: 100, page: 4_096)
        reading.take(
            limits: "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024       "
                + "524288               files\n")
        #expect(reading.cpu == 3)
        #expect(reading.threads == 7)
        #expect(reading.virtual == 1_048_576)
        #expect(reading.resident == 300 * 4_096)
        #expect(reading.start == 1_700_000_123.45)
        #expect(reading.filesMax == 1_024)
    }

    @Test func whatTheSystemDoesNotSayIsAbsent() {
        var reading = ProcessReading()
        reading.take(stat: "no", system: "", ticks: 100, page: 4_096)
        reading.take(stat: "1 (a) S 1", system: "btime x", ticks: 100, page: 4_096)
        reading.take(limits: "Max open files            unlimited  unlimited  files\n")
        #expect(reading == ProcessReading())
    }
}
