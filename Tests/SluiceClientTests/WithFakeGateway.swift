// What the tests of the client have in common: a fake gateway and a client of it, for the time of one test.

import SluiceClient
import SluiceWire

/// Runs `body` with a fake gateway and a client of it, and ends both.
func withFakeGateway(
    _ configure: @escaping @Sendable (inout SluiceClient.Configuration) -> Void = { _ in },
    protocols: [String] = ["sluice/1"],
    responder: (@Sendable (Frame) -> [Frame]?)? = nil,
    _ body: @escaping @Sendable (FakeGateway, SluiceClient) async throws -> Void
) async throws {
    let gateway = try await FakeGateway.start(protocols: protocols, responder: responder)
    let client = try gateway.client(configure)
    try await within("the whole test", seconds: 30) { try await body(gateway, client) }
    await end(client)
    try await gateway.stop()
}

/// Ends a client without waiting for calls.
func end(_ client: SluiceClient) async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask { await client.shutdown() }
        group.cancelAll()
    }
}
