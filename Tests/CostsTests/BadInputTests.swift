// Price tables and plans that are wrong: each error names the file, the line, the key, what is wrong and what is allowed.

import Contract
import Costs
import Foundation
import Testing

@Suite struct PriceTableTests {
    @Test func everyEmbeddedFigureSaysWhereItIsFrom() throws {
        let table = try PriceTable.embedded()
        #expect(table.figures.count == FigureName.allCases.count)
        for origin in table.figures.values.map(\.origin) + table.machines.map(\.origin) {
            switch origin {
            case .document(let name, let read):
                #expect(name.contains("https://") && read.hasPrefix("20"), "\(name)")
            case .assumption(let why): #expect(why.count > 20)
            }
        }
        #expect(table.machines.map(\.price) == table.machines.map(\.price).sorted())
    }

    /// A change to the embedded table, and what the error says.
    static let changes: [(was: String, now: String, said: [String])] = [
        ("    value: 0.20\n", "", ["function.requests", "no 'value'", "USD/million"]),
        (
            "    value: 0.20\n", "    value: -0.20\n",
            ["function.requests.value", "negative", "line"]
        ),
        (
            "    value: 0.20\n", "    value: cheap\n",
            ["function.requests.value", "'cheap'", "number"]
        ),
        ("    value: 0.20\n", "    value: nan\n", ["'nan'", "number"]),
        ("    value: 730\n", "    value: 0\n", ["month.value", "must be more"]),
        (
            "  function.requests:\n", "  function.request:\n",
            ["function.request'", "not known", "function.requests"]
        ),
        (
            "    unit: USD/month\n", "    unit: EUR/month\n",
            ["pool.client.unit", "EUR/month", "USD/month"]
        ),
        ("    read: 2026-11-23\n", "", ["'source' and 'read'", "assumption"]),
        ("    read: 2026-11-23\n", "    read: today\n", ["'today'", "2026-11-23"]),
        ("    price: 0.0416\n", "", ["machines.t3.medium", "no 'price'", "USD an hour"]),
        ("    price: 0.0416\n", "    price: -1\n", ["machines.t3.medium.price", "negative"]),
        ("    memory: 4096MB\n", "    memory: 4096\n", ["machines.t3.medium.memory", "500MB"]),
        ("    memory: 4096MB\n", "    memory: -1MB\n", ["negative"]),
        ("currency: USD\n", "currency: EUR\n", ["currency", "must be USD"]),
        ("currency: USD\n", "currency: USD\nprizes: 1\n", ["prizes", "not known", "machines"]),
        ("currency: USD\n", "currency: [\n", ["not YAML", "line"]),
        (
            "figures:\n", "figures:\n  month: { value: 1, unit: hours, assumption: a }\n",
            ["month", "given twice"]
        ),
        (
            "    assumption: \"one stream", "    source: x\n    assumption: \"one stream",
            ["not both"]
        ),
    ]

    @Test(arguments: changes.indices)
    func aFaultIsNamed(index: Int) throws {
        let change = Self.changes[index]
        let place = try #require(PriceTable.embeddedText.range(of: change.was), "\(change.was)")
        let text = PriceTable.embeddedText.replacingCharacters(in: place, with: change.now)
        let error = #expect(throws: GatewayError.self) {
            try PriceTable(yaml: text, file: "mine.yaml")
        }
        let message = try #require(error).description
        #expect(message.contains("'mine.yaml'"), "\(message)")
        for word in change.said { #expect(message.contains(word), "\(word): \(message)") }
    }

    @Test func aPriceThatIsNotThereIsNamed() throws {
        let start = try #require(PriceTable.embeddedText.range(of: "  endpoint.data:\n"))
        let error = #expect(throws: GatewayError.self) {
            try PriceTable(
                yaml: String(PriceTable.embeddedText[..<start.lowerBound]), file: "mine.yaml")
        }
        #expect(try #require(error).description.contains("lacks 'endpoint.data' (USD/GB)"))
    }

    @Test func whatIsTooLongIsNotRead() {
        #expect(throws: GatewayError.self) {
            try PriceTable(yaml: String(repeating: "#", count: 300_000), file: "long")
        }
        #expect(throws: GatewayError.self) { try PriceTable(yaml: "", file: "empty") }
        #expect(throws: GatewayError.self) { try PriceTable(yaml: "- 1\n- 2", file: "list") }
    }
}

@Suite struct CostPlanTests {
    private func read(_ yaml: String) throws -> CostPlan {
        try CostPlan(yaml: yaml, file: "fleet.yaml", prices: try PriceTable.embedded())
    }

    @Test func everyKeyIsRead() throws {
        let plan = try read(
            """
            name: two
            assumptions: [one, two]
            machine: t3.large
            machine_per_model: t3.medium
            disk: 20
            clients: 3
            token_life: 30m
            models:
              - { name: a, memory: 500MB, run: 200ms, calls_per_hour: 0.5 }
              - name: b
                count: 2
                memory: 2.5GB
                file: 100 KB
                function_memory: 3008MB
                run: 20s
                run_includes_load: true
                load: 237ms
                calls_per_hour: 10
                data: 1MB
            """)
        #expect(plan.name == "two" && plan.assumptions == ["one", "two"])
        #expect(plan.machine?.name == "t3.large" && plan.machinePerModel?.name == "t3.medium")
        #expect(plan.disk == 20 && plan.clients == 3 && plan.tokenLife == 1_800)
        #expect(plan.modelCount == 3 && plan.callsPerHour == 20.5)
        let (first, last) = (plan.models[0], plan.models[1])
        #expect(first.memory == 500 && first.file == 500 && first.run == 0.2 && first.count == 1)
        #expect(last.memory == 2_560 && last.file == 100 / 1_024 && last.functionMemory == 3_008)
        #expect(last.runIncludesLoad && isNear(last.load, 0.237) && last.data == 1)
    }

    static let faults: [(yaml: String, said: [String])] = [
        ("name: x\n", ["no 'models'"]),
        ("models: []\n", ["empty"]),
        ("models: 3\n", ["must be a list"]),
        ("models:\n  - { name: a }\n", ["models.0", "no 'memory'"]),
        (
            "models:\n  - { name: a, memory: 1MB, run: 2, calls_per_hour: 1 }\n",
            ["models.0.run", "'2'", "200ms"]
        ),
        (
            "models:\n  - { name: a, memory: 1MB, run: -2s, calls_per_hour: 1 }\n",
            ["run", "negative"]
        ),
        (
            "models:\n  - { name: a, memory: 1MB, run: 2s, calls_per_hour: -1 }\n",
            ["calls_per_hour", "negative"]
        ),
        (
            "models:\n  - { name: a, memory: 1MB, run: 2s, calls: 1 }\n",
            ["models.0.calls'", "not known", "calls_per_hour", "line 2"]
        ),
        (
            "models:\n  - { name: a, memory: 1MB, run: 2s, calls_per_hour: 1, count: 1.5 }\n",
            ["count", "whole number"]
        ),
        (
            "machine: z9.large\nmodels:\n  - { name: a, memory: 1MB, run: 2s, calls_per_hour: 1 }\n",
            ["machine", "t3.medium"]
        ),
        (
            "token_life: 1s\nmodels:\n  - { name: a, memory: 1MB, run: 2s, calls_per_hour: 1 }\n",
            ["token_life", "1m"]
        ),
        (
            "models:\n  - { name: a, memory: 1MB, run: 2s, calls_per_hour: 1, count: 100000 }\n",
            ["10000"]
        ),
    ]

    @Test(arguments: faults.indices)
    func aFaultIsNamed(index: Int) throws {
        let fault = Self.faults[index]
        let error = #expect(throws: GatewayError.self) { try read(fault.yaml) }
        let message = try #require(error).description
        #expect(message.contains("'fleet.yaml'"), "\(message)")
        for word in fault.said { #expect(message.contains(word), "\(word): \(message)") }
    }
}
