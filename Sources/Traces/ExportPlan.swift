// One request to the collector and what follows from its answer (OTLP specification, "OTLP/HTTP Response"): decided in a value, so
// that it can be tested without a clock and without a collector.

package import Contract

/// How a request ended.
package enum ExportOutcome: Sendable, Equatable {
    /// Status 200; `rejected` of its spans were not taken.
    case taken(rejected: UInt64)
    /// Any other status, and what its Retry-After said.
    case status(UInt, retryAfter: Nanoseconds?)
    /// No answer, or none in time.
    case unreachable
}

/// The way of one batch.
package struct ExportPlan: Sendable {
    package enum Step: Sendable, Equatable {
        case done(rejected: UInt64)
        /// The same request again, after this.
        case wait(Nanoseconds)
        case drop(Drop)
    }

    package enum Drop: Sendable, Equatable {
        /// The collector has said that it does not want this request.
        case refused(UInt)
        /// It was tried as often, or for as long, as is allowed.
        case unreachable
    }

    package static let waitMin = Nanoseconds.seconds(1)
    package static let waitMax = Nanoseconds.seconds(30)
    /// A collector that asks for more patience than this has lost the batch.
    package static let patience = Nanoseconds.seconds(60)
    package static let triesMax = 6

    private var tries = 0
    private var waited = Nanoseconds.zero

    package init() {}

    /// - Parameter chance: 0..<1; gateways that lost their collector together do not come back together.
    package mutating func ended(_ outcome: ExportOutcome, chance: Double) -> Step {
        tries += 1
        switch outcome {
        case .taken(let rejected): return .done(rejected: rejected)
        // Worth trying again; every other status is the last word, a redirect among them.
        case .status(let code, let asked) where [429, 502, 503, 504].contains(code):
            return retry(asked, chance)
        case .status(let code, _): return .drop(.refused(code))
        case .unreachable: return retry(nil, chance)
        }
    }

    private mutating func retry(_ asked: Nanoseconds?, _ chance: Double) -> Step {
        let doubled = ExportPlan.waitMin.count << UInt64(min(tries - 1, 10))
        let most = min(doubled, ExportPlan.waitMax.count)
        // Between a half and all of it.
        let own = Nanoseconds(most / 2 + UInt64(Double(most / 2) * min(max(chance, 0), 1)))
        let wait = max(own, asked ?? .zero)
        guard tries < ExportPlan.triesMax, waited + wait <= ExportPlan.patience else {
            return .drop(.unreachable)
        }
        waited = waited + wait
        return .wait(wait)
    }
}
