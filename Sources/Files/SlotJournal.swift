// A few words in a shared mapping that outlive the process, however it ends: each thread has a slot in which it notes what it
// is at. The kernel keeps what was stored, also after SIGKILL; no call of the system is made after the file is open.

private import CFiles
import Glibc

/// The journal of this process. Slots are given out by number; each is one thread's at a time.
@safe package final class SlotJournal: Sendable {
    package static let slotsMax = 1_024
    /// Bytes of a name that are kept.
    package static let nameBytesMax = 128

    /// What a slot says.
    package struct Note: Sendable, Hashable {
        /// Zero: nothing is going on.
        package var mark: UInt64
        package var name: String
        package var first: UInt64
        package var second: UInt64

        package init(mark: UInt64, name: String, first: UInt64, second: UInt64) {
            self.mark = mark
            self.name = name
            self.first = first
            self.second = second
        }
    }

    /// What a process left behind.
    package struct Remains: Sendable, Equatable {
        package var journal: UInt64
        /// The process said that it ends in good order: what its slots say means nothing.
        package var hasEnded: Bool
        /// The slots that are marked.
        package var notes: [Note]

        package init(journal: UInt64, hasEnded: Bool, notes: [Note]) {
            self.journal = journal
            self.hasEnded = hasEnded
            self.notes = notes
        }
    }

    enum Layout {
        static let magic: UInt64 = 0x4C4E_524A_4543_4C53  // "SLCEJRNL"
        static let format: UInt64 = 1
        static let headBytes = 64
        static let slotBytes = 256
        /// Words of a slot: mark, first, second, bytes of the name; then the name.
        static let nameOffset = 64

        static func byteCount(_ slots: Int) -> Int { headBytes + slots * slotBytes }
    }

    package let slotCount: Int
    /// SAFETY: mapped for as long as the object lives. Threads write to slots of their own, one word at a time.
    private nonisolated(unsafe) let base: UnsafeMutableRawPointer

    /// Makes the file anew and maps it; what was there is gone. Its room on the disk is taken now, so that no store
    /// can fail later. `id` tells this journal from every other.
    package init(
        _ name: String, in folder: borrowing Folder, slots: Int, id: UInt64
    ) throws(FileFault) {
        precondition((1...SlotJournal.slotsMax).contains(slots), "a journal of \(slots) slots")
        slotCount = slots
        let draft = name + ".new"
        try Folder.check(name)
        // SAFETY: the text lives for the call.
        _ = unsafe unlinkat(folder.descriptor.number, draft, 0)
        let file = try folder.opened(draft, O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
        let byteCount = Layout.byteCount(slots)
        let fault = posix_fallocate(file.number, 0, off_t(byteCount))
        guard fault == 0 else { throw FileFault(number: fault, name: name) }
        // SAFETY: a new mapping of a file that has this length and is nobody else's to cut; checked in the next line.
        let mapped = unsafe mmap(
            nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, 0)
        guard let mapped = unsafe mapped, unsafe mapped != MAP_FAILED else {
            throw FileFault(number: errno, name: name)
        }
        unsafe base = mapped
        for (index, word) in [Layout.magic, Layout.format, id, UInt64(slots), 0].enumerated() {
            // SAFETY: five words of the head's eight.
            unsafe mapped.storeBytes(of: word, toByteOffset: index * 8, as: UInt64.self)
        }
        // SAFETY: both texts live for the call.
        guard
            unsafe renameat(folder.descriptor.number, draft, folder.descriptor.number, name) == 0
        else { throw FileFault(number: errno, name: name) }
    }

    deinit {
        // SAFETY: whoever writes to a slot holds the journal.
        _ = unsafe munmap(base, Layout.byteCount(slotCount))
    }

    /// The process ends in good order.
    package func end() {
        // SAFETY: the head's fifth word.
        unsafe CFiles_storeReleased((base + 32).assumingMemoryBound(to: UInt64.self), 1)
    }

    /// The slot of that number.
    package func slot(_ number: Int) -> Slot {
        precondition(number >= 0 && number < slotCount, "slot \(number) of \(slotCount)")
        return unsafe Slot(self, base + Layout.headBytes + number * Layout.slotBytes)
    }

    /// One slot, for the thread that has it.
    @safe package final class Slot: Sendable {
        private let journal: SlotJournal
        /// SAFETY: inside the journal's mapping, which lives as long as this does. Written by one thread at a time.
        private nonisolated(unsafe) let place: UnsafeMutableRawPointer

        fileprivate init(_ journal: SlotJournal, _ place: UnsafeMutableRawPointer) {
            self.journal = journal
            unsafe self.place = place
        }

        /// What the marks are about from now on; while there is none.
        package func describe(name: String, first: UInt64, second: UInt64) {
            let place = unsafe place
            var name = name
            // SAFETY: inside the slot: three words from the second on, and at most 128 bytes from the 64th on.
            name.withUTF8 { text in
                let bytes = unsafe UnsafeRawBufferPointer(
                    rebasing: UnsafeRawBufferPointer(text).prefix(SlotJournal.nameBytesMax))
                unsafe place.storeBytes(of: first, toByteOffset: 8, as: UInt64.self)
                unsafe place.storeBytes(of: second, toByteOffset: 16, as: UInt64.self)
                unsafe place.storeBytes(of: UInt64(bytes.count), toByteOffset: 24, as: UInt64.self)
                if let source = bytes.baseAddress {
                    unsafe (place + Layout.nameOffset).copyMemory(
                        from: source, byteCount: bytes.count)
                }
            }
        }

        /// Zero: nothing goes on.
        package func mark(_ mark: UInt64) {
            // SAFETY: the slot's first word. Released, so that no reader sees a mark without what it is about.
            unsafe CFiles_storeReleased(place.assumingMemoryBound(to: UInt64.self), mark)
        }
    }
}

// MARK: - What another process left

extension SlotJournal {
    /// What the journal of that name says; nil when there is none, or when it is none that this program writes.
    package static func remains(
        _ name: String, in folder: borrowing Folder
    ) throws(FileFault) -> Remains? {
        let content: [UInt8]?
        do throws(FileFault) {
            content = try folder.content(of: name, byteCountMax: Layout.byteCount(slotsMax))
        } catch {
            guard error.number == EFBIG else { throw error }
            return nil
        }
        guard let bytes = content, bytes.count >= Layout.headBytes else { return nil }
        func word(_ offset: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64($1 * 8) }
        }
        let slots = word(24)
        guard word(0) == Layout.magic, word(8) == Layout.format, slots <= UInt64(slotsMax),
            bytes.count == Layout.byteCount(Int(slots))
        else { return nil }
        var remains = Remains(journal: word(16), hasEnded: word(32) != 0, notes: [])
        for slot in 0..<Int(slots) {
            let offset = Layout.headBytes + slot * Layout.slotBytes
            let nameBytes = word(offset + 24)
            guard word(offset) != 0, nameBytes <= UInt64(nameBytesMax) else { continue }
            let start = offset + Layout.nameOffset
            remains.notes.append(
                Note(
                    mark: word(offset),
                    name: String(decoding: bytes[start..<start + Int(nameBytes)], as: UTF8.self),
                    first: word(offset + 8), second: word(offset + 16)))
        }
        return remains
    }
}
