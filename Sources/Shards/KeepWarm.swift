// Models that are kept warm by a rule: once a minute the watchdog looks whose window is open, and wakes who sleeps. Such a
// load is polite: it makes nobody go who is in use or kept warm himself, and is forgotten when there is no room.

package import Catalogue
import Contract
import Synchronization

/// What the watchdog knows about windows.
struct WarmKeeper: Sendable {
    /// The last minute that was looked at, since 1970.
    var minute: Int64 = -1
    /// Every version that calls without a version would get.
    var catalogue: (@Sendable () -> [ModelEntry])?
}

extension Fleet {
    /// From now on rules are kept for these models; asked once a minute, on the watchdog's thread.
    package func keepWarm(from catalogue: @escaping @Sendable () -> [ModelEntry]) {
        warmKeeper.withLock { $0.catalogue = catalogue }
    }

    /// Called by ``look(_:)``.
    func attendWindows() {
        let wishes = loaders.wishes.now
        guard wishes.rules.contains(where: { $0.keepWarm != nil }) else { return }
        let seconds = clock.wall()
        let catalogue = warmKeeper.withLock { keeper -> (@Sendable () -> [ModelEntry])? in
            guard seconds / 60 != keeper.minute, let catalogue = keeper.catalogue else {
                return nil
            }
            keeper.minute = seconds / 60
            return catalogue
        }
        guard let catalogue else { return }
        var open: Set<Int> = []
        for entry in catalogue() where entry.fault == nil {
            guard wishes.rule(for: entry.name)?.isInWindow(seconds) == true
            else { continue }
            open.insert(entry.index)
            warm(resident(for: entry))
        }
        for resident in everyResident where !open.contains(resident.entry.index) {
            resident.isWarm.store(false, ordering: .relaxed)
        }
    }

    private func warm(_ resident: Resident) {
        resident.isWarm.store(true, ordering: .relaxed)
        guard resident.phase == .asleep else { return }
        let waiter = Waiter.notice(Notice(isPolite: true) { _ in })
        switch resident.arrive(waiter, now: clock.now(), insists: false) {
        case .granted(let awake): Lease(granted: awake, by: resident).end()
        case .waits(let startLoad): if startLoad { loaders.load(resident) }
        case .refused: break
        }
    }
}

extension Waiter {
    /// Wants the model only when there is room for it.
    var isPolite: Bool {
        switch self {
        case .run: false
        case .notice(let notice): notice.isPolite
        }
    }
}
