// Which part of a file is asked for next: a few windows at a time, in order, from wherever an earlier fetch got to. A
// value: downloads say what came, it says what to ask for.

package import Contract

/// How files are fetched; every number of it in one place.
package struct FetchLimits: Sendable, Equatable {
    /// One ranged GET.
    package var windowBytes: UInt64 = 32 << 20
    /// Of one file, at the same time.
    package var windows = 4
    /// What is held in memory of one window before it is written.
    package var pieceBytes = 1 << 20
    /// Models fetched at the same time.
    package var fetches = 2
    /// Models that may wait for that.
    package var waitingMax = 1_024
    /// How often those who wait hear of it, and are asked whether they still do.
    package var tick = Nanoseconds.milliseconds(200)
    /// Manifests read at the same time.
    package var manifests = 8

    package init() {}
}

/// The windows of one file.
package struct RangePlan: Sendable, Equatable {
    package let byteCount: UInt64
    private let windowBytes: UInt64
    private let windowsMax: Int
    /// Where the next window begins.
    private var next: UInt64
    /// Everything before it has come.
    package private(set) var prefix: UInt64
    /// Windows that came before one in front of them: their ends by their beginnings.
    private var early: [UInt64: UInt64] = [:]
    package private(set) var underWay = 0
    /// How far the windows under way have come, by their beginnings.
    private var coming: [UInt64: UInt64] = [:]

    /// How far a fetch may run ahead of its slowest window.
    package static let windowsAheadMax: UInt64 = 16

    /// - Parameter from: what an earlier fetch has already brought.
    package init(byteCount: UInt64, from: UInt64, windowBytes: UInt64, windowsMax: Int) {
        precondition(windowBytes > 0 && windowsMax > 0, "a window of nothing")
        self.byteCount = byteCount
        self.windowBytes = windowBytes
        self.windowsMax = windowsMax
        prefix = min(from, byteCount)
        next = prefix
    }

    package var isFinished: Bool { prefix == byteCount }

    /// Everything before it has come, parts of windows counted.
    package var reached: UInt64 { coming[prefix] ?? prefix }

    /// A window under way has come so far.
    package mutating func came(_ window: Range<UInt64>, to place: UInt64) {
        coming[window.lowerBound] = place
    }

    /// The window to ask for now; nil when enough are under way or all have been asked for.
    package mutating func begin() -> Range<UInt64>? {
        guard underWay < windowsMax, next < byteCount,
            next - prefix < RangePlan.windowsAheadMax * windowBytes
        else { return nil }
        let end = byteCount - next > windowBytes ? next + windowBytes : byteCount
        defer { next = end }
        underWay += 1
        return next..<end
    }

    /// All of a window has come.
    package mutating func finished(_ window: Range<UInt64>) {
        precondition(underWay > 0, "a window came that nobody asked for")
        underWay -= 1
        coming[window.lowerBound] = nil
        early[window.lowerBound] = window.upperBound
        while let end = early.removeValue(forKey: prefix) { prefix = end }
    }
}
