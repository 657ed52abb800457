// A model's home among the shards: the same in every process, and moved as little as can be when their number changes.

/// Highest-random-weight hashing (Thaler and Ravishankar, 1996).
package enum Rendezvous {
    /// The shard, from 0, that scores highest for this model. At least one shard must exist.
    package static func home(name: String, version: Int64, shards: Int) -> Int {
        precondition(shards > 0, "a fleet has at least one shard")
        var key: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name.utf8 { key = (key ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        key = mix(key ^ UInt64(bitPattern: version))
        var best = 0
        var bestScore: UInt64 = 0
        for shard in 0..<shards {
            let score = mix(key ^ mix(UInt64(shard) &+ 1))
            if shard == 0 || score > bestScore {
                best = shard
                bestScore = score
            }
        }
        return best
    }

    /// The finalizer of SplitMix64: every bit of the input changes half of the output.
    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
