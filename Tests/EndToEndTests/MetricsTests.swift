// /metrics of a real gateway: promtool finds nothing to say, a real Prometheus scrapes it, and every query of the dashboard
// has an answer there. Prometheus is Debian's (scripts/setup --test).

import Foundation
import NIOCore
import NIOPosix
import SluiceClient
import Testing

@Suite struct MetricsTests {
    private struct Page {
        var type: String
        var text: String

        /// Lines of samples.
        var samples: [String] {
            text.split(separator: "\n").map { String($0) }.filter { !$0.hasPrefix("#") }
        }

        /// The metrics it tells of.
        var names: Set<String> {
            Set(
                text.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map {
                    String($0.split(separator: " ")[2])
                })
        }

        /// Of a series of the plain format.
        func value(_ series: String) -> Double? {
            samples.first { $0.hasPrefix(series + " ") }
                .flatMap { Double($0.dropFirst(series.count + 1)) }
        }
    }

    private func page(_ gateway: TestGateway, accept: String? = nil) async throws -> Page {
        let arguments =
            ["-sS", "--max-time", "20", "-w", "\n%{http_code} %{content_type}"]
            + (accept.map { ["-H", "Accept: \($0)"] } ?? []) + ["http://\(gateway.admin)/metrics"]
        let done = try await Command.run(program: "/usr/bin/curl", arguments)
        let end = try #require(done.output.lastIndex(of: "\n"), "\(done.error)")
        let words = done.output[done.output.index(after: end)...]
            .split(separator: " ", maxSplits: 1)
        #expect(words.first == "200", "\(done.output.prefix(500))")
        return Page(type: String(words.last ?? ""), text: String(done.output[..<end]))
    }

    /// What an afternoon brings: calls that go well, cold ones, failures, handshakes, errands.
    private func use(_ gateway: TestGateway, calls: Int = 20) async throws {
        let token = try await gateway.token(scope: "infer:* models:read models:admin")
        try await gateway.withClient(token: token) { client in
            for _ in 0..<calls {
                _ = try await client.infer("iris", inputs: TokenTests.iris())
            }
            try await client.sleep("iris")
            _ = try await client.infer("iris", inputs: TokenTests.iris())
            let unknown = try TokenTests.iris()
            await #expect(throws: SluiceError.self) {
                _ = try await client.infer("no-such-model", inputs: unknown)
            }
        }
        try await withCaller(gateway) { caller in
            let known = try await caller.get("/v2/models/iris")
            let odd = try await caller.get("/v2/models/odd%22%0Aname/ready")
            #expect(known.status == 200 && odd.status != 200)
        }
    }

    @Test func thePageTellsWhatHappened() async throws {
        try await withGateway { gateway in
            try await use(gateway)
            let page = try await page(gateway)
            #expect(page.type == "text/plain; version=0.0.4; charset=utf-8")
            let iris = #"{model="iris",version="1""#
            #expect(
                page.value(
                    "sluice_calls_total\(iris),door=\"binary\",method=\"infer\",code=\"OK\"}") == 21
            )
            #expect(page.value("sluice_cold_calls_total\(iris)}") == 2)
            #expect(page.value("sluice_call_seconds_count\(iris)}") == 21)
            #expect(page.value("sluice_call_load_seconds_count\(iris)}") == 2)
            #expect((page.value("sluice_call_run_seconds_sum\(iris)}") ?? 0) > 0)
            #expect(page.value("sluice_model_awake\(iris)}") == 1)
            #expect(page.value("sluice_model_loads_total\(iris)}") == 2)
            #expect(page.value("sluice_model_wake_seconds_count") == 2)
            #expect(page.value("sluice_models{state=\"awake\"}") == 1)
            #expect(
                page.value(
                    #"sluice_calls_total{model="",version="",door="binary",method="infer",code="NOT_FOUND"}"#
                ) == 1)
            #expect((page.value("sluice_handshakes_total{result=\"full\"}") ?? 0) >= 1)
            #expect((page.value("sluice_introspections_total{result=\"active\"}") ?? 0) >= 2)
            #expect((page.value("sluice_introspection_seconds_count{issuer=\"local\"}") ?? 0) >= 2)
            #expect(page.value("sluice_issuer_breaker{issuer=\"local\",state=\"closed\"}") == 1)
            #expect((page.value("process_resident_memory_bytes") ?? 0) > 10e6)
            #expect((page.value("process_open_fds") ?? 0) > 5)
            let now = Date().timeIntervalSince1970
            let began = try #require(page.value("process_start_time_seconds"))
            #expect(abs(now - began) < 300)
            #expect(
                page.samples.contains {
                    $0.hasPrefix("sluice_certificate_expiry_timestamp_seconds{kind=")
                        && (Double($0.split(separator: " ").last ?? "") ?? 0) > now
                })
            #expect(!page.text.contains("no-such-model") && !page.text.contains("odd"))
        }
    }

    /// docs/metrics.md has exactly the metrics a gateway tells of.
    @Test func theDocumentNamesWhatTheGatewayTells() async throws {
        let text = try String(
            contentsOf: Paths.root.appending(path: "docs/metrics.md"), encoding: .utf8)
        let told = Set(
            text.split(separator: "\n").filter { $0.hasPrefix("| `") }
                .compactMap { $0.split(separator: "`").dropFirst().first.map { String($0) } })
        try await withGateway(settings: "metrics: { triton: true }\n") { gateway in
            try await use(gateway)
            let page = try await page(gateway)
            #expect(page.names == told)
            let success = #"nv_inference_request_success{model="iris",version="1"}"#
            #expect(page.value(success) == 21)
            #expect(page.value(#"nv_inference_exec_count{model="iris",version="1"}"#) == 21)
            #expect(
                page.value(#"nv_inference_pending_request_count{model="iris",version="1"}"#) == 0)
        }
        try await withGateway { gateway in
            let ours = told.filter { !$0.hasPrefix("nv_") }
            let page = try await page(gateway)
            #expect(page.names == ours)
        }
    }

    @Test func theFormatIsTheScrapersChoice() async throws {
        try await withGateway { gateway in
            let open = "application/openmetrics-text; version=1.0.0; charset=utf-8"
            let plain = "text/plain; version=0.0.4; charset=utf-8"
            for (accept, type) in [
                // What Prometheus 2.42 says.
                (
                    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;"
                        + "version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", open
                ),
                ("*/*", plain), ("text/html, */*;q=0.5", plain),
                ("application/openmetrics-text;q=0.2,text/plain;q=0.9", plain),
                ("application/openmetrics-text;q=0", plain), ("nonsense", plain),
            ] {
                let page = try await page(gateway, accept: accept)
                #expect(page.type == type, "\(accept)")
                #expect(page.text.hasSuffix("# EOF\n") == (type == open))
            }
            let head = try await Command.run(
                program: "/usr/bin/curl", ["-sSI", "http://\(gateway.admin)/metrics"])
            #expect(head.output.hasPrefix("HTTP/1.1 200 OK"), "\(head.output)")
            #expect(head.output.lowercased().contains("content-type: text/plain; version=0.0.4"))
            let post = try await Command.run(
                program: "/usr/bin/curl",
                [
                    "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-d", "x",
                    "http://\(gateway.admin)/metrics",
                ])
            #expect(post.output == "405")
        }
    }

    @Test func nothingIsCountedWhenNobodyWants() async throws {
        try await withGateway(settings: "metrics: { enabled: false }\n") { gateway in
            let done = try await Command.run(
                program: "/usr/bin/curl",
                ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "http://\(gateway.admin)/metrics"])
            #expect(done.output == "404")
        }
    }

    @Test func promtoolHasNothingToSay() async throws {
        try await withGateway { gateway in
            try await use(gateway)
            let text = try await page(gateway).text
            try await withTemporaryFolder { folder in
                let file = folder.appending(path: "metrics").path
                try text.write(toFile: file, atomically: true, encoding: .utf8)
                let done = try await Command.run(
                    program: "/bin/sh", ["-c", "promtool check metrics <'\(file)'"])
                #expect(done.status == 0, "\(done.output)\(done.error)")
            }
        }
    }

    /// Many scrapers at once are a nuisance to nobody who calls.
    @Test func scrapesHoldUpNoCall() async throws {
        try await withGateway { gateway in
            try await use(gateway)
            try await withBystander(gateway) {
                let done = try await Command.run(
                    program: "/usr/bin/curl",
                    [
                        "-sS", "--parallel", "--parallel-immediate", "--parallel-max", "50",
                        "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}\\n",
                        "http://\(gateway.admin)/metrics?[1-200]",
                    ])
                let codes = done.output.split(separator: "\n")
                #expect(codes.count == 200)
                #expect(codes.allSatisfy { $0 == "200" || $0 == "503" })
                #expect(codes.contains("200"))
            }
        }
    }

    // MARK: - A real Prometheus

    /// Every query of docs/grafana.json, as Grafana asks it.
    private func queries() throws -> [(panel: String, query: String)] {
        let data = try Data(contentsOf: Paths.root.appending(path: "docs/grafana.json"))
        let dashboard = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
        let panels = try #require(dashboard["panels"] as? [[String: Any]])
        return try panels.flatMap { panel in
            let title = try #require(panel["title"] as? String)
            return try #require(panel["targets"] as? [[String: Any]]).map {
                var query = try #require($0["expr"] as? String)
                for (name, value) in [
                    ("$__rate_interval", "20s"), ("$instance", ".*"), ("$model", ".*"),
                ] {
                    query = query.replacingOccurrences(of: name, with: value)
                }
                #expect(!query.contains("$"), "\(query)")
                return (title, query)
            }
        }
    }

    private func answer(
        _ port: Int, _ path: String, _ query: String? = nil
    ) async throws -> [String: Any] {
        let words =
            ["-sS", "--max-time", "10"]
            + (query.map { ["-G", "--data-urlencode", "query=\($0)"] } ?? [])
        let done = try await Command.run(
            program: "/usr/bin/curl", words + ["http://127.0.0.1:\(port)/api/v1/\(path)"])
        guard let data = done.output.data(using: .utf8),
            let json = try? JSONSerialization.jsonObject(with: data) as? [String: Any]
        else { return [:] }
        return json["data"] as? [String: Any] ?? ["error": json["error"] ?? done.output]
    }

    @Test func prometheusScrapesAndTheDashboardsQueriesAnswer() async throws {
        try await withGateway { gateway in
            try await use(gateway)
            try await withPrometheus(of: gateway) { port in
                // Rates need two looks, with calls between them.
                try await eventually(within: 60, "a few scrapes") {
                    try await use(gateway, calls: 3)
                    let found = try await answer(
                        port, "query", "count_over_time(sluice_build_info[1m])")
                    let result = found["result"] as? [[String: Any]]
                    let value = (result?.first?["value"] as? [Any])?.last as? String
                    return (value.flatMap { Int($0) } ?? 0) >= 4
                }
                let targets = try await answer(port, "targets")
                let active = try #require(targets["activeTargets"] as? [[String: Any]])
                #expect(active.map { $0["health"] as? String } == ["up"], "\(active)")
                let queries = try queries()
                #expect(queries.count > 30)
                for (panel, query) in queries {
                    let found = try await answer(port, "query", query)
                    let result = found["result"] as? [[String: Any]] ?? []
                    #expect(!result.isEmpty, "\(panel): \(query): \(found)")
                }
                // Each value is a number somewhere: a calls' rate that is not 0, for one.
                let rate = try await answer(
                    port, "query", "sum(rate(sluice_calls_total{code=\"OK\"}[20s])) > 0")
                #expect((rate["result"] as? [Any])?.isEmpty == false)
            }
        }
    }

    /// What Prometheus keeps of calls that are traced: from a slow bucket to the trace of a call in it.
    private func exemplars(_ port: Int, of series: String) async throws -> [Kept] {
        let now = Int(Date().timeIntervalSince1970)
        let done = try await Command.run(
            program: "/usr/bin/curl",
            [
                "-sS", "--max-time", "10", "-G", "--data-urlencode", "query=\(series)",
                "-d", "start=\(now - 600)", "-d", "end=\(now + 60)",
                "http://127.0.0.1:\(port)/api/v1/query_exemplars",
            ])
        struct Answer: Decodable { var data: [Kept] }
        return try JSONDecoder().decode(Answer.self, from: Data(done.output.utf8)).data
    }

    private struct Kept: Decodable {
        struct Exemplar: Decodable {
            var labels: [String: String]
            var value: String
            var timestamp: Double
        }
        var seriesLabels: [String: String]
        var exemplars: [Exemplar]
    }

    @Test func prometheusKeepsTheTraceOfACall() async throws {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        func options(_ trace: String, _ flags: String) -> CallOptions {
            var options = CallOptions()
            options.traceparent = "00-\(trace)-00f067aa0ba902b7-\(flags)"
            return options
        }
        try await withCollector { collector in
            let settings = collector.settings("sample: 0\ncold: false")
            try await withGateway(settings: settings) { gateway in
                try await withPrometheus(of: gateway) { port in
                    try await gateway.withClient { client in
                        // One that is not traced, and one that is.
                        _ = try await client.infer(
                            "iris", inputs: TokenTests.iris(),
                            options: options("0af7651916cd43dd8448eb211c80319c", "00"))
                        _ = try await client.infer(
                            "iris", inputs: TokenTests.iris(), options: options(trace, "01"))
                    }
                    let spans = try await collector.trace(trace)
                    let root = try #require(spans.first { $0.name == "sluice/infer" })
                    for series in ["sluice_call_seconds_bucket", "sluice_call_run_seconds_bucket"] {
                        var kept: [Kept] = []
                        try await eventually(within: 30, "an exemplar of \(series)") {
                            kept = try await exemplars(port, of: series)
                            return !kept.isEmpty
                        }
                        let found = try #require(kept.first)
                        #expect(kept.count == 1 && found.exemplars.count == 1, "\(kept)")
                        #expect(found.seriesLabels["__name__"] == series)
                        #expect(found.seriesLabels["model"] == "iris")
                        let exemplar = try #require(found.exemplars.first)
                        #expect(exemplar.labels == ["trace_id": trace, "span_id": root.span])
                        let seconds = try #require(Double(exemplar.value))
                        let bound = try #require(
                            found.seriesLabels["le"].flatMap { Double($0) })
                        #expect(seconds > 0 && seconds <= bound)
                        #expect(abs(exemplar.timestamp - Date().timeIntervalSince1970) < 300)
                    }
                }
            }
        }
    }

    /// A port nobody has now.
    private func freePort() async throws -> Int {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(channel.localAddress?.port)
        try await channel.close()
        return port
    }

    private func withPrometheus(
        of gateway: TestGateway, _ body: (_ port: Int) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let port = try await freePort()
            let settings = folder.appending(path: "prometheus.yml").path
            try """
            global: { scrape_interval: 1s, scrape_timeout: 1s }
            scrape_configs:
              - job_name: sluice
                static_configs: [{ targets: ["\(gateway.admin)"] }]
            """.write(toFile: settings, atomically: true, encoding: .utf8)
            let log = folder.appending(path: "log")
            try Data().write(to: log)
            let process = Process()
            process.executableURL = URL(filePath: "/usr/bin/prometheus")
            process.arguments = [
                "--config.file=\(settings)", "--storage.tsdb.path=\(folder.path)/data",
                "--web.listen-address=127.0.0.1:\(port)", "--enable-feature=exemplar-storage",
            ]
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = try FileHandle(forWritingTo: log)
            process.standardError = try FileHandle(forWritingTo: log)
            try Spawning.start(process)
            do {
                try await eventually(within: 30, "Prometheus") {
                    guard process.isRunning else {
                        throw TestTrouble(
                            "Prometheus: " + (try String(contentsOf: log, encoding: .utf8)))
                    }
                    let done = try await Command.run(
                        program: "/usr/bin/curl",
                        [
                            "-s", "-o", "/dev/null", "-w", "%{http_code}",
                            "http://127.0.0.1:\(port)/-/ready",
                        ])
                    return done.output == "200"
                }
                try await body(port)
            } catch {
                kill(process.processIdentifier, SIGKILL)
                throw error
            }
            kill(process.processIdentifier, SIGKILL)
            try await eventually(within: 10, "Prometheus' end") { !process.isRunning }
        }
    }
}
