// What one load or release does to the process's memory, read before and after. Another load or release beside it makes the
// reading nobody's; calls that run beside it only blur it.

/// From the beginning of a load or release to its end, on a loader thread.
struct Measurement: ~Copyable {
    private let engine: any ModelEngine
    private let treasury: Treasury
    private let ticket: UInt64
    private let before: ProcessMemory?

    /// Growth from which on what a load left in the allocator is given back before it is measured.
    private static let trimFrom: UInt64 = 8 << 20

    init(_ engine: any ModelEngine, _ treasury: Treasury) {
        self.engine = engine
        self.treasury = treasury
        ticket = treasury.began()
        engine.resetMemoryPeak()
        before = engine.memory()
    }

    /// After a load: what it holds and held at its peak, or nil when that cannot be told. Once, also when it failed.
    func end() -> (atRest: MemoryUse, peak: MemoryUse)? {
        let after = engine.memory()
        guard treasury.ended(ticket), let before, let after else { return nil }
        var atRest = after.growth(since: before)
        let resident = before.anonymous + before.mapped
        let peak = after.peak - min(after.peak, resident)
        if atRest.anonymous >= Measurement.trimFrom {
            engine.trimMemory()
            if let trimmed = engine.memory() { atRest = trimmed.growth(since: before) }
        }
        let own = peak - min(peak, atRest.mapped)
        return (
            atRest, MemoryUse(anonymous: max(own, atRest.anonymous), mapped: atRest.mapped)
        )
    }

    /// After a release: the anonymous bytes that came back, or nil when that cannot be told. Once.
    func returned() -> UInt64? {
        let after = engine.memory()
        guard treasury.ended(ticket), let before, let after else { return nil }
        return before.anonymous - min(before.anonymous, after.anonymous)
    }
}
