// How models are, for callers who watch them: the catalogue and the fleet in one answer.

import Catalogue
import Contract
import JSONDoor
import Shards

struct FleetConditions: ModelConditions {
    let registry: Registry
    let fleet: Fleet

    func condition(of model: String, version: String, now: Instant) -> ModelCondition {
        let entry: ModelEntry
        do throws(CallFailure) {
            entry = try registry.select(name: model, version: version)
        } catch {
            let state: ModelCondition.State =
                switch error.reason {
                case .modelUnloaded: .unloaded
                case .modelQuarantined: .quarantined
                case .modelNotFound: .gone
                default: .broken
                }
            return ModelCondition(version: version, state: state, why: error.message)
        }
        var condition = ModelCondition(version: entry.version, state: .asleep)
        switch fleet.state(of: entry) {
        case .asleep: break
        case .loading:
            condition.state = .loading
            condition.progress = fleet.loading(of: entry, now: now)
        case .awake: condition.state = .awake
        case .leaving: condition.state = .leaving
        case .broken(let failure):
            condition.state = .broken
            condition.why = failure.message
        }
        return condition
    }
}
