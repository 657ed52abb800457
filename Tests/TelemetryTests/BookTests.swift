// Series and their bounds; many threads that count at once; what libraries count.

import CoreMetrics
import Foundation
import Synchronization
import Telemetry
import Testing

@Suite struct BookTests {
    private func lines(_ book: MetricBook) -> [String] {
        var page = MetricPage(.prometheus)
        book.write(to: &page)
        return String(decoding: page.bytes, as: UTF8.self).split(separator: "\n")
            .map { String($0) }.filter { !$0.hasPrefix("#") }
    }

    /// Whoever takes the pieces may let others go first; nobody's lock is held meanwhile. And the sum of them is the page.
    @Test func aLongPageIsHandedOverInPieces() {
        let book = MetricBook()
        let times = book.histogram(
            MetricDescription(
                "took_seconds", .histogram, unit: .seconds, labels: ["model"], "Took."),
            .time, open: ["model"], seriesMax: 1_000)
        for number in 0..<500 { times.series("model-\(number)").observe(1) }
        var whole = MetricPage(.openMetrics)
        book.write(to: &whole)
        whole.end()
        var pieces: [[UInt8]] = []
        var page = MetricPage(.openMetrics) { piece in
            pieces.append(copy piece)
            // Would wait for ever if the table were locked.
            _ = times.series("model-0")
        }
        book.write(to: &page)
        page.end()
        #expect(page.bytes.isEmpty)
        #expect(whole.bytes.count > 500_000)
        #expect(pieces.dropLast().allSatisfy { (32 << 10..<40_000).contains($0.count) })
        #expect(Array(pieces.joined()) == whole.bytes)
        #expect((whole.bytes.count...whole.bytes.count * 2).contains(book.bytesExpected))
    }

    @Test func aHundredThousandNamesAreBounded() {
        let book = MetricBook()
        let calls = book.counter(
            MetricDescription("calls_total", .counter, labels: ["client", "code"], "Calls."),
            open: ["client"], seriesMax: 100)
        for number in 0..<100_000 {
            calls.series("client-\(number)", number.isMultiple(of: 2) ? "OK" : "UNKNOWN").add()
        }
        let lines = lines(book)
        #expect(lines.count == 102)
        #expect(lines.contains("calls_total{client=\"client-99\",code=\"UNKNOWN\"} 1"))
        #expect(lines.contains("calls_total{client=\"other\",code=\"OK\"} 49950"))
        #expect(lines.contains("calls_total{client=\"other\",code=\"UNKNOWN\"} 49950"))
    }

    @Test func whatHasGoneMakesRoom() {
        let book = MetricBook()
        let calls = book.counter(
            MetricDescription("calls_total", .counter, labels: ["model"], "Calls."), seriesMax: 2)
        for model in ["a", "b", "c"] { calls.series(model).add() }
        #expect(Set(calls.counts.map { $0.values[0] }) == ["a", "b", "other"])
        calls.keep { $0 == ["b"] }
        calls.series("c").add(5)
        let counts = Dictionary(uniqueKeysWithValues: calls.counts.map { ($0.values[0], $0.count) })
        #expect(counts == ["b": 1, "c": 5, "other": 1])
    }

    @Test func threadsLoseNothing() {
        let book = MetricBook()
        let calls = book.counter(
            MetricDescription("calls_total", .counter, labels: ["model"], "Calls."))
        let times = book.histogram(
            MetricDescription("time_seconds", .histogram, unit: .seconds, "Times."))
        let room = book.gauge(MetricDescription("room", .gauge, "Room."))
        let rounds = 20_000
        DispatchQueue.concurrentPerform(iterations: 4) { thread in
            let time = times.series()
            for round in 0..<rounds {
                calls.series("m\(round % 7)").add()
                time.observe(UInt64(round) * 1_000)
                room.series().add(thread.isMultiple(of: 2) ? 1 : -1)
                if round.isMultiple(of: 5_000) {
                    var page = MetricPage(.openMetrics)
                    book.write(to: &page)
                    page.end()
                }
            }
        }
        #expect(calls.counts.reduce(0) { $0 + $1.count } == 80_000)
        #expect(times.series().count == 80_000)
        #expect(times.series().sum == 4 * (0..<UInt64(rounds)).reduce(0) { $0 + $1 * 1_000 })
        #expect(room.series().value == 0)
    }

    @Test func aValueOnTheEndOfABucketIsInIt() {
        let series = HistogramSeries(HistogramBounds([10, 20], .plain))
        for value in [0, 10, 11, 20, 21, .max] as [UInt64] { series.observe(value) }
        #expect(series.buckets == [2, 2, 2])
        #expect(HistogramBounds.time.count <= HistogramBounds.countMax)
    }

    @Test func namesOfOthersAreCleaned() {
        #expect(MetricName.cleaned("http.server-requests") == "http_server_requests")
        #expect(MetricName.cleaned("9 lives") == "_9_lives")
        #expect(MetricName.cleaned("") == "_")
        #expect(!MetricName.isName("a b") && MetricName.isName("a:b") && !MetricName.isLabel("a:b"))
    }

    @Test func librariesCountInTheSameBook() {
        let book = MetricBook()
        let factory = LibraryMetrics(book)
        factory.makeCounter(label: "pool.opened", dimensions: [("host", "a\"b"), ("host", "c")])
            .increment(by: 3)
        factory.makeCounter(label: "pool.opened", dimensions: []).increment(by: -3)
        factory.makeMeter(label: "pool.size", dimensions: [("le", "x")]).set(2.5)
        factory.makeTimer(label: "pool.wait", dimensions: []).recordNanoseconds(30_000)
        factory.makeRecorder(label: "pool.batch", dimensions: [], aggregate: true).record(
            3.0 as Double)
        factory.makeRecorder(label: "pool.batch", dimensions: [], aggregate: true).record(
            Double.nan)
        factory.makeRecorder(label: "pool.load", dimensions: [], aggregate: false).record(
            7 as Int64)
        // The same name as another kind: nothing is counted, nothing ends.
        factory.makeMeter(label: "pool.opened_total", dimensions: []).set(1.0)
        let lines = lines(book)
        #expect(lines.contains("pool_opened_total{host=\"a\\\"b\"} 3"))
        #expect(lines.contains("pool_opened_total 0"))
        #expect(lines.contains("pool_size{le_=\"x\"} 2.5"))
        #expect(lines.contains("pool_wait_seconds_bucket{le=\"0.00005\"} 1"))
        #expect(lines.contains("pool_batch_bucket{le=\"4.0\"} 1"))
        #expect(lines.contains("pool_batch_count 1"))
        #expect(lines.contains("pool_load 7"))
        for number in 0..<10_000 {
            factory.makeCounter(label: "many.\(number)", dimensions: []).increment(by: 1)
            factory.makeMeter(label: "pool.size", dimensions: [("x", "\(number)")]).set(1.0)
        }
        #expect(book.descriptions.count <= LibraryMetrics.familiesMax)
        #expect(self.lines(book).count < LibraryMetrics.familiesMax + MetricBook.seriesMax + 100)
    }
}
