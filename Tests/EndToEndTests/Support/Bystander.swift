// A caller who has nothing to do with what a test does wrong, and must not notice it.

import SluiceClient
import Synchronization
import Testing

/// Set once, read by another task.
private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)
    var isSet: Bool { value.load(ordering: .acquiring) }
    func set() { value.store(true, ordering: .releasing) }
}

/// Calls iris on a connection of its own while `body` misbehaves; every call has to succeed.
@discardableResult
func withBystander<Outcome: Sendable>(
    _ gateway: TestGateway, _ body: @escaping @Sendable () async throws -> Outcome
) async throws -> Outcome {
    let token = try await gateway.token(name: "bystander")
    return try await gateway.withClient(token: token) { client in
        let input = try Tensor("X", rows: [[5.1, 3.5, 1.4, 0.2] as [Float]])
        _ = try await client.infer("iris", inputs: [input])
        let isOver = Flag()
        return try await withThrowingTaskGroup(of: Outcome?.self) { group in
            group.addTask {
                var calls = 0
                while !isOver.isSet || calls == 0 {
                    let answer = try await client.infer("iris", inputs: [input])
                    #expect(try answer.output("label").values(as: Int64.self) == [0])
                    calls += 1
                    try await Task.sleep(for: .milliseconds(2))
                }
                return nil
            }
            group.addTask {
                defer { isOver.set() }
                return try await body()
            }
            var outcome: Outcome?
            while let next = try await group.next() { outcome = next ?? outcome }
            // The gateway must be as good as before for a newcomer too.
            _ = try await client.infer("iris", inputs: [input])
            guard let outcome else { throw TestTrouble("the body brought no outcome") }
            return outcome
        }
    }
}
