// `sluice bench` against a real gateway: the load generator has to be believed too.

import Foundation
import Testing

@Suite struct BenchTests {
    private struct Report: Decodable {
        var calls: Int
        var errors: Int
    }

    /// More calls are due than one at a time can carry. A generator that schedules what is late before it reads what
    /// has come counts a few dozen here.
    @Test func anOpenLoopThatIsLateStillReadsItsAnswers() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: "infer:*")
            let done = try await Command.run(
                "bench", "--model", "iris", "--connections", "2", "--in-flight", "1", "--rate",
                "50000", "--warm-up", "0s", "--duration", "2s", "--json", "--endpoint",
                gateway.endpoint, "--ca", gateway.ca, environment: ["SLUICE_TOKEN": token])
            #expect(done.status == 0, "\(done.error)")
            let report = try JSONDecoder().decode(Report.self, from: Data(done.output.utf8))
            #expect(report.errors == 0)
            #expect(report.calls > 1_000)
        }
    }
}
