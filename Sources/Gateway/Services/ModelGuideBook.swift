// What the bridge shows of models beyond the walk: signatures from the catalogue, golden cases from manifests. Manifests are
// read on NIO's threads for files, never on an event loop; a folder has them, and of a bucket they were kept at registration.

package import Catalogue
package import Contract
package import JSONDoor
package import NIOCore
import NIOPosix
package import Outside
import Synchronization

package final class ModelGuideBook: ModelGuide {
    /// Questions that are with the threads at a time.
    package static let jobsMax = 32
    /// Outcomes that are kept: an example has ``ModelExample/bytesMax`` bytes at most.
    package static let keptMax = 64

    private struct State {
        var jobs = 0
        /// By the entry's index, which is never given to another.
        var kept: [Int: Result<ModelExample, CallFailure>] = [:]
        /// The oldest first.
        var order: [Int] = []
    }

    private let registry: Registry
    private let repository: any ModelRepository
    private let state = Mutex(State())

    package init(registry: Registry, repository: any ModelRepository) {
        self.registry = registry
        self.repository = repository
    }

    package var generation: UInt64 { registry.generation }

    package func example(
        of model: String, version: String, on loop: any EventLoop,
        done: @escaping (Result<ModelExample, CallFailure>) -> Void
    ) {
        let entry: ModelEntry
        do throws(CallFailure) {
            entry = try registry.versions(of: model, version: version)[0]
        } catch {
            // It has gone since the walk saw it.
            return done(.failure(error))
        }
        if let kept = state.withLock({ $0.kept[entry.index] }) { return done(kept) }
        away(on: loop, { self.read(entry) }, done: done)
    }

    package func labels(of model: String, version: String) -> [String: [String]] {
        do throws(CallFailure) {
            return try registry.versions(of: model, version: version)[0].labels
        } catch {
            // It has gone since the call ran: its places have no names any more.
            return [:]
        }
    }

    package func cards(
        _ names: [String], on loop: any EventLoop,
        write: @escaping @Sendable ([ModelCard]) -> TaggedText,
        done: @escaping (Result<TaggedText, CallFailure>) -> Void
    ) {
        away(on: loop, { .success(write(names.compactMap(self.card))) }, done: done)
    }

    private func card(_ name: String) -> ModelCard? {
        do throws(CallFailure) {
            let entry = try registry.select(name: name, version: "")
            let example: ModelExample? =
                switch read(entry) {
                case .success(let example): example
                case .failure: nil
                }
            return ModelCard(
                name: entry.name, version: entry.version, signature: entry.signature,
                example: example)
        } catch {
            // It went out of service since the index was made.
            return nil
        }
    }

    /// Runs a job that blocks, and brings what it found back to the loop.
    private func away<Found: Sendable>(
        on loop: any EventLoop, _ job: @escaping @Sendable () -> Result<Found, CallFailure>,
        done: @escaping (Result<Found, CallFailure>) -> Void
    ) {
        let isTaken = state.withLock { state in
            guard state.jobs < Self.jobsMax else { return false }
            state.jobs += 1
            return true
        }
        guard isTaken else { return done(.failure(Self.busy)) }
        let done = NIOLoopBound(done, eventLoop: loop)
        NIOThreadPool.singleton.submit { work in
            let found = work == .active ? job() : .failure(Self.busy)
            self.state.withLock { $0.jobs -= 1 }
            loop.execute { done.value(found) }
        }
    }

    /// Blocks unless it is kept.
    private func read(_ entry: ModelEntry) -> Result<ModelExample, CallFailure> {
        if let kept = state.withLock({ $0.kept[entry.index] }) { return kept }
        let outcome: Result<ModelExample, CallFailure>
        do throws(ModelFault) {
            outcome = Self.example(of: entry, from: try repository.goldenCases(of: entry).first)
        } catch {
            // A file that cannot be read now may be readable later: not kept.
            return .failure(
                ModelExample.missing("\(Self.title(entry)): its golden cases: \(error)"))
        }
        state.withLock { state in
            guard state.kept.updateValue(outcome, forKey: entry.index) == nil else { return }
            state.order.append(entry.index)
            if state.order.count > Self.keptMax {
                state.kept[state.order.removeFirst()] = nil
            }
        }
        return outcome
    }

    private static func example(
        of entry: ModelEntry, from golden: GoldenCase?
    ) -> Result<ModelExample, CallFailure> {
        guard let golden else {
            return .failure(
                ModelExample.missing(
                    "\(title(entry)) has no example: its manifest has no golden case"))
        }
        do throws(CallFailure) {
            return .success(
                try ModelExample(
                    model: entry.name, version: entry.version, inputs: golden.inputs,
                    outputs: golden.outputs))
        } catch {
            return .failure(error)
        }
    }

    private static func title(_ entry: ModelEntry) -> String {
        "model '\(entry.name)' version \(entry.version)"
    }

    private static let busy = CallFailure(
        .unavailable, .queueFull, "too many ask for examples and descriptions at once",
        notStarted: true, retryAfter: .seconds(1))
}
