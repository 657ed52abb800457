// A walk without rooms: it writes down what the door asks for and answers as the test says.

import Contract
import NIOCore

final class FakeCall: CallHandle {
    let call: Call
    let exchange: any Exchange
    private(set) var cancels = 0
    /// What `cancel` does besides counting.
    var onCancel: (() -> Void)?

    init(_ call: Call, _ exchange: any Exchange) {
        self.call = call
        self.exchange = exchange
    }

    func cancel() {
        cancels += 1
        onCancel?()
    }

    func finish(
        _ result: Result<Answer, CallFailure> = .success(.modelReady(true)),
        workContinues: Bool = false
    ) {
        exchange.finish(result, timing: Timing(), workContinues: workContinues)
    }
}

final class FakeSession: CallerSession {
    enum Behaviour { case hold, answer((Call) -> Result<Answer, CallFailure>) }

    var behaviour = Behaviour.hold
    /// Nil: the test answers later.
    var verdict: Result<Nanoseconds?, CallFailure>? = .success(nil)
    private(set) var tokens: [[UInt8]?] = []
    var verdicts: [(Result<Nanoseconds?, CallFailure>) -> Void] = []
    private(set) var calls: [FakeCall] = []
    private(set) var begun = 0
    private(set) var turns = 0
    private(set) var closes = 0
    /// Finish a cancelled call at once, as a walk may.
    var finishesOnCancel = false
    /// Kept at most, so that a storm does not fill the memory.
    var keeps = true
    /// Messages of 10,000 bytes sent before `begin` returns.
    var sendsInBegin = 0

    func authenticate(
        _ token: Secret?, done: @escaping (Result<Nanoseconds?, CallFailure>) -> Void
    ) {
        tokens.append(token?.reveal { $0 })
        if let verdict { done(verdict) } else { verdicts.append(done) }
    }

    func begin(_ call: Call, exchange: any Exchange) -> (any CallHandle)? {
        begun += 1
        let fake = FakeCall(call, exchange)
        if keeps { calls.append(fake) }
        for _ in 0..<sendsInBegin { exchange.send(tensorAnswer(bytes: 10_000)) }
        switch behaviour {
        case .hold:
            if finishesOnCancel {
                fake.onCancel = { [unowned fake] in
                    fake.finish(
                        .failure(CallFailure(.cancelled, .cancelledByCaller, "cancelled")))
                }
            }
            return fake
        case .answer(let answer):
            exchange.finish(answer(call), timing: Timing(), workContinues: false)
            return nil
        }
    }

    func turnEnded() { turns += 1 }
    func close() { closes += 1 }
}

/// Unchecked: made, used and forgotten on one test's thread; `FrontDesk` must be Sendable for the house.
final class FakeDesk: FrontDesk, @unchecked Sendable {
    let walk = FakeSession()
    private(set) var peers: [Peer] = []

    func session(from peer: Peer, on eventLoop: any EventLoop) -> any CallerSession {
        peers.append(peer)
        return walk
    }
}
