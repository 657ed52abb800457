// A pin belongs to one entry and outlives its sleeps; asking about it makes nothing.

import Contract
import Shards
import Testing

@Suite struct PinTests {
    @Test func aPinIsKeptUntilItIsTakenAway() {
        let fleet = Fleet(settings: ShardSettings(cores: 2), engine: ScriptedEngine())
        let (one, other) = (Samples.entry(0, "one"), Samples.entry(1, "other"))
        #expect(!fleet.isPinned(one))
        fleet.pin(one, true)
        fleet.pin(one, true)
        #expect(fleet.isPinned(one) && !fleet.isPinned(other))
        #expect(fleet.state(of: one) == .asleep, "a pin wakes nobody")
        fleet.load(one) { _ in }
        fleet.drainLoaders()
        #expect(fleet.state(of: one) == .awake)
        fleet.unload(one)
        fleet.drainLoaders()
        #expect(fleet.state(of: one) == .asleep && fleet.isPinned(one))
        fleet.pin(one, false)
        #expect(!fleet.isPinned(one))
    }
}
