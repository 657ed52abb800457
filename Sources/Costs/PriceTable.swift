// What things cost: every figure with the document it was read in and the day, or the assumption it is. The embedded table is
// Resources/prices.yaml; a file of the same form can stand in its place.

package import Contract

/// Where a figure comes from.
package enum Origin: Sendable, Equatable {
    /// A document's name or address, and the day it was read, `2026-11-23`.
    case document(String, read: String)
    /// Ours, and why.
    case assumption(String)
}

/// One number of the table.
package struct Figure: Sendable, Equatable {
    package var name: String
    package var value: Double
    package var unit: String
    package var origin: Origin
}

/// A machine that can be rented.
package struct Machine: Sendable, Equatable {
    package var name: String
    /// USD an hour.
    package var price: Double
    package var cores: Double
    /// MB.
    package var memory: Double
    /// Cores that may be busy on average before more is charged (burstable machines).
    package var baseline: Double
    package var origin: Origin

    package init(
        name: String, price: Double, cores: Double, memory: Double, baseline: Double,
        origin: Origin
    ) {
        self.name = name
        self.price = price
        self.cores = cores
        self.memory = memory
        self.baseline = baseline
        self.origin = origin
    }
}

/// The figures of a table, by the names docs/cost.md uses.
package enum FigureName: String, CaseIterable, Sendable {
    case month
    case machineSurplus = "machine.surplus"
    case machineUse = "machine.use"
    case machineSystem = "machine.system"
    case machineRuntime = "machine.runtime"
    case diskGigabyte = "disk.gigabyte"
    case diskRate = "disk.rate"
    case functionGigabyteSecond = "function.gigabyte_second"
    case functionRequests = "function.requests"
    case functionMemory = "function.memory"
    case functionKept = "function.kept"
    case functionStart = "function.start"
    case functionFetch = "function.fetch"
    case gatewayRequests = "gateway.requests"
    case poolClient = "pool.client"
    case poolTokens = "pool.tokens"
    case storeGigabyte = "store.gigabyte"
    case storeReads = "store.reads"
    case endpointGigabyteSecond = "endpoint.gigabyte_second"
    case endpointMemoryStep = "endpoint.memory_step"
    case endpointMemory = "endpoint.memory"
    case endpointData = "endpoint.data"

    package var unit: String {
        switch self {
        case .month: "hours"
        case .machineSurplus: "USD/core-hour"
        case .machineUse: "share"
        case .machineSystem, .machineRuntime, .functionMemory, .endpointMemoryStep,
            .endpointMemory:
            "MB"
        case .diskGigabyte, .storeGigabyte: "USD/GB-month"
        case .diskRate, .functionFetch: "MB/second"
        case .functionGigabyteSecond, .endpointGigabyteSecond: "USD/GB-second"
        case .functionRequests, .gatewayRequests: "USD/million"
        case .functionKept, .functionStart: "seconds"
        case .poolClient: "USD/month"
        case .poolTokens, .storeReads: "USD/thousand"
        case .endpointData: "USD/GB"
        }
    }

    /// Something is divided by it.
    var mustBePositive: Bool {
        switch self {
        case .month, .machineUse, .diskRate, .functionFetch, .endpointMemoryStep: true
        default: false
        }
    }
}

/// A whole price table.
package struct PriceTable: Sendable, Equatable {
    package private(set) var figures: [FigureName: Figure] = [:]
    /// From the cheapest to the dearest.
    package private(set) var machines: [Machine] = []

    /// The table that `sluice` carries, as text.
    package static var embeddedText: String {
        String(decoding: PackageResources.prices_yaml, as: UTF8.self)
    }

    package static func embedded() throws(GatewayError) -> PriceTable {
        try PriceTable(yaml: embeddedText, file: "the embedded price table")
    }

    /// Reads a table. Throws DATA naming file, line and key for whatever is missing, negative or not known.
    package init(yaml: String, file: String) throws(GatewayError) {
        let root = try CostNode.root(yaml, file: file)
        let parts = try root.map(["currency", "machines", "figures"])
        guard let currency = parts["currency"] else {
            throw root.fault("has no 'currency'; it must be USD")
        }
        guard try currency.text() == "USD" else { throw currency.fault("must be USD") }
        guard let figures = parts["figures"] else { throw root.fault("has no 'figures'") }
        let given = try figures.map(FigureName.allCases.map(\.rawValue))
        for name in FigureName.allCases {
            guard let node = given[name.rawValue] else {
                throw figures.fault(
                    "lacks '\(name.rawValue)' (\(name.unit)): every price must be there")
            }
            self.figures[name] = try PriceTable.figure(name, node)
        }
        guard let machines = parts["machines"] else { throw root.fault("has no 'machines'") }
        for (name, node) in try machines.map() {
            self.machines.append(try PriceTable.machine(name, node))
        }
        guard !self.machines.isEmpty else { throw machines.fault("names no machine") }
        self.machines.sort { ($0.price, $0.name) < ($1.price, $1.name) }
    }

    private static func figure(
        _ name: FigureName, _ node: CostNode
    ) throws(GatewayError) -> Figure {
        let parts = try node.map(["value", "unit", "source", "read", "assumption"])
        guard let value = parts["value"] else {
            throw node.fault("has no 'value'; a number of \(name.unit) is needed")
        }
        guard let unit = parts["unit"] else { throw node.fault("has no 'unit': \(name.unit)") }
        guard try unit.text() == name.unit else {
            throw unit.fault("is '\(try unit.text())'; it must be \(name.unit)")
        }
        return Figure(
            name: name.rawValue,
            value: name.mustBePositive ? try value.positive() : try value.number(),
            unit: name.unit, origin: try origin(node, parts))
    }

    private static func machine(_ name: String, _ node: CostNode) throws(GatewayError) -> Machine {
        let parts = try node.map([
            "price", "cores", "memory", "baseline", "source", "read", "assumption",
        ])
        func part(_ key: String, _ what: String) throws(GatewayError) -> CostNode {
            guard let part = parts[key] else { throw node.fault("has no '\(key)', \(what)") }
            return part
        }
        let cores = try part("cores", "how many it has").positive()
        return Machine(
            name: name, price: try part("price", "USD an hour").number(), cores: cores,
            memory: try part("memory", "such as 4096MB").megabytes(),
            baseline: try parts["baseline"]?.number() ?? cores,
            origin: try origin(node, parts))
    }

    private static func origin(
        _ node: CostNode, _ parts: [String: CostNode]
    ) throws(GatewayError) -> Origin {
        if let assumption = parts["assumption"] {
            guard parts["source"] == nil, parts["read"] == nil else {
                throw node.fault("is an assumption or has a source, not both")
            }
            return .assumption(try assumption.text())
        }
        guard let source = parts["source"], let read = parts["read"] else {
            throw node.fault(
                "does not say where it is from: 'source' and 'read' (a date), or 'assumption'")
        }
        return .document(try source.text(), read: try read.date())
    }

    package subscript(name: FigureName) -> Double {
        guard let figure = figures[name] else {
            preconditionFailure("a table is read whole or not at all")
        }
        return figure.value
    }

    package func machine(named name: String) -> Machine? { machines.first { $0.name == name } }

    /// The cheapest with room for so many MB beside the system.
    func cheapest(for memory: Double) -> Machine? {
        machines.first { $0.memory >= memory + self[.machineSystem] }
    }
}
