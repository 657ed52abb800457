// How much of an event loop's time one tenant may take with runs on the spot while others call there: who floods a loop with
// short runs goes over the shards, where tenants take turns. A value of each loop.

import Contract

/// Inline run time by tenant, in windows. A tenant that is alone on its loop has all of it.
struct InlineShares: Sendable {
    private struct Row: Sendable {
        var weight: UInt64
        /// Nanoseconds of this window.
        var spent: UInt64 = 0
        var window: UInt64 = 0
        var epoch: UInt64 = 0
    }

    /// A tenant counts as one that calls here for at least this long after its last call.
    static let epoch: UInt64 = 100_000_000
    private static let rowsMax = 1_024

    private let window: UInt64
    private var rows: [UInt32: Row] = [:]
    private var epoch: UInt64 = 0
    // Weights of those that have called in this epoch and in the one before.
    private var weight: UInt64 = 0
    private var weightBefore: UInt64 = 0
    // The row of the tenant that called last is kept out of the map.
    private var latest = Share.house
    private var row = Row(weight: 0)

    /// - Parameter window: in which a tenant may have its part, and no more, while others call.
    init(window: Nanoseconds) { self.window = max(1, window.count) }

    /// Takes note of the call. False when a run of so many nanoseconds is more than the tenant's part.
    mutating func allows(_ share: Share, cost: UInt64, at now: Instant) -> Bool {
        turn(now.nanoseconds / InlineShares.epoch)
        if share.tenant != latest.tenant || row.weight == 0 { change(to: share) }
        if row.epoch != epoch || row.weight != UInt64(share.weight) { see(share) }
        let others = max(weight, weightBefore)
        let number = now.nanoseconds / window
        if row.window != number {
            row.window = number
            row.spent = 0
        }
        guard others > row.weight else { return true }
        // Who is in no hurry leaves the loop to those who are.
        guard share.priority == .interactive else { return false }
        return row.spent + cost <= window * row.weight / others
    }

    /// After `allows` of the same tenant.
    mutating func spend(_ share: Share, _ time: Nanoseconds) {
        if share.tenant == latest.tenant { row.spent &+= time.count }
    }

    private mutating func turn(_ number: UInt64) {
        guard number != epoch else { return }
        weightBefore = number == epoch + 1 ? weight : 0
        weight = 0
        epoch = number
        // Those of long ago.
        if rows.count > InlineShares.rowsMax / 2 {
            rows = rows.filter { $0.value.epoch + 1 >= number }
        }
    }

    private mutating func change(to share: Share) {
        if row.weight > 0, rows.count < InlineShares.rowsMax || rows[latest.tenant] != nil {
            rows[latest.tenant] = row
        }
        latest = share
        row = rows[share.tenant] ?? Row(weight: UInt64(share.weight), epoch: .max)
    }

    /// Its first call of this epoch, or its plan has changed.
    private mutating func see(_ share: Share) {
        if row.epoch == epoch { weight -= min(weight, row.weight) }
        row.weight = UInt64(share.weight)
        row.epoch = epoch
        weight += row.weight
    }
}
