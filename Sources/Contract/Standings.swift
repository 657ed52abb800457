// What clients have used of their plans, for an operator's eyes. Made by Admission, brought by Gateway, written by JSONDoor.

package import NIOCore

/// One thing that is counted: how much of it was used, and how much there is.
package struct Measure: Sendable, Equatable {
    /// The raw value is the setting in `plans` that limits it.
    package enum Kind: String, Sendable, CaseIterable {
        /// Calls taken out of the bucket; the limit is what it holds.
        case rate
        /// Calls in progress.
        case concurrency
        /// Bytes of messages in progress.
        case bytesInFlight = "bytes_in_flight"
        case dayCalls = "day.calls"
        /// Seconds that models ran.
        case dayCompute = "day.compute"
        case dayGigabyteSeconds = "day.gigabyte_seconds"
        case monthCalls = "month.calls"
        case monthCompute = "month.compute"
        case monthGigabyteSeconds = "month.gigabyte_seconds"
    }

    package var kind: Kind
    package var used: Double
    /// nil: no limit.
    package var limit: Double?
    /// Until nothing of it is used any more, rounded up; nil where no time says so.
    package var resetSeconds: UInt64?

    package init(_ kind: Kind, used: Double, limit: Double?, resetSeconds: UInt64? = nil) {
        self.kind = kind
        self.used = used
        self.limit = limit
        self.resetSeconds = resetSeconds
    }
}

/// One client under one plan.
package struct ClientStanding: Sendable, Equatable {
    package var issuer: String
    package var client: String
    /// Empty without one.
    package var plan: String
    /// Over all its models.
    package var measures: [Measure]
    /// Models for which the plan has limits of their own; at most ``modelsMax`` of them.
    package var models: [ModelStanding]

    package static let modelsMax = 16

    package init(
        issuer: String, client: String, plan: String, measures: [Measure], models: [ModelStanding]
    ) {
        self.issuer = issuer
        self.client = client
        self.plan = plan
        self.measures = measures
        self.models = models
    }
}

/// What a client used of one model.
package struct ModelStanding: Sendable, Equatable {
    package var model: String
    package var measures: [Measure]

    package init(model: String, measures: [Measure]) {
        self.model = model
        self.measures = measures
    }
}

/// Those who use most, and how many there are.
package struct ClientStandings: Sendable, Equatable {
    package var clients: [ClientStanding]
    package var total: Int

    package init(clients: [ClientStanding], total: Int) {
        self.clients = clients
        self.total = total
    }
}

/// Tells how clients stand with their plans. Whoever asks has found out that it may be told.
package protocol StandingsDesk: Sendable {
    /// Called on the event loop. `done` is called once, there, possibly before this returns: with at most `most` clients, or
    /// with UNAVAILABLE (QUEUE_FULL) when many ask already.
    func standings(
        most: Int, on eventLoop: any EventLoop,
        done: @escaping (Result<ClientStandings, CallFailure>) -> Void)
}
