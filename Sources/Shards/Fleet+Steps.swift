// The fleet by hand: what its threads do, one step at a time, for tests with their own time and order.

extension Fleet {
    /// Does all loads and releases that are waiting. Not beside ``start``.
    package func drainLoaders() { loaders.drain() }

    /// Does the promotions and demotions that are waiting. Not beside ``start``.
    package func drainPromoter() { promoter.drain() }

    /// Lets one shard run the next call, if there is one. Not beside ``start``.
    package func runNext(on shard: Int) -> Bool {
        guard case .run(let run) = dispatcher.next(for: shard) else { return false }
        Shard(
            index: shard, dispatcher: dispatcher, engine: engine, clock: clock, pen: journal.pen()
        ).perform(run)
        return true
    }

    /// Lets shards run until nothing waits in their queues. Not beside ``start``.
    package func drainShards() {
        while (0..<settings.count).reduce(false, { runNext(on: $1) || $0 }) {}
    }
}
