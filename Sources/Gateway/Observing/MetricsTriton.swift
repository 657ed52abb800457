// The names Triton gives to what means the same here (OIP.md section 5), for dashboards that know them: `metrics.triton`. They
// break Prometheus' rules of naming, so they are not there unless somebody wants them.

import Catalogue
import Contract
import Shards
package import Telemetry

package enum TritonNames {
    private static let version = ["model", "version"]

    static let success = MetricDescription(
        "nv_inference_request_success", .untyped, labels: version,
        "Inferences that were answered well.")
    static let failure = MetricDescription(
        "nv_inference_request_failure", .untyped, labels: version + ["reason"],
        "Inferences that failed: REJECTED, CANCELED, BACKEND or OTHER.")
    static let count = MetricDescription(
        "nv_inference_count", .untyped, labels: version,
        "Runs that ended well; a call with many rows counts once.")
    static let executions = MetricDescription(
        "nv_inference_exec_count", .untyped, labels: version, "Runs of the model.")
    static let pending = MetricDescription(
        "nv_inference_pending_request_count", .untyped, labels: version,
        "Calls that wait for the model or for a shard.")
    static let request = MetricDescription(
        "nv_inference_request_duration_us", .untyped, labels: version,
        "Microseconds in the queue and running, of runs that ended well.")
    static let queue = MetricDescription(
        "nv_inference_queue_duration_us", .untyped, labels: version,
        "Microseconds that runs waited for a shard.")
    static let compute = MetricDescription(
        "nv_inference_compute_infer_duration_us", .untyped, labels: version,
        "Microseconds that the model ran.")

    package static let all = [
        success, failure, count, executions, pending, request, queue, compute,
    ]

    /// Of versions that were called.
    static func write(
        _ fleet: Fleet, _ entries: [ModelEntry], _ desk: MetricsDesk, to page: inout MetricPage
    ) {
        writeCalls(desk.calls, to: &page)
        let tallies = entries.map { ($0, fleet.tally(of: $0)) }.filter { $0.1.run.count > 0 }
            .prefix(desk.settings.modelsMax)
        let texts = tallies.map { LabelText(version, [$0.0.name, $0.0.version]) }
        let waiting = fleet.waitingCalls
        func all(
            _ description: MetricDescription, _ page: inout MetricPage,
            _ value: (ModelEntry, RunTally) -> UInt64
        ) {
            page.begin(description)
            for (tally, text) in zip(tallies, texts) {
                page.sample(text, value(tally.0, tally.1))
            }
        }
        all(count, &page) { $1.success.count }
        all(executions, &page) { $1.run.count }
        all(pending, &page) { entry, _ in UInt64(waiting[entry.index] ?? 0) }
        all(request, &page) { $1.success.nanoseconds / 1_000 }
        all(queue, &page) { $1.queue.nanoseconds / 1_000 }
        all(compute, &page) { $1.run.nanoseconds / 1_000 }
    }

    private static func writeCalls(_ calls: CallMetrics, to page: inout MetricPage) {
        var good: [[String]: UInt64] = [:]
        var bad: [[String]: UInt64] = [:]
        for (model, version, code, count) in calls.inferences {
            if code == StatusCode.ok.name {
                good[[model, version], default: 0] += count
            } else {
                bad[[model, version, reason(code)], default: 0] += count
            }
        }
        page.begin(success)
        for (values, count) in good.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            page.sample(values, count)
        }
        page.begin(failure)
        for (values, count) in bad.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            page.sample(values, count)
        }
    }

    /// Triton's word for the failures of a code.
    package static func reason(_ code: String) -> String {
        switch code {
        case StatusCode.cancelled.name: "CANCELED"
        case StatusCode.resourceExhausted.name, StatusCode.unavailable.name,
            StatusCode.deadlineExceeded.name:
            "REJECTED"
        case StatusCode.internal.name, StatusCode.dataLoss.name: "BACKEND"
        default: "OTHER"
        }
    }
}
