// What was found in files that did not change since: a model that wakes again is not read again.

import Files

/// What tells one state of one file from every other: the file itself, its size, and the times the system notes
/// when it is written, renamed or linked. Nobody can set the last of these times.
struct FileSeal: Sendable, Hashable {
    var device: UInt64
    var inode: UInt64
    var byteCount: UInt64
    /// Nanoseconds since 1970.
    var modified: Int64
    /// Nanoseconds since 1970.
    var changed: Int64

    init(device: UInt64, inode: UInt64, byteCount: UInt64, modified: Int64, changed: Int64) {
        self.device = device
        self.inode = inode
        self.byteCount = byteCount
        self.modified = modified
        self.changed = changed
    }

    init(_ facts: FileFacts) {
        device = facts.device
        inode = facts.inode
        byteCount = facts.byteCount
        modified = facts.modified
        changed = facts.changed
    }

    /// The system's clock for files goes in steps, of milliseconds here and of a second or two elsewhere: a file
    /// that changed so shortly ago may change again and keep its times.
    static let settlingNanoseconds: Int64 = 2_500_000_000

    /// Whether the seal, read at `now`, will be another one after any change from then on.
    func isSettled(now: Int64) -> Bool {
        let (age, overflow) = now.subtractingReportingOverflow(changed)
        return !overflow && age >= FileSeal.settlingNanoseconds
    }
}

/// What reading a whole file showed. Nil: was not looked for.
struct FileFindings: Sendable, Hashable {
    /// Lower-case hexadecimal.
    var sha256: String?
    /// The locations of a model's external data, unchecked.
    var externalFiles: [String]?

    /// Locations of one file that are kept; a model with more is walked again.
    static let externalFilesMax = 32

    func answers(hash: Bool, locations: Bool) -> Bool {
        (!hash || sha256 != nil) && (!locations || externalFiles != nil)
    }
}

/// A bounded table of findings; the oldest give way.
struct SealBook: Sendable {
    private let countMax: Int
    private var findings: [FileSeal: FileFindings] = [:]
    /// In the order they were noted: a ring once it is full.
    private var order: [FileSeal] = []
    private var oldest = 0

    init(countMax: Int) {
        precondition(countMax > 0, "a table for nothing")
        self.countMax = countMax
    }

    var count: Int { findings.count }

    var fromOldest: [FileSeal] { Array(order[oldest...] + order[..<oldest]) }

    subscript(seal: FileSeal) -> FileFindings? { findings[seal] }

    mutating func note(_ found: FileFindings, for seal: FileSeal) {
        if (found.externalFiles?.count ?? 0) > FileFindings.externalFilesMax { return }
        guard findings.updateValue(found, forKey: seal) == nil else { return }
        if order.count < countMax {
            order.append(seal)
        } else {
            findings[order[oldest]] = nil
            order[oldest] = seal
            oldest = (oldest + 1) % countMax
        }
    }
}
