// What a gateway said at one moment, and the rows that two such moments make: rates and quantiles are of the time between them.

package import SluiceClient

/// One answer of a gateway, all of it together.
package struct FleetSnapshot: Sendable {
    /// When it came, by any clock that only goes on.
    package var taken: Duration
    package var gateway: ServerMetadata
    package var fleet: FleetAccount
    /// Which versions are in service.
    package var index: [IndexedModel]

    package init(
        taken: Duration, gateway: ServerMetadata, fleet: FleetAccount, index: [IndexedModel]
    ) {
        self.taken = taken
        self.gateway = gateway
        self.fleet = fleet
        self.index = index
    }
}

/// One version of a model on the screen.
package struct FleetRow: Sendable, Equatable {
    package struct Identity: Sendable, Hashable {
        package var name: String
        package var version: String
    }

    package var identity: Identity
    /// `awake`, `waking 43 %`, `out of service` and so on.
    package var state: String
    /// For the order by state: what needs attention, then what is awake, then what sleeps.
    var rank: Int
    package var isPinned: Bool
    package var isTrouble: Bool
    package var isAwake: Bool
    /// Bytes it holds now; 0 while it sleeps.
    package var anonymous: UInt64
    package var mapped: UInt64
    /// Calls in a second; nil before there are two moments to compare.
    package var rate: Double?
    package var median: Duration?
    package var tail: Duration?
    /// Of its calls since the gateway started; nil when there were none.
    package var coldShare: Double?
    package var waiting: Int
}

/// The whole fleet in numbers.
package struct FleetTotals: Sendable, Equatable {
    package var rate: Double?
    package var median: Duration?
    package var tail: Duration?
    package var coldShare: Double?
    package var awake = 0
    package var models = 0
    package var waiting = 0
}

/// Rows and totals of two moments.
package struct FleetComparison: Sendable {
    package private(set) var rows: [FleetRow] = []
    package private(set) var totals = FleetTotals()

    /// - Parameter before: the moment before; nil for the first, which has no rates.
    package init(_ now: FleetSnapshot, since before: FleetSnapshot?) {
        // A gateway that was started anew counts from zero: there is nothing to compare with.
        let isSame = before.map { !Self.beganAnew(now.fleet, $0.fleet) } ?? false
        let earlier = isSame ? before : nil
        let seconds = earlier.map { (now.taken - $0.taken) / .seconds(1) } ?? 0
        let known = Dictionary(
            (earlier?.fleet.models ?? []).map { ([$0.name, $0.version], $0) },
            uniquingKeysWith: { first, _ in first })
        let services = Dictionary(
            now.index.map { ([$0.name, $0.version], $0) }, uniquingKeysWith: { first, _ in first })
        var calls: UInt64 = 0
        var latency = LatencyDigest()
        for model in now.fleet.models {
            let key = [model.name, model.version]
            let began = known[key]
            var row = Self.row(model, service: services[key])
            if seconds > 0 {
                // What is new since then was never called before.
                let made = model.calls &- min(model.calls, began?.calls ?? 0)
                row.rate = Double(made) / seconds
                let recent = model.latency.since(began?.latency ?? LatencyDigest())
                row.median = recent.quantile(0.5)
                row.tail = recent.quantile(0.99)
                calls &+= made
                latency = latency.adding(recent)
            }
            rows.append(row)
        }
        if seconds > 0 { totals.rate = Double(calls) / seconds }
        totals.median = latency.quantile(0.5)
        totals.tail = latency.quantile(0.99)
        if now.fleet.calls > 0 {
            totals.coldShare = Double(now.fleet.coldCalls) / Double(now.fleet.calls)
        }
        totals.awake = rows.count(where: \.isAwake)
        totals.models = rows.count
        totals.waiting = rows.reduce(0) { $0 + $1.waiting }
    }

    private static func beganAnew(_ now: FleetAccount, _ before: FleetAccount) -> Bool {
        if let later = now.uptime, let earlier = before.uptime { return later < earlier }
        return now.calls < before.calls
    }

    private static func row(_ model: ModelAccount, service: IndexedModel?) -> FleetRow {
        let (state, rank) = words(model, service)
        let holds = model.state == .awake || model.state == .leaving
        return FleetRow(
            identity: .init(name: model.name, version: model.version), state: state, rank: rank,
            isPinned: model.isPinned, isTrouble: rank == 0, isAwake: model.state == .awake,
            anonymous: holds ? model.anonymousBytes : 0, mapped: holds ? model.mappedBytes : 0,
            rate: nil, median: nil, tail: nil,
            coldShare: model.calls > 0 ? Double(model.coldCalls) / Double(model.calls) : nil,
            waiting: model.waiting)
    }

    private static func words(
        _ model: ModelAccount, _ service: IndexedModel?
    ) -> (String, rank: Int) {
        if model.isQuarantined { return ("quarantined", 0) }
        if model.state == .broken { return ("broken", 0) }
        switch model.state {
        case .queued: return ("waking", 1)
        case .loading:
            return (model.waking.map { "waking \(Int($0 * 100)) %" } ?? "waking", 1)
        case .leaving: return ("leaving", 2)
        default: break
        }
        if let service, !service.isReady { return ("out of service", 5) }
        if model.state == .awake {
            return (model.promotedFor == nil ? "awake" : "awake, promoted", 3)
        }
        return (model.state.rawValue, 4)
    }
}
