// The page, letter by letter, in both formats.

import Telemetry
import Testing

@Suite struct ExpositionTests {
    private func text(_ page: MetricPage) -> String { String(decoding: page.bytes, as: UTF8.self) }

    private func page(_ book: MetricBook, _ format: MetricPage.Format) -> String {
        var page = MetricPage(format)
        book.write(to: &page)
        page.end()
        return text(page)
    }

    private func small() -> MetricBook {
        let book = MetricBook()
        let calls = book.counter(
            MetricDescription("calls_total", .counter, labels: ["model", "code"], "Calls."))
        calls.series("iris", "OK").add(41)
        calls.series("iris", "OK").add()
        calls.series("wine", "NOT_FOUND").add()
        let spent = book.counter(
            MetricDescription("cpu_seconds_total", .counter, unit: .seconds, "CPU."), .nanoseconds)
        spent.series().add(1_500_000_000)
        book.gauge(MetricDescription("room_bytes", .gauge, unit: .bytes, "Room.")).series().value =
            2_048
        let times = book.histogram(
            MetricDescription("wait_seconds", .histogram, unit: .seconds, "Waits."),
            HistogramBounds([1_000_000, 2_500_000_000], .nanoseconds))
        times.series().observe(1_000_000)
        times.series().observe(1_000_001)
        times.series().observe(3_000_000_000)
        return book
    }

    @Test func thePageInPrometheusText() {
        #expect(
            page(small(), .prometheus) == """
                # HELP calls_total Calls.
                # TYPE calls_total counter
                calls_total{model="iris",code="OK"} 42
                calls_total{model="wine",code="NOT_FOUND"} 1
                # HELP cpu_seconds_total CPU.
                # TYPE cpu_seconds_total counter
                cpu_seconds_total 1.5
                # HELP room_bytes Room.
                # TYPE room_bytes gauge
                room_bytes 2048
                # HELP wait_seconds Waits.
                # TYPE wait_seconds histogram
                wait_seconds_bucket{le="0.001"} 1
                wait_seconds_bucket{le="2.5"} 2
                wait_seconds_bucket{le="+Inf"} 3
                wait_seconds_sum 3.002000001
                wait_seconds_count 3

                """)
    }

    @Test func thePageInOpenMetrics() {
        #expect(
            page(small(), .openMetrics) == """
                # HELP calls Calls.
                # TYPE calls counter
                calls_total{model="iris",code="OK"} 42
                calls_total{model="wine",code="NOT_FOUND"} 1
                # HELP cpu_seconds CPU.
                # TYPE cpu_seconds counter
                # UNIT cpu_seconds seconds
                cpu_seconds_total 1.5
                # HELP room_bytes Room.
                # TYPE room_bytes gauge
                # UNIT room_bytes bytes
                room_bytes 2048
                # HELP wait_seconds Waits.
                # TYPE wait_seconds histogram
                # UNIT wait_seconds seconds
                wait_seconds_bucket{le="0.001"} 1
                wait_seconds_bucket{le="2.5"} 2
                wait_seconds_bucket{le="+Inf"} 3
                wait_seconds_sum 3.002000001
                wait_seconds_count 3
                # EOF

                """)
    }

    @Test func exemplarsStandBehindTheirBucketInOpenMetricsOnly() {
        let book = MetricBook()
        let times = book.histogram(
            MetricDescription("wait_seconds", .histogram, unit: .seconds, "Waits."),
            HistogramBounds([1_000_000, 2_000_000_000], .nanoseconds))
        let exemplar = Exemplar(
            trace: (0..<16).map { $0 }, span: (0..<8).map { 0xF0 + $0 }, time: 1_520_879_607.789)
        times.series().observe(54_000_000, exemplar)
        times.series().observe(20_000)
        #expect(
            page(book, .openMetrics).contains(
                """
                wait_seconds_bucket{le="0.001"} 1
                wait_seconds_bucket{le="2.0"} 2 # {trace_id="000102030405060708090a0b0c0d0e0f",\
                span_id="f0f1f2f3f4f5f6f7"} 0.054 1520879607.789
                wait_seconds_bucket{le="+Inf"} 2

                """))
        #expect(!page(book, .prometheus).contains("trace_id"))
    }

    /// The clock may jump, and say what no clock says: the page stays one that can be read.
    @Test func aClockThatIsWrongSpoilsNoPage() {
        for time in [-1, Double.nan, .infinity, 1e300, 0] {
            let book = MetricBook()
            let times = book.histogram(MetricDescription("wait_seconds", .histogram, "Waits."))
            times.series().observe(
                10,
                Exemplar(
                    trace: [UInt8](repeating: 1, count: 16), span: [UInt8](repeating: 2, count: 8),
                    time: time))
            #expect(page(book, .openMetrics).contains("\"} 0.00000001 0\n"))
        }
    }

    @Test func whatWouldEndATextIsEscaped() {
        let book = MetricBook()
        let odd = book.counter(
            MetricDescription(
                "odd_total", .counter, labels: ["name"], "Says \"no\"\nand C:\\ too."))
        odd.series("a\"b\nc\\d").add()
        // Bytes that are no UTF-8 become U+FFFD where a String is made of them.
        odd.series(String(decoding: [0x66, 0xFF, 0xC3, 0x28] as [UInt8], as: UTF8.self)).add()
        odd.series("\r\t\u{0} {},=#").add()
        let prometheus = page(book, .prometheus)
        #expect(prometheus.contains("# HELP odd_total Says \"no\"\\nand C:\\\\ too.\n"))
        #expect(prometheus.contains(#"odd_total{name="a\"b\nc\\d"} 1"# + "\n"))
        #expect(prometheus.contains("odd_total{name=\"f\u{FFFD}\u{FFFD}(\"} 1\n"))
        #expect(prometheus.contains("odd_total{name=\"\r\t\u{0} {},=#\"} 1\n"))
        #expect(page(book, .openMetrics).contains(#"# HELP odd Says \"no\"\nand C:\\ too."#))
        #expect(prometheus.utf8.split(separator: UInt8(ascii: "\n")).count == 5)
    }

    @Test func aLongLabelIsCutBetweenCharacters() {
        let book = MetricBook()
        let long = book.counter(
            MetricDescription("long_total", .counter, labels: ["name"], "Long."))
        long.series(String(repeating: "é", count: 300)).add()
        let kept = String(repeating: "é", count: LabelText.valueBytesMax / 2)
        #expect(page(book, .prometheus).contains("long_total{name=\"\(kept)\"} 1\n"))
    }

    @Test func numbersAreWrittenAsPrometheusReadsThem() {
        for (value, expected) in [
            (0, "0"), (1, "1"), (-1, "-1.0"), (0.25, "0.25"), (1e300, "1e+300"),
            (.nan, "NaN"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (4_294_967_296, "4294967296"),
        ] as [(Double, String)] {
            var page = MetricPage(.prometheus)
            page.begin(MetricDescription("value", .gauge, "A value."))
            page.sample([], value)
            #expect(text(page).hasSuffix("\nvalue \(expected)\n"))
        }
        for (nanoseconds, expected) in [
            (0, "0"), (1, "0.000000001"), (999_999_999, "0.999999999"), (10_000_000_000, "10"),
            (.max, "18446744073.709551615"),
        ] as [(UInt64, String)] {
            var page = MetricPage(.prometheus)
            page.begin(MetricDescription("spent_seconds_total", .counter, unit: .seconds, "Time."))
            page.sample([], nanoseconds, .nanoseconds)
            #expect(text(page).hasSuffix("\nspent_seconds_total \(expected)\n"))
        }
    }

    @Test func whatIsUntypedIsUnknownToOpenMetrics() {
        let description = MetricDescription("nv_inference_count", .untyped, "Triton's.")
        var page = MetricPage(.openMetrics)
        page.begin(description)
        #expect(text(page).contains("# TYPE nv_inference_count unknown\n"))
    }
}
