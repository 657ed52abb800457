// What a run of the load generator measured.

import Histogram
import SluiceMessages

/// Latencies and failures of one connection, or of all together.
struct LoadResult: Sendable {
    /// Nanoseconds, three digits, up to an hour.
    private(set) var latencies = Histogram<UInt64>(
        highestTrackableValue: 3_600_000_000_000, numberOfSignificantValueDigits: .three)
    /// The same for the companion's calls.
    private(set) var companion = Histogram<UInt64>(
        highestTrackableValue: 3_600_000_000_000, numberOfSignificantValueDigits: .three)
    /// Calls answered OK within the measured time.
    private(set) var succeeded = 0
    /// Calls not answered OK, by status, for example `RESOURCE_EXHAUSTED (QUEUE_FULL)`.
    private(set) var failures: [String: Int] = [:]

    var failed: Int { failures.values.reduce(0, +) }

    mutating func succeed(nanoseconds: UInt64) {
        succeeded += 1
        latencies.record(min(nanoseconds, 3_600_000_000_000))
    }

    mutating func companionSucceeded(nanoseconds: UInt64) {
        companion.record(min(nanoseconds, 3_600_000_000_000))
    }

    mutating func fail(_ status: String, count: Int = 1) {
        guard count > 0 else { return }
        failures[status, default: 0] += count
    }

    mutating func add(_ other: LoadResult) {
        latencies.add(other.latencies)
        companion.add(other.companion)
        succeeded += other.succeeded
        failures.merge(other.failures, uniquingKeysWith: +)
    }
}

/// The report of `sluice bench`; the JSON names are relied on by others (DESIGN.md section 5).
struct LoadReport: Codable {
    var model: String
    var connections: Int
    var inFlight: Int
    /// Asked for; absent in a closed loop.
    var rate: Double?
    var seconds: Double
    var calls: Int
    var callsPerSecond: Double
    var errors: Int
    var errorsByStatus: [String: Int]
    var p50: Double
    var p90: Double
    var p99: Double
    var p999: Double
    var maximum: Double
    /// Of the companion's calls; absent without one.
    var companionP50: Double?
    var companionP99: Double?

    enum CodingKeys: String, CodingKey {
        case model, connections, rate, seconds, calls, errors
        case inFlight = "in_flight"
        case callsPerSecond = "calls_per_second"
        case errorsByStatus = "errors_by_status"
        case p50 = "p50_us"
        case p90 = "p90_us"
        case p99 = "p99_us"
        case p999 = "p999_us"
        case maximum = "max_us"
        case companionP50 = "companion_p50_us"
        case companionP99 = "companion_p99_us"
    }

    init(model: String, plan: LoadPlan, seconds: Double, result: LoadResult) {
        func rounded(_ nanoseconds: UInt64) -> Double { (Double(nanoseconds) / 100).rounded() / 10 }
        func microseconds(_ percentile: Double) -> Double {
            result.succeeded == 0 ? 0 : rounded(result.latencies.valueAtPercentile(percentile))
        }
        self.model = model
        connections = plan.connections
        inFlight = plan.inFlight
        rate = plan.rate
        self.seconds = seconds
        calls = result.succeeded
        callsPerSecond = (Double(result.succeeded) / seconds * 10).rounded() / 10
        errors = result.failed
        errorsByStatus = result.failures
        p50 = microseconds(50)
        p90 = microseconds(90)
        p99 = microseconds(99)
        p999 = microseconds(99.9)
        maximum = microseconds(100)
        if result.companion.totalCount > 0 {
            companionP50 = rounded(result.companion.valueAtPercentile(50))
            companionP99 = rounded(result.companion.valueAtPercentile(99))
        }
    }

    /// For people.
    var text: String {
        var lines = [
            "model \(model): \(connections) connections x \(inFlight) in flight"
                + (rate.map { ", open loop at \($0) calls/s" } ?? ", closed loop")
                + ", \(seconds) s",
            "calls/s   \(callsPerSecond)   (\(calls) calls, \(errors) errors)",
            "latency   p50 \(p50) us   p90 \(p90) us   p99 \(p99) us   p99.9 \(p999) us"
                + "   max \(maximum) us",
        ]
        if let companionP50, let companionP99 {
            lines.append("companion p50 \(companionP50) us   p99 \(companionP99) us")
        }
        for (status, count) in errorsByStatus.sorted(by: { $0.key < $1.key }) {
            lines.append("error     \(count) x \(status)")
        }
        return lines.joined(separator: "\n")
    }
}
