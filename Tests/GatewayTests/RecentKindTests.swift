// What a connection's calls have in common is shared by their records, and only that.

import Admission
import Catalogue
import Contract
import Gateway
import Testing

private struct NoBody: CallBody {
    var byteCount: Int { 0 }
    func inferenceRequest() throws(CallFailure) -> InferenceRequest {
        throw CallFailure(.unimplemented, .none, "nobody decodes this")
    }
    func question() throws(CallFailure) -> Question { Question() }
}

@Suite struct RecentKindTests {
    private static let peer: Peer = {
        var peer = Peer(address: "192.0.2.1")
        peer.connection = "k1"
        return peer
    }()

    private func call(
        _ model: String = "iris", _ version: String = "", _ method: Contract.Method = .infer
    ) -> Call {
        let now = Instant(nanoseconds: 1)
        return Call(
            method: method, model: model, version: version, arrived: now, deadline: now,
            body: NoBody())
    }

    private func entry(_ version: Int64) throws -> ModelEntry {
        ModelEntry(
            index: 0,
            ScannedModel(
                name: try #require(ModelName("iris")),
                version: try #require(ModelVersion(number: version)), directory: "/m",
                signature: Signature(inputs: [], outputs: [])))
    }

    /// As the walk asks for it.
    private func kind(
        _ recent: inout RecentKind, _ call: Call, _ entry: ModelEntry?, plan: String,
        _ failure: CallFailure?
    ) -> CallKind {
        recent.known(call.method, call.model, call.version, entry, nil, plan: plan, failure)
            ?? recent.learn(call, entry, nil, plan: plan, failure, from: Self.peer)
    }

    @Test func callsThatAreAlikeShareIt() throws {
        var recent = RecentKind()
        let entry = try entry(1)
        let first = kind(&recent, call(), entry, plan: "gold", nil)
        let second = kind(&recent, call(), entry, plan: "gold", nil)
        #expect(first === second)
        #expect(first.traits.model == "iris" && first.traits.version == "1")
        #expect(first.traits.asked == ("iris", "") && first.traits.plan == "gold")
        #expect(first.traits.address == "192.0.2.1" && first.traits.connection == "k1")
        #expect(first.traits.code == .ok && first.traits.reason == .none)
    }

    /// Each differs from the one before it in one thing.
    @Test func whateverDiffersMakesAnother() throws {
        var recent = RecentKind()
        let entries = [try entry(1), try entry(2)]
        let full = CallFailure(.resourceExhausted, .queueFull, "later")
        let loading = CallFailure(.resourceExhausted, .modelLoading, "later")
        let late = CallFailure(.unavailable, .modelLoading, "later")
        let kinds = [
            kind(&recent, call(), nil, plan: "", nil),
            kind(&recent, call(), entries[0], plan: "", nil),
            kind(&recent, call(), entries[1], plan: "", nil),
            kind(&recent, call("iris", "2"), entries[1], plan: "", nil),
            kind(&recent, call("iris", "2"), entries[1], plan: "x", nil),
            kind(&recent, call("iris", "2"), entries[1], plan: "x", full),
            kind(&recent, call("iris", "2"), entries[1], plan: "x", loading),
            kind(&recent, call("iris", "2"), entries[1], plan: "x", late),
            kind(&recent, call("wine", "2"), entries[1], plan: "x", late),
            kind(&recent, call("wine", "2", .inferStream), entries[1], plan: "x", late),
        ]
        for (one, next) in zip(kinds, kinds.dropFirst()) { #expect(one !== next) }
        #expect(kinds.map(\.traits.version) == ["", "1"] + Array(repeating: "2", count: 8))
        #expect(kinds[5].traits.reason == .queueFull && kinds[6].traits.reason == .modelLoading)
        #expect(kinds[6].traits.code == .resourceExhausted && kinds[7].traits.code == .unavailable)
        #expect(kinds[9].traits.method == .inferStream && kinds[9].traits.asked.model == "wine")
    }

    @Test func whatACallerWroteIsNotKeptWhenItIsLong() {
        var recent = RecentKind()
        let long = String(repeating: "x", count: 10_000)
        let first = kind(&recent, call(long), nil, plan: "", nil)
        let second = kind(&recent, call(long), nil, plan: "", nil)
        #expect(first !== second && first.traits.asked.model == long)
    }
}
