// Looks at what clients have used of their plans, away from the event loops: there may be thousands.

package import Admission
package import Contract
package import NIOCore
import NIOPosix

/// The console's desk for clients and their plans.
package final class StandingsKeeper: StandingsDesk {
    /// Questions at a time; each takes milliseconds.
    package static let atOnceMax = 4

    private let plans: PlanDesk
    private let slots = SlotCounter(maximum: StandingsKeeper.atOnceMax)

    package init(_ plans: PlanDesk) { self.plans = plans }

    package func standings(
        most: Int, on eventLoop: any EventLoop,
        done: @escaping (Result<ClientStandings, CallFailure>) -> Void
    ) {
        guard slots.take() else {
            return done(
                .failure(
                    CallFailure(
                        .unavailable, .queueFull,
                        "already \(Self.atOnceMax) callers look at the clients", notStarted: true,
                        retryAfter: .seconds(1))))
        }
        let told = NIOLoopBound(done, eventLoop: eventLoop)
        NIOThreadPool.singleton.runIfActive(eventLoop: eventLoop) { [plans] in
            plans.standings(most: most, now: .now())
        }.whenComplete { [slots] result in
            slots.giveBack()
            told.value(result.mapError { _ in Self.stopping })
        }
    }

    private static let stopping = CallFailure(
        .unavailable, .stopping, "the gateway is stopping", notStarted: true)
}
