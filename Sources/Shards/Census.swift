// Every model the fleet has heard of.

import Catalogue
import Synchronization

/// Residents by their entries. Any thread may ask.
final class Census: Sendable {
    private let residents = Mutex<[Int: Resident]>([:])

    var all: [Resident] { residents.withLock { Array($0.values) } }

    func known(_ entry: ModelEntry) -> Resident? {
        residents.withLock { $0[entry.index] }.flatMap { $0.entry === entry ? $0 : nil }
    }

    func resident(for entry: ModelEntry, make: () -> Resident) -> Resident {
        residents.withLock { residents in
            if let known = residents[entry.index], known.entry === entry { return known }
            let new = make()
            residents[entry.index] = new
            return new
        }
    }

    func forget(_ entries: [ModelEntry]) {
        residents.withLock { residents in
            for entry in entries where residents[entry.index]?.entry === entry {
                residents[entry.index] = nil
            }
        }
    }
}
