// Before a model is loaded its files must be here. Bringing them is somebody else's work (ModelFetcher): no loader waits for
// it, and other models wake meanwhile.

import Catalogue
import Contract
import Synchronization

extension Loaders {
    /// The model's residency has said that a load is to start.
    func load(_ resident: Resident) {
        guard let fetcher else { return enqueue(resident) }
        switch fetcher.files(of: resident.entry) {
        case .present(let hold):
            resident.keepFiles(by: hold)
            resident.loadSteps.withLock { $0 = LoadSteps() }
            enqueue(resident)
        case .absent:
            fetcher.fetch(
                resident.entry,
                for: FilesWait(loaders: self, resident: resident, began: clock.now()))
        }
    }

    fileprivate func filesCame(
        _ hold: any FilesHold, for resident: Resident, since began: Instant
    ) {
        resident.keepFiles(by: hold)
        let now = clock.now()
        resident.loadSteps.withLock { $0.fetched(from: began, to: now) }
        enqueue(resident)
    }

    fileprivate func filesFailed(_ failure: FetchFailure, for resident: Resident) {
        guard failure.isLasting else {
            // Somebody may have come since the fetch was given up.
            if failure.failure.reason == .modelLoading, resident.isWanted {
                return load(resident)
            }
            return refuse(resident, failure.failure)
        }
        _ = resident.loadBegan(now: clock.now())
        let (waiters, leavers, retryAfter) = resident.loadFailed(
            failure.failure, now: clock.now())
        observer.modelFailedToLoad(
            resident.entry, failure: failure.failure, retryAfter: retryAfter)
        var told = failure.failure
        told.retryAfter = retryAfter
        for waiter in waiters { waiter.fail(told) }
        for leaver in leavers { leaver.tellGone() }
    }
}

/// A model's callers, as the fetcher sees them.
private struct FilesWait: FetchWaiting {
    let loaders: Loaders
    let resident: Resident
    let began: Instant

    var isWanted: Bool { resident.isWanted }

    func isFetching(fraction: Double, remaining: Nanoseconds?) {
        let progress = Progress(state: .fetching, fraction: fraction, remaining: remaining)
        for case .run(let run) in resident.waiters { run.tell(progress) }
    }

    func ended(_ result: Result<any FilesHold, FetchFailure>) {
        switch result {
        case .success(let hold): loaders.filesCame(hold, for: resident, since: began)
        case .failure(let failure): loaders.filesFailed(failure, for: resident)
        }
    }
}
