// The exporter without a walk, and the settings it goes by.

import Contract
import Foundation
import Gateway
import Logging
import NIOCore
import NIOPosix
import Testing
import Traces

@Suite struct TraceExporterTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private struct NoBody: CallBody {
        var byteCount = 0
        func inferenceRequest() throws(CallFailure) -> InferenceRequest {
            throw CallFailure(.unimplemented, .none, "nobody decodes this")
        }
        func question() throws(CallFailure) -> Question { Question() }
    }

    private func record(_ span: TraceContext?) -> CallRecord {
        let now = Instant.now()
        let call = Call(
            method: .infer, model: "iris", version: "", arrived: now,
            deadline: now + .seconds(1), body: NoBody())
        var record = CallRecord(
            CallKind(CallTraits(call)), arrived: now, timing: Timing(), answered: now)
        record.span = span
        return record
    }

    private func exporter(
        _ adjust: (inout TraceSettings) -> Void = { _ in }
    ) throws -> TraceExporter {
        var settings = TraceSettings()
        // Nobody listens there.
        settings.endpoint = "http://127.0.0.1:1"
        settings.queueMax = 5
        settings.batch = 2
        adjust(&settings)
        return try #require(
            try TraceExporter.open(
                settings, group: MultiThreadedEventLoopGroup.singleton, logger: Self.logger))
    }

    @Test func withoutAnEndpointThereIsNone() throws {
        let none = try TraceExporter.open(
            TraceSettings(), group: MultiThreadedEventLoopGroup.singleton, logger: Self.logger)
        #expect(none == nil)
    }

    @Test func whatDoesNotFitAndWhatNobodyTakesIsCounted() async throws {
        let exporter = try exporter()
        let span = try #require(TraceContext(Array(1...25)))
        // Calls that are not exported take no room.
        for _ in 0..<100 { exporter.answered(record(nil)) }
        for _ in 0..<8 { exporter.answered(record(span)) }
        #expect(exporter.counts.waiting == 5 && exporter.counts.droppedQueue == 3)
        await exporter.close()
        #expect(exporter.counts.waiting == 0 && exporter.counts.droppedUnreachable == 5)
        #expect(exporter.counts.exportedCalls == 0)
    }

    @Test func aFileOfHeadersThatCannotBeReadIsNamed() {
        let failure = #expect(throws: GatewayError.self) {
            _ = try exporter { $0.headersFile = "/nowhere/headers" }
        }
        #expect(failure?.message.contains("traces.headers_file") == true)
    }
}

@Suite struct TraceSettingsTests {
    private func read(_ lines: String) -> Settings {
        evaluate("traces:\n" + lines.split(separator: ";").map { "  \($0)\n" }.joined()).settings
    }

    private func said(_ lines: String) -> [String] {
        evaluate("traces:\n" + lines.split(separator: ";").map { "  \($0)\n" }.joined())
            .faults.map(\.description)
    }

    @Test func theyAreRead() {
        let traces = read(
            "endpoint: https://c.example/x;service: s;sample: 0.5;follow: false;errors: false;"
                + "cold: false;gzip: false;queue: 9;batch: 8;interval: 1s;timeout: 2s"
        ).traces
        #expect(traces.endpoint == "https://c.example/x" && traces.service == "s")
        #expect(traces.ratio == 0.5 && !traces.follows && !traces.errors && !traces.cold)
        #expect(!traces.compresses && traces.queueMax == 9 && traces.batch == 8)
        #expect(traces.interval == .seconds(1) && traces.timeout == .seconds(2))
        #expect(Settings().traces.endpoint == nil)
    }

    @Test(arguments: [
        "ftp://c.example", "collector:4318", "https://", "https://user@c.example",
        "https://user:word@c.example", "https://c.example/?key=word", "https://c.example/#x",
    ])
    func addressesThatAreNone(_ address: String) {
        let said = said("endpoint: \"\(address)\"")
        // It may hold a password.
        #expect(said.count == 1 && !said.joined().contains("word"))
    }

    @Test(arguments: ["1.1", "-0.1", "nan", "inf", "1e-1", "half", ".", "0x1"])
    func sharesThatAreNone(_ share: String) {
        #expect(said("sample: \"\(share)\"").count == 1, "\(share)")
    }

    @Test func whatMustFitTogether() {
        #expect(said("batch: 10;queue: 9").first?.contains("traces.queue") == true)
        let file = "headers_file: /run/secrets/headers"
        #expect(said("endpoint: http://c.example;\(file)").first?.contains("https") == true)
        #expect(said("endpoint: http://localhost:4318;\(file)").isEmpty)
        #expect(said("endpoint: https://c.example;\(file)").isEmpty)
        #expect(said(file).first?.contains("means nothing") == true)
        #expect(said("ca: /etc/ca.pem").first?.contains("means nothing") == true)
    }
}
