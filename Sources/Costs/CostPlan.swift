// The fleet that is priced: from a plan file, or made of what the ledger counted.

package import Contract

/// One model, or several alike.
package struct FleetModel: Sendable, Equatable {
    package var name: String
    package var count = 1
    /// MB it holds while it runs.
    package var memory: Double
    /// MB in the store and on disk.
    package var file: Double
    /// MB its function gets; nil: `memory` and the runtime.
    package var functionMemory: Double?
    /// Seconds of a run.
    package var run: Double
    /// The run times already contain waiting for a model that was asleep.
    package var runIncludesLoad = false
    /// Seconds from asleep to awake in Sluice; nil: reading the file at the disk's rate.
    package var load: Double?
    /// Calls an hour, of each of `count`.
    package var callsPerHour: Double
    /// MB of a call, in and out.
    package var data = 0.0
    /// Share of calls that found it asleep in Sluice, where that was counted.
    package var coldShare: Double?

    package init(name: String, memory: Double, run: Double, callsPerHour: Double) {
        self.name = name
        self.memory = memory
        file = memory
        self.run = run
        self.callsPerHour = callsPerHour
    }
}

/// What `sluice cost` prices.
package struct CostPlan: Sendable, Equatable {
    package static let modelsMax = 10_000

    package var name: String
    package var models: [FleetModel]
    /// What the plan's writer assumed; shown with the result.
    package var assumptions: [String] = []
    /// Hours that are priced; nil: a month.
    package var hours: Double?
    /// Machine clients that take tokens, and how many seconds a token lives.
    package var clients = 1
    package var tokenLife = 3_600.0
    /// The machine Sluice runs on, and that of each model in its own; nil: the cheapest with room.
    package var machine: Machine?
    package var machinePerModel: Machine?
    /// GB of disk of each machine, beside the models' files.
    package var disk = 8.0
    /// Figures were counted by a gateway and not planned.
    package var isMeasured = false

    package init(name: String, models: [FleetModel]) {
        self.name = name
        self.models = models
    }

    private static let keys = [
        "name", "assumptions", "machine", "machine_per_model", "disk", "clients", "token_life",
        "models",
    ]
    private static let modelKeys = [
        "name", "count", "memory", "file", "function_memory", "run", "run_includes_load", "load",
        "calls_per_hour", "data",
    ]

    /// Reads a plan. Throws DATA naming file, line and key.
    package init(yaml: String, file: String, prices: PriceTable) throws(GatewayError) {
        let root = try CostNode.root(yaml, file: file)
        let parts = try root.map(CostPlan.keys)
        guard let list = parts["models"] else {
            throw root.fault("has no 'models'; a list of at least one is needed")
        }
        var models: [FleetModel] = []
        for node in try list.list() { models.append(try CostPlan.model(node)) }
        guard !models.isEmpty else { throw list.fault("is empty; a model is needed") }
        guard models.reduce(0, { $0 + $1.count }) <= CostPlan.modelsMax else {
            throw list.fault("has more than \(CostPlan.modelsMax) models")
        }
        self.init(name: try parts["name"]?.text() ?? file, models: models)
        for node in try parts["assumptions"]?.list() ?? [] {
            assumptions.append(try node.text())
        }
        machine = try CostPlan.machine(parts["machine"], prices)
        machinePerModel = try CostPlan.machine(parts["machine_per_model"], prices)
        if let node = parts["disk"] { disk = try node.number() }
        if let node = parts["clients"] { clients = try node.count() }
        if let node = parts["token_life"] {
            tokenLife = try node.seconds()
            guard tokenLife >= 60 else { throw node.fault("must be 1m at least") }
        }
    }

    private static func machine(
        _ node: CostNode?, _ prices: PriceTable
    ) throws(GatewayError) -> Machine? {
        guard let node else { return nil }
        guard let machine = prices.machine(named: try node.text()) else {
            let known = prices.machines.map(\.name).joined(separator: ", ")
            throw node.fault("is not in the price table, which has \(known)")
        }
        return machine
    }

    private static func model(_ node: CostNode) throws(GatewayError) -> FleetModel {
        let parts = try node.map(modelKeys)
        func part(_ key: String, _ example: String) throws(GatewayError) -> CostNode {
            guard let part = parts[key] else {
                throw node.fault("has no '\(key)', such as \(example)")
            }
            return part
        }
        var model = FleetModel(
            name: try part("name", "churn").text(),
            memory: try part("memory", "500MB").megabytes(),
            run: try part("run", "200ms").seconds(),
            callsPerHour: try part("calls_per_hour", "10").number())
        if let node = parts["count"] { model.count = try node.count() }
        if let node = parts["file"] { model.file = try node.megabytes() }
        if let node = parts["data"] { model.data = try node.megabytes() }
        if let node = parts["load"] { model.load = try node.seconds() }
        if let node = parts["function_memory"] { model.functionMemory = try node.megabytes() }
        if let node = parts["run_includes_load"] { model.runIncludesLoad = try node.flag() }
        return model
    }

    package var modelCount: Int { models.reduce(0) { $0 + $1.count } }
    /// Of all models together.
    package var callsPerHour: Double {
        models.reduce(0) { $0 + $1.callsPerHour * Double($1.count) }
    }
    /// Hours of runs in an hour: cores that are busy on average.
    var busyCores: Double {
        models.reduce(0) { $0 + $1.callsPerHour * Double($1.count) * $1.run } / 3_600
    }

    /// The same fleet with so many calls an hour for each model on average.
    func scaled(toCallsPerModel rate: Double) -> CostPlan {
        var plan = self
        let now = callsPerHour / Double(max(1, modelCount))
        for index in plan.models.indices {
            plan.models[index].callsPerHour =
                now > 0 ? plan.models[index].callsPerHour * rate / now : rate
            plan.models[index].coldShare = nil
        }
        return plan
    }
}
