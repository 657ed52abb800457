// `sluice bench` against a real gateway: the load generator has to be believed too.

import Foundation
import Testing

@Suite struct BenchTests {
    private struct Report: Decodable {
        var calls: Int
        var errors: Int
        var p50: Double

        enum CodingKeys: String, CodingKey {
            case calls, errors
            case p50 = "p50_us"
        }
    }

    /// More calls are due than one at a time can carry. A generator that schedules what is late before it reads what
    /// has come counts none here.
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
            #expect(report.calls > 200)
        }
    }

    /// A call is sent when it is due, also when only one may be open: a generator that looks again a millisecond later counts that
    /// millisecond with each. On a busy machine one pair of runs may differ by as much, not all of them.
    @Test func aCallIsSentWhenItIsDue() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token(scope: "infer:*")
            func median(inFlight: Int) async throws -> Double {
                let done = try await Command.run(
                    "bench", "--model", "iris", "--connections", "1", "--in-flight", "\(inFlight)",
                    "--rate", "100", "--warm-up", "0s", "--duration", "1s", "--json", "--endpoint",
                    gateway.endpoint, "--ca", gateway.ca, environment: ["SLUICE_TOKEN": token])
                #expect(done.status == 0, "\(done.error)")
                let report = try JSONDecoder().decode(Report.self, from: Data(done.output.utf8))
                #expect(report.calls > 0 && report.errors == 0)
                return report.p50
            }
            var late: [Double] = []
            while late.count < 8, (late.min() ?? .infinity) >= 500 {
                let alone = try await median(inFlight: 1)
                late.append(alone - (try await median(inFlight: 2)))
            }
            #expect(late.contains { $0 < 500 }, "\(late)")
        }
    }
}
