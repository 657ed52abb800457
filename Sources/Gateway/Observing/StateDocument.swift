// The state document as JSON: what waits for what. Bounded: of each kind the most urgent are named, the others counted.

import Admission
import Catalogue
import Contract
import NIOCore
import OpenInference
import Shards

/// Everything the document is made of. Names only: no token, no tensor, no path.
struct StateDocument: Sendable {
    /// Of each list.
    static let most = 100

    var version: String
    var time: String
    var uptime: Nanoseconds
    var isServing: Bool
    var generation: Int
    var settingsAge: Nanoseconds
    /// Open ones, those included that have shown no token yet.
    var connections: Int
    /// Of each event loop; nil: it did not answer in time.
    var loops: [LoopState?]
    var fleet: FleetState
    var account: FleetAccount
    var gate: GateStatistics
    var quarantined: [Quarantine]
    var accessLog: AccessLogCounts

    func encoded() -> ByteBuffer {
        var all = LoopState()
        for case .some(let loop) in loops { all.add(loop, most: StateDocument.most) }
        var json = JSONWriter()
        json.object { json in
            json.object("gateway", gateway)
            json.object("connections") { connections(all, &$0) }
            json.object("calls") { calls(all, &$0) }
            json.object("models", models)
            json.array("shards", shards)
            json.object("loaders", loaders)
            json.object("memory", memory)
            json.object("introspection", introspection)
            json.object("access_log") { json in
                json.member("written", accessLog.written)
                json.member("dropped", accessLog.dropped)
                json.member("refused", accessLog.refused)
                json.member("waiting", accessLog.waiting)
            }
        }
        var buffer = json.buffer
        buffer.writeString("\n")
        return buffer
    }

    private func gateway(_ json: inout JSONWriter) {
        json.member("version", version)
        json.member("time", time)
        json.member("uptime_ms", uptime.milliseconds)
        json.member("serving", isServing)
        json.object("settings") { json in
            json.member("generation", generation)
            json.member("age_ms", settingsAge.milliseconds)
        }
    }

    private func connections(_ all: LoopState, _ json: inout JSONWriter) {
        json.member("open", connections)
        json.member("with_calls", all.withCalls)
        json.array("loops") { json in
            for (number, loop) in loops.enumerated() {
                json.object { json in
                    json.member("loop", number)
                    json.member("answers", loop != nil)
                    if let loop {
                        json.member("connections", loop.connections)
                        json.member("calls", loop.calls)
                    }
                }
            }
        }
        json.array("longest_waiting") { json in
            for one in all.oldestConnections {
                json.object { json in
                    json.member("connection", one.connection)
                    json.member("peer", one.address)
                    json.member("client", one.client)
                    json.member("calls", one.calls)
                    json.member("oldest_ms", one.oldest.milliseconds)
                }
            }
        }
        json.member("left_out", all.withCalls - all.oldestConnections.count)
    }

    private func calls(_ all: LoopState, _ json: inout JSONWriter) {
        json.member("open", all.calls)
        json.member("errands", all.errands)
        json.array("oldest") { json in
            for call in all.oldestCalls {
                json.object { json in
                    json.member("connection", call.connection)
                    json.member("peer", call.address)
                    json.member("client", call.client)
                    json.member("door", call.door.rawValue)
                    json.member("method", call.method.name)
                    json.member("model", call.model)
                    if !call.version.isEmpty { json.member("version", call.version) }
                    json.member("stage", call.stage)
                    if let time = call.stageFor { json.member("stage_ms", time.milliseconds) }
                    json.member("age_ms", call.age.milliseconds)
                    json.member("deadline_ms", call.deadline.milliseconds)
                }
            }
        }
        json.member("left_out", all.calls - all.oldestCalls.count)
    }

    private func models(_ json: inout JSONWriter) {
        json.member("asleep", fleet.asleep)
        json.array("listed") { json in
            for model in fleet.models {
                json.object { self.model(model, &$0) }
            }
        }
        json.member("left_out", fleet.modelsLeftOut)
        json.array("quarantined") { json in
            for one in quarantined.prefix(StateDocument.most) {
                json.element("\(one.model)/\(one.version)")
            }
        }
    }

    private func model(_ model: FleetState.Model, _ json: inout JSONWriter) {
        json.member("model", model.name)
        json.member("version", model.version)
        json.member("state", model.state)
        json.member("leases", model.leases)
        json.member("waiting", model.waiting)
        if model.held > 0 { json.member("held_by_its_limit", model.held) }
        if let wait = model.oldestWait { json.member("oldest_wait_ms", wait.milliseconds) }
        if let left = model.oldestDeadline {
            json.member("oldest_deadline_ms", left.milliseconds)
        }
        if let load = model.load {
            json.object("load") { json in
                json.member("stage", "\(load.state)")
                if let time = model.loadingFor { json.member("since_ms", time.milliseconds) }
                if let fraction = load.fraction { json.member("fraction", fraction) }
                if let left = load.remaining { json.member("remaining_ms", left.milliseconds) }
            }
        }
        if !model.failure.isEmpty { json.member("failure", model.failure) }
    }

    private func shards(_ json: inout JSONWriter) {
        for (number, shard) in fleet.shards.enumerated() {
            json.object { json in
                json.member("shard", number)
                json.member("queued", shard.queued)
                json.member("busy", !shard.model.isEmpty)
                guard !shard.model.isEmpty else { return }
                json.member("model", shard.model)
                json.member("version", shard.version)
                json.member("running_ms", shard.runningFor.milliseconds)
                json.member("deadline_ms", shard.deadline.milliseconds)
            }
        }
    }

    private func loaders(_ json: inout JSONWriter) {
        json.member("threads", fleet.loaderThreads)
        json.member("queued", fleet.loaderQueue)
        json.array("busy") { json in
            for job in fleet.loaderJobs {
                json.object { json in
                    json.member("work", job.kind.rawValue)
                    json.member("model", job.entry.name)
                    json.member("version", job.entry.version)
                    json.member("since_ms", Instant.now().since(job.since).milliseconds)
                }
            }
        }
        json.member("waiting_for_memory", fleet.waitingForRoom)
    }

    private func memory(_ json: inout JSONWriter) {
        json.member("anonymous_used", account.anonymousUsed)
        json.member("anonymous_budget", account.anonymousBudget)
        json.member("mapped_used", account.mappedUsed)
        json.member("mapped_budget", account.mappedBudget)
        json.member("loads_last_hour", account.loadsLastHour)
        json.array("holdings") { json in
            for one in fleet.holdings {
                json.object { json in
                    json.member("model", one.model)
                    json.member("bytes", one.bytes)
                }
            }
        }
        json.member("left_out", fleet.holdingsLeftOut)
    }

    private func introspection(_ json: inout JSONWriter) {
        json.member("asking", gate.lookupsInProgress)
        json.member("queued", gate.lookupsQueued)
        json.member("calls_waiting", gate.waiters)
        json.array("issuers") { json in
            for (name, phase) in gate.breakers.sorted(by: { $0.key < $1.key }) {
                json.object { json in
                    json.member("name", name)
                    json.member("breaker", phase.rawValue)
                }
            }
        }
    }
}
