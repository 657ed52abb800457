// The desk for clients and their plans: its answer comes back on the asker's event loop, and few ask at a time.

import Admission
import Contract
import Gateway
import NIOCore
import NIOPosix
import Testing

@Suite struct StandingsKeeperTests {
    private static func desk(clients: Int) throws -> PlanDesk {
        let desk = PlanDesk(Plans(), wall: 1_774_998_000)
        let now = Instant.now()
        for number in 0..<clients {
            let tenant = desk.tenant(
                of: Identity(
                    issuer: "local", client: "client\(number)", subject: "", scopes: [],
                    validFor: nil), now: now)
            let ticket = try desk.enter(
                tenant, plan: "", model: "iris", bytes: 1, wish: .interactive, now: now)
            _ = ticket.share
        }
        return desk
    }

    @Test func theAnswerComesBackOnTheLoop() async throws {
        let keeper = StandingsKeeper(try Self.desk(clients: 30))
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promise = loop.makePromise(of: ClientStandings.self)
        loop.execute {
            keeper.standings(most: 20, on: loop) { result in
                loop.preconditionInEventLoop()
                promise.completeWith(result.mapError { $0 as any Error })
            }
        }
        let standings = try await promise.futureResult.get()
        #expect(standings.total == 30 && standings.clients.count == 20)
    }

    /// Whoever is refused is told so at once; everybody else is answered.
    @Test func fewAskAtATime() async throws {
        let keeper = StandingsKeeper(try Self.desk(clients: 2_000))
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let promises = (0..<40).map { _ in loop.makePromise(of: ClientStandings.self) }
        // In one turn: nobody's answer can come between.
        loop.execute {
            for promise in promises {
                keeper.standings(most: 1, on: loop) {
                    promise.completeWith($0.mapError { $0 as any Error })
                }
            }
        }
        var refused = 0
        for promise in promises {
            do {
                let standings = try await promise.futureResult.get()
                #expect(standings.total == 2_000)
            } catch let failure as CallFailure {
                #expect(failure.code == .unavailable && failure.reason == .queueFull)
                refused += 1
            }
        }
        #expect(refused > 0 && refused <= 40 - StandingsKeeper.atOnceMax)
        let last = loop.makePromise(of: ClientStandings.self)
        loop.execute {
            keeper.standings(most: 1, on: loop) {
                last.completeWith($0.mapError { $0 as any Error })
            }
        }
        #expect(try await last.futureResult.get().total == 2_000)
    }
}
