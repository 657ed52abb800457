// Places that are used again.

import Gateway
import Testing

@Suite struct SlotTableTests {
    @Test func placesAreUsedAgainAndNobodyIsLost() {
        var table = SlotTable<Int>()
        var places: [Int: Int] = [:]
        var random = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: 0 ... .max, using: &random)
        print("seed \(seed)")
        var state = seed
        for step in 0..<10_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            if state >> 33 & 1 == 0 || places.isEmpty {
                places[step] = table.add(step)
            } else if let (value, slot) = places.first {
                table.remove(slot)
                places[value] = nil
            }
            #expect(table.count == places.count)
        }
        #expect(table.all.sorted() == places.keys.sorted())
        #expect(Set(places.values).count == places.count)
    }
}
