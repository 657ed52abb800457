// MODEL_ACCOUNT and the pins, between the walk and the shards: what the fleet knows of models, in Contract's words.

import Catalogue
import Contract
import Shards

extension Fleet {
    /// What each of these versions costs and how it is used, in their order. Asking wakes nobody.
    func accounts(of entries: [ModelEntry], now: Instant) -> [ModelAccount] {
        entries.map { entry in
            let tally = tally(of: entry)
            var account = ModelAccount(name: entry.name, version: entry.version, state: .asleep)
            switch state(of: entry) {
            case .asleep: account.state = .asleep
            case .loading: account.state = .loading
            case .awake: account.state = .awake
            case .leaving: account.state = .leaving
            case .broken(let failure):
                account.state = .broken
                account.failure = failure.message
            }
            if let fault = entry.fault {
                account.state = .broken
                account.failure = fault
            }
            account.isPinned = isPinned(entry)
            account.sinceLastCall = tally.last.map { now.since($0) }
            // Since the start, for as long as the shards do not count by wakes.
            account.callsSinceWake = account.state == .awake ? tally.run.count : 0
            return account
        }
    }

    /// The memory all models share. Nothing is measured yet: zero is "no budget is kept", an empty curve "not known".
    func account(now: Instant) -> FleetAccount { FleetAccount() }
}
