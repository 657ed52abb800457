// A fleet for the tests of the view, and what of a screen they look at.

import FleetView
import SluiceClient

enum Sample {
    /// One version of a model with calls, of which the last took `times` bucket 40 (1 ms).
    static func model(
        _ name: String, version: String = "1", _ state: ModelAccount.State = .awake,
        calls: UInt64 = 0, change: (inout ModelAccount) -> Void = { _ in }
    ) -> ModelAccount {
        var model = ModelAccount(name: name, version: version, state: state)
        model.calls = calls
        model.latency = LatencyDigest(first: 41, counts: [calls])
        if state == .awake { model.anonymousBytes = 2 << 20 }
        change(&model)
        return model
    }

    static func snapshot(
        at seconds: Int, uptime: Int? = nil, _ models: [ModelAccount],
        change: (inout FleetAccount) -> Void = { _ in }
    ) -> FleetSnapshot {
        var fleet = FleetAccount()
        fleet.models = models
        fleet.uptime = .seconds(uptime ?? seconds + 100)
        fleet.calls = models.reduce(0) { $0 + $1.calls }
        fleet.coldCalls = models.reduce(0) { $0 + $1.coldCalls }
        fleet.anonymousBudget = 1 << 30
        fleet.anonymousUsed = 6 << 20
        change(&fleet)
        return FleetSnapshot(
            taken: .seconds(seconds),
            gateway: ServerMetadata(name: "sluice", version: "0.1.0", extensions: []),
            fleet: fleet,
            index: models.map { IndexedModel(name: $0.name, version: $0.version, state: "READY") })
    }

    /// Three models, of which iris had 20 calls in two seconds and wine 2.
    static func screen(width: Int = 120, height: Int = 30) -> FleetScreen {
        var screen = FleetScreen(endpoint: "127.0.0.1:8443")
        screen.resize(width: width, height: height)
        screen.take(
            snapshot(
                at: 0,
                [
                    model("digits", .asleep), model("iris", calls: 100),
                    model("wine", calls: 10) { $0.anonymousBytes = 9 << 20 },
                ]))
        screen.take(
            snapshot(
                at: 2,
                [
                    model("digits", .asleep),
                    model("iris", calls: 120) {
                        $0.coldCalls = 12
                        $0.isPinned = true
                    }, model("wine", calls: 12) { $0.anonymousBytes = 9 << 20 },
                ]))
        return screen
    }
}

extension FleetScreen {
    var names: [String] { rows.map(\.identity.name) }
    var text: String { draw().map(\.text).joined(separator: "\n") }

    mutating func press(_ text: String) -> FleetWish? {
        var wish: FleetWish?
        for letter in text { wish = press(.character(letter)) ?? wish }
        return wish
    }
}
