// Bytes of memory as the ledger counts them: what only this process has, and what is mapped from files. They are budgeted apart,
// because mapped pages are the kernel's to take back and anonymous ones are what a process is killed for (RUNTIME.md).

import Catalogue

/// An amount of memory, in bytes.
package struct MemoryUse: Sendable, Equatable {
    package var anonymous: UInt64
    package var mapped: UInt64

    package init(anonymous: UInt64 = 0, mapped: UInt64 = 0) {
        self.anonymous = anonymous
        self.mapped = mapped
    }

    package static let zero = MemoryUse()
    /// More than any machine has: no budget.
    package static let unlimited = MemoryUse(anonymous: .max, mapped: .max)

    package static func + (one: MemoryUse, other: MemoryUse) -> MemoryUse {
        MemoryUse(
            anonymous: one.anonymous.addingUpTo(other.anonymous),
            mapped: one.mapped.addingUpTo(other.mapped))
    }

    /// Never below nothing.
    package static func - (one: MemoryUse, other: MemoryUse) -> MemoryUse {
        MemoryUse(
            anonymous: one.anonymous.subtractingDownTo(other.anonymous),
            mapped: one.mapped.subtractingDownTo(other.mapped))
    }

    package func fits(in room: MemoryUse) -> Bool {
        anonymous <= room.anonymous && mapped <= room.mapped
    }

    package var total: UInt64 { anonymous.addingUpTo(mapped) }
}

/// A reading of the process, in bytes.
package struct ProcessMemory: Sendable, Equatable {
    /// Resident pages that only this process has.
    package var anonymous: UInt64
    /// Resident pages of files.
    package var mapped: UInt64
    /// The most that was resident since the peak was last reset.
    package var peak: UInt64

    package init(anonymous: UInt64 = 0, mapped: UInt64 = 0, peak: UInt64 = 0) {
        self.anonymous = anonymous
        self.mapped = mapped
        self.peak = peak
    }

    /// What has come since `earlier`; what has gone counts as nothing.
    package func growth(since earlier: ProcessMemory) -> MemoryUse {
        MemoryUse(anonymous: anonymous, mapped: mapped)
            - MemoryUse(anonymous: earlier.anonymous, mapped: earlier.mapped)
    }
}

extension UInt64 {
    fileprivate func addingUpTo(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }

    fileprivate func subtractingDownTo(_ other: UInt64) -> UInt64 {
        self > other ? self - other : 0
    }
}

extension ModelEntry {
    /// What a model that is mapped may come to hold of its file: pages count when they are touched, and runs touch all.
    var mappedBytes: UInt64 { load == .mapped ? weightBytes : 0 }

    /// Bytes of the files that a load reads into memory of the process's own.
    var ownFileBytes: UInt64 { load == .mapped ? fileBytes &- weightBytes : fileBytes }

    /// A reading of a load, of which this model can only have so much: pages of other models' files that were touched
    /// meanwhile are not its own.
    func claiming(_ use: MemoryUse) -> MemoryUse {
        MemoryUse(
            anonymous: use.anonymous,
            mapped: load == .mapped ? weightBytes : min(use.mapped, weightBytes))
    }
}
