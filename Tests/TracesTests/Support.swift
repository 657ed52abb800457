// Calls that never were.

import Contract
import NIOCore
import Traces

struct NoBody: CallBody {
    var byteCount = 12
    func inferenceRequest() throws(CallFailure) -> InferenceRequest {
        throw CallFailure(.unimplemented, .none, "nobody decodes this")
    }
    func question() throws(CallFailure) -> Question { Question() }
}

func context(
    trace: [UInt8] = Array(1...16), span: [UInt8] = Array(1...8), flags: UInt8 = 1
) -> TraceContext? {
    TraceContext(trace + span + [flags])
}

/// A call that arrived at second 10 of the monotonic clock.
func record(
    _ method: Method = .infer, parent: TraceContext? = nil, failure: CallFailure? = nil,
    client: String = "app1", timing: Timing = Timing(), total: Nanoseconds = .milliseconds(20),
    marks: CallMarks? = nil
) -> CallRecord {
    let arrived = Instant(nanoseconds: 10_000_000_000)
    let call = Call(
        method: method, model: "asked", version: "", arrived: arrived,
        deadline: arrived + .seconds(5), trace: parent, body: NoBody())
    var traits = CallTraits(call)
    (traits.model, traits.version) = ("iris", "1")
    if let failure { (traits.code, traits.reason) = (failure.code, failure.reason) }
    (traits.issuer, traits.client) = (client.isEmpty ? "" : "local", client)
    traits.address = "192.0.2.7"
    var record = CallRecord(
        CallKind(traits), trace: parent, bytesIn: 12, arrived: arrived, timing: timing,
        answered: arrived + total
    )
    record.marks = marks
    return record
}

extension Instant {
    static func ms(_ milliseconds: UInt64) -> Instant {
        Instant(nanoseconds: 10_000_000_000 + milliseconds * 1_000_000)
    }
}

/// Its numbers are printed with what fails.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
