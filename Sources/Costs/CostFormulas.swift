// The formulas of docs/cost.md, with its symbols in the comments. Money is USD, time seconds, memory MB; 1,024 MB are a GB.

private import Foundation

struct CostFormulas {
    let plan: CostPlan
    let prices: PriceTable

    /// H: the hours that are priced.
    var hours: Double { plan.hours ?? prices[.month] }
    /// H as a part of a month.
    private var months: Double { hours / prices[.month] }

    func line(_ alternative: Alternative) -> CostLine {
        switch alternative {
        case .machines: machines()
        case .functions: functions()
        case .endpoint: endpoint()
        case .sluice: sluice()
        }
    }

    // MARK: - Machines

    /// n = max(1, ceil(b / (u c))): machines that b busy cores need.
    private func machineCount(_ busy: Double, _ machine: Machine) -> Double {
        max(1, (busy / (machine.cores * prices[.machineUse])).rounded(.up))
    }

    /// n H p, with what burstable machines are charged beyond their baseline: max(0, b - n s) H q.
    private func rent(_ machine: Machine, count: Double, busy: Double, into line: inout CostLine) {
        line.items.append(
            CostItem(
                label: machine.name, quantity: count * hours, unit: "hours", price: machine.price))
        let surplus = max(0, busy - count * machine.baseline)
        if surplus > 0 {
            line.items.append(
                CostItem(
                    label: "CPU credits", quantity: surplus * hours, unit: "core-hours",
                    price: prices[.machineSurplus]))
        }
    }

    private func disk(_ gigabytes: Double) -> CostItem {
        CostItem(
            label: "disk", quantity: gigabytes * months, unit: "GB-months",
            price: prices[.diskGigabyte])
    }

    private func machines() -> CostLine {
        var line = CostLine(.machines)
        var gigabytes = 0.0
        var rented: [String: (machine: Machine, count: Double, surplus: Double)] = [:]
        for model in plan.models {
            let need = model.memory + prices[.machineRuntime]
            guard let machine = plan.machinePerModel ?? prices.cheapest(for: need),
                machine.memory >= need + prices[.machineSystem]
            else {
                line.obstacle = obstacle(model, need + prices[.machineSystem])
                return line
            }
            let busy = model.callsPerHour * model.run / 3_600
            let count = machineCount(busy, machine)
            let all = count * Double(model.count)
            var entry = rented[machine.name] ?? (machine, 0, 0)
            entry.count += all
            entry.surplus += max(0, busy - count * machine.baseline) * Double(model.count)
            rented[machine.name] = entry
            gigabytes += all * plan.disk
        }
        for (_, entry) in rented.sorted(by: { $0.value.machine.price < $1.value.machine.price }) {
            rent(
                entry.machine, count: entry.count,
                busy: entry.count * entry.machine.baseline + entry.surplus, into: &line)
        }
        line.items.append(disk(gigabytes))
        let run = mean { $0.run }
        line.waiting = Waiting(warm: run, cold: run, coldShare: 0)
        return line
    }

    private func obstacle(_ model: FleetModel, _ need: Double) -> String {
        let most = plan.machinePerModel ?? prices.machines.max { $0.memory < $1.memory }
        return
            "'\(model.name)' needs a machine of \(CostText.fixed(need, digits: 0)) MB; "
            + (most.map { "\($0.name) has \(CostText.fixed($0.memory, digits: 0))" }
                ?? "there is none")
    }

    // MARK: - Sluice

    private func sluice() -> CostLine {
        var line = CostLine(.sluice)
        let largest = plan.models.map(\.memory).max() ?? 0
        guard let machine = plan.machine ?? prices.cheapest(for: largest),
            machine.memory >= largest + prices[.machineSystem]
        else {
            let name = plan.machine.map { "\($0.name) has \(CostText.fixed($0.memory, digits: 0))" }
            line.obstacle =
                "the largest model needs a machine of "
                + "\(CostText.fixed(largest + prices[.machineSystem], digits: 0)) MB; "
                + (name ?? "the table has none so large")
            return line
        }
        let busy = plan.busyCores
        let count = machineCount(busy, machine)
        rent(machine, count: count, busy: busy, into: &line)
        let files = plan.models.reduce(0) { $0 + $1.file * Double($1.count) }
        line.items.append(disk(count * (plan.disk + files / 1_024)))
        line.waiting = waiting(budget: count * machine.memory - prices[.machineSystem])
        return line
    }

    /// Which calls find their model asleep, by the characteristic time of a cache (Che, Tung and Wang 2002): T with
    /// sum of m (1 - e^(-l T)) = budget; a call is cold with e^(-l T).
    private func waiting(budget: Double) -> Waiting {
        let warm = mean { $0.run }
        if plan.isMeasured {
            let share = mean { $0.coldShare ?? 0 }
            let late = mean { ($0.load ?? 0) * ($0.coldShare ?? 0) }
            return Waiting(
                warm: warm, cold: warm + (share > 0 ? late / share : 0), coldShare: share)
        }
        let time = characteristicTime(budget)
        let share = mean { exp(-$0.callsPerHour / 3_600 * time) }
        let late = mean { load($0) * exp(-$0.callsPerHour / 3_600 * time) }
        return Waiting(
            warm: warm, cold: warm + (share > 0 ? late / share : mean(load)), coldShare: share)
    }

    /// Infinity when everything has room.
    private func characteristicTime(_ budget: Double) -> Double {
        let all = plan.models.reduce(0) { $0 + $1.memory * Double($1.count) }
        guard all > budget else { return .infinity }
        func held(_ time: Double) -> Double {
            plan.models.reduce(0) {
                $0 + $1.memory * Double($1.count) * (1 - exp(-$1.callsPerHour / 3_600 * time))
            }
        }
        var (low, high) = (0.0, 1.0)
        while held(high) < budget, high < 1e12 { high *= 2 }
        for _ in 0..<100 {
            let middle = (low + high) / 2
            if held(middle) < budget { low = middle } else { high = middle }
        }
        return low
    }

    private func load(_ model: FleetModel) -> Double {
        model.load ?? model.file / prices[.diskRate]
    }

    // MARK: - On demand

    /// What of a function's time is charged and waited for beyond the run.
    private func start(_ model: FleetModel) -> Double {
        model.runIncludesLoad
            ? 0 : prices[.functionStart] + model.file / prices[.functionFetch]
    }

    /// e^(-l k): nobody called for as long as an unused function is kept.
    private func asleep(_ model: FleetModel) -> Double {
        exp(-model.callsPerHour / 3_600 * prices[.functionKept])
    }

    /// Sum over models of l H g (r + e^(-l k) f), in GB-seconds.
    private func gigabyteSeconds(_ gigabytes: (FleetModel) -> Double) -> Double {
        plan.models.reduce(0) { sum, model in
            let seconds = model.run + asleep(model) * start(model)
            let calls = model.callsPerHour * Double(model.count) * hours
            return sum + calls * gigabytes(model) * seconds
        }
    }

    private func functionMemory(_ model: FleetModel) -> Double {
        (model.functionMemory ?? model.memory + prices[.machineRuntime]).rounded(.up)
    }

    private func functions() -> CostLine {
        var line = CostLine(.functions)
        if let model = plan.models.first(where: { functionMemory($0) > prices[.functionMemory] }) {
            line.obstacle = tooLarge(model, functionMemory(model), prices[.functionMemory])
            return line
        }
        line.items = [
            CostItem(
                label: "functions", quantity: gigabyteSeconds { functionMemory($0) / 1_024 },
                unit: "GB-seconds", price: prices[.functionGigabyteSecond]),
            CostItem(
                label: "requests", quantity: calls / 1e6, unit: "million",
                price: prices[.functionRequests]),
        ]
        line.items += around()
        line.waiting = onDemandWaiting
        return line
    }

    private func endpointMemory(_ model: FleetModel) -> Double {
        let step = prices[.endpointMemoryStep]
        return (functionMemory(model) / step).rounded(.up) * step
    }

    private func endpoint() -> CostLine {
        var line = CostLine(.endpoint)
        if let model = plan.models.first(where: { endpointMemory($0) > prices[.endpointMemory] }) {
            line.obstacle = tooLarge(model, endpointMemory(model), prices[.endpointMemory])
            return line
        }
        let data = plan.models.reduce(0) {
            $0 + $1.data * $1.callsPerHour * Double($1.count) * hours
        }
        line.items = [
            CostItem(
                label: "endpoint", quantity: gigabyteSeconds { endpointMemory($0) / 1_024 },
                unit: "GB-seconds", price: prices[.endpointGigabyteSecond]),
            CostItem(
                label: "data", quantity: data / 1_024, unit: "GB", price: prices[.endpointData]),
        ]
        line.items += around()
        line.waiting = onDemandWaiting
        return line
    }

    private func tooLarge(_ model: FleetModel, _ need: Double, _ most: Double) -> String {
        "'\(model.name)' needs \(CostText.fixed(need, digits: 0)) MB, at most "
            + "\(CostText.fixed(most, digits: 0)) can be had"
    }

    /// The API gateway, the user pool and the object store.
    private func around() -> [CostItem] {
        let clients = Double(plan.clients)
        let files = plan.models.reduce(0) { $0 + $1.file * Double($1.count) }
        let reads = plan.models.reduce(0) {
            $0 + $1.callsPerHour * Double($1.count) * hours * asleep($1)
        }
        return [
            CostItem(
                label: "API gateway", quantity: calls / 1e6, unit: "million",
                price: prices[.gatewayRequests]),
            CostItem(
                label: "user pool", quantity: clients * months, unit: "client-months",
                price: prices[.poolClient]),
            CostItem(
                label: "tokens", quantity: clients * hours * 3_600 / plan.tokenLife / 1e3,
                unit: "thousand", price: prices[.poolTokens]),
            CostItem(
                label: "object store", quantity: files / 1_024 * months, unit: "GB-months",
                price: prices[.storeGigabyte]),
            CostItem(
                label: "store reads", quantity: reads / 1e3, unit: "thousand",
                price: prices[.storeReads]),
        ]
    }

    private var onDemandWaiting: Waiting {
        let run = mean { $0.run }
        let share = mean(asleep)
        let late = mean { asleep($0) * start($0) }
        return Waiting(
            warm: run, cold: run + (share > 0 ? late / share : mean(start)), coldShare: share)
    }

    // MARK: - Sums

    private var calls: Double { plan.callsPerHour * hours }

    /// The mean over all calls; over all models when nobody calls.
    private func mean(_ value: (FleetModel) -> Double) -> Double {
        let rate = plan.callsPerHour
        if rate > 0 {
            return plan.models.reduce(0) {
                $0 + value($1) * $1.callsPerHour * Double($1.count)
            } / rate
        }
        return plan.models.reduce(0) { $0 + value($1) * Double($1.count) }
            / Double(max(1, plan.modelCount))
    }
}
