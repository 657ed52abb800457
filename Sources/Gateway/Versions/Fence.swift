// The crash fence (docs/decisions/0011): who was in native code when the last process ended without goodbye is noted, and who
// was there twice is kept away. The journal is a mapped file in the state folder; strikes are kept beside it.

package import Catalogue
package import Contract
import Files
package import Logging
package import Shards
import Synchronization
import TLS

/// The fence of one gateway. Any thread may ask for pens; changes of strikes block.
package final class Fence: RunJournal {
    static let journalName = "fence.journal"
    /// Slots beside those of the threads that are known at start.
    package static let spareSlots = 8

    private let journal: SlotJournal
    private let file: StateFile
    private let strikes: Mutex<Strikes>
    private let free: Mutex<[Int]>
    /// Held by who writes the file, on a thread that may block.
    private let writing = Mutex(())

    private init(_ journal: SlotJournal, _ file: StateFile, _ strikes: Strikes) {
        self.journal = journal
        self.file = file
        self.strikes = Mutex(strikes)
        free = Mutex(Array((0..<journal.slotCount).reversed()))
    }

    /// Judges what the last process left behind and begins a journal of our own. Only the holder of the state folder's
    /// lock may: the process that wrote the old one is gone then.
    /// - Parameters:
    ///   - threads: that will enter native code, loaders included.
    ///   - now: seconds since 1970.
    package static func open(
        state: String, threads: Int, now: Int64, logger: Logger
    ) throws(GatewayError) -> Fence {
        let file = try StateFile(Strikes.fileName, state: state)
        var strikes =
            try file.read(byteCountMax: Strikes.byteCountMax) { try Strikes(json: $0) } ?? Strikes()
        do {
            let folder = try Folder(path: state)
            if let remains = try SlotJournal.remains(journalName, in: folder), !remains.hasEnded {
                let suspects = remains.notes.compactMap(Fence.suspect)
                if strikes.judge(suspects, journal: remains.journal, now: now) {
                    try file.replace(with: try strikes.encoded())
                    for suspect in Set(suspects) { report(suspect, logger) }
                }
            }
            let id = Cryptography.randomBytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let journal = try SlotJournal(
                journalName, in: folder, slots: min(threads + spareSlots, SlotJournal.slotsMax),
                id: max(1, id))
            return Fence(journal, file, strikes)
        } catch {
            throw GatewayError(
                .configuration, "the crash fence cannot be kept in the state folder: \(error)",
                mend: "Give the folder room and rights, or choose another by the setting `state` "
                    + "(--state)")
        }
    }

    private static func report(_ suspect: Suspect, _ logger: Logger) {
        logger.warning(
            "the last gateway ended while a model was at work",
            metadata: [
                "model": "\(suspect.model)", "version": "\(suspect.version)",
                "activity": "\(suspect.activity.rawValue)",
            ])
    }

    /// The mark says what went on in its lowest bits, and counts above them.
    private static let activityBits: UInt64 = 3

    private static func suspect(_ note: SlotJournal.Note) -> Suspect? {
        guard ModelName(note.name) != nil, let version = Int64(exactly: note.first), version > 0
        else { return nil }
        return Suspect(
            model: note.name, version: version, files: note.second,
            activity: note.mark & activityBits == 1 ? .load : .run)
    }

    /// Nothing that goes on from now on is held against anybody.
    package func end() { journal.end() }

    // MARK: - Strikes

    package var quarantined: [Quarantine] { strikes.withLock { $0.quarantined } }

    package func strikes(against entry: ModelEntry) -> Int {
        strikes.withLock { $0.count(against: entry) }
    }

    /// A scan found these: versions whose files have changed begin anew. True when somebody was forgiven by that.
    package func forget(changed entries: [ModelEntry]) throws -> Bool {
        try change { $0.forget(changed: entries) }
    }

    /// True when something was held against the model.
    package func forgive(_ model: String, version: Int64?) throws -> Bool {
        try change { $0.forgive(model, version: version) }
    }

    /// Written first, believed then.
    private func change(_ body: (inout Strikes) -> Bool) throws -> Bool {
        try writing.withLock { _ in
            var changed = strikes.withLock { $0 }
            guard body(&changed) else { return false }
            try file.replace(with: try changed.encoded())
            strikes.withLock { $0 = changed }
            return true
        }
    }

    // MARK: - Pens

    package func pen() -> any JournalPen {
        // More threads than were announced: they write nowhere.
        guard let number = free.withLock({ $0.popLast() }) else { return NoJournal() }
        return Pen(self, number, journal.slot(number))
    }

    package var freeSlots: Int { free.withLock { $0.count } }

    /// One slot.
    private final class Pen: JournalPen {
        private let fence: Fence
        private let number: Int
        private let slot: SlotJournal.Slot
        // A pen is used by one thread at a time: relaxed, they cost what plain fields do.
        /// The index of the entry that the slot describes.
        private let described = Atomic<Int>(-1)
        private let count = Atomic<UInt64>(0)

        init(_ fence: Fence, _ number: Int, _ slot: SlotJournal.Slot) {
            self.fence = fence
            self.number = number
            self.slot = slot
        }

        deinit {
            slot.mark(0)
            fence.free.withLock { $0.append(number) }
        }

        func enter(_ entry: ModelEntry, _ activity: Suspect.Activity) {
            if described.load(ordering: .relaxed) != entry.index {
                described.store(entry.index, ordering: .relaxed)
                slot.describe(
                    name: entry.name, first: UInt64(entry.versionNumber),
                    second: entry.contentKey)
            }
            let entries = count.load(ordering: .relaxed) &+ 4
            count.store(entries, ordering: .relaxed)
            // Never zero: the lowest bits say what goes on.
            slot.mark(entries | (activity == .load ? 1 : 2))
        }

        func leave() { slot.mark(0) }
    }
}
