// One file on its way from a bucket to the disk: several windows at once, each gone on with after a cut, hashed in order on
// another thread while the next ones come. What is verified is noted beside the file, so that a later fetch goes on there.

import AsyncHTTPClient
import Catalogue
import Contract
import Files
import Logging
import NIOCore
import NIOPosix
import Synchronization
import TLS

/// How far a fetch has come. Any thread.
final class FetchMeter: Sendable {
    private let bytes = Atomic<UInt64>(0)
    let total: UInt64

    init(total: UInt64) { self.total = total }

    func add(_ count: UInt64) { bytes.add(count, ordering: .relaxed) }
    func takeBack(_ count: UInt64) { bytes.subtract(count, ordering: .relaxed) }
    var done: UInt64 { bytes.load(ordering: .relaxed) }
    var fraction: Double { total == 0 ? 1 : min(1, Double(done) / Double(total)) }
}

struct FileDownload: Sendable {
    let store: ObjectStore
    let threads: NIOThreadPool
    let limits: FetchLimits
    /// The object's name in the bucket.
    let objectKey: String
    let file: ModelFile
    /// `parts/N` and `parts/N.done` of the fetch.
    let part: WritableFile
    let journal: WritableFile
    let meter: FetchMeter
    private let tag = ObjectTag()

    init(
        _ file: ModelFile, objectKey: String, part: WritableFile, journal: WritableFile,
        store: ObjectStore, threads: NIOThreadPool, limits: FetchLimits, meter: FetchMeter
    ) {
        self.file = file
        self.objectKey = objectKey
        self.part = part
        self.journal = journal
        self.store = store
        self.threads = threads
        self.limits = limits
        self.meter = meter
    }

    /// Brings the file, or what is missing of it; then it is on disk, verified and read-only. Throws ``ModelFault`` when it is
    /// not what the manifest says, ``StoreTrouble``, or ``FileFault``.
    func run() async throws {
        var begun = try await threads.runIfActive { try self.resumption() }
        var found = try await bring(from: begun)
        if found != file.sha256, begun > 0 {
            // What was here came from another state of the object, or did not survive a loss of power.
            try await threads.runIfActive { try self.discard() }
            meter.takeBack(file.byteCount)
            begun = 0
            found = try await bring(from: 0)
        }
        guard found == file.sha256 else {
            try await threads.runIfActive { try self.discard() }
            throw ModelFault.wrongContent(file, sha256: found)
        }
        try await threads.runIfActive {
            try part.makeReadOnly()
            try part.synchronize()
        }
    }

    /// Returns the SHA-256 of the whole.
    private func bring(from begun: UInt64) async throws -> String {
        meter.add(begun)
        let digest = FileDigest(part, journal: journal, journaled: begun)
        do {
            try await bring(from: begun, digest)
        } catch StoreTrouble.rangeIgnored {
            // Known from now on: one stream, of which what is here is passed over.
            try await bring(from: begun, digest)
        }
        return try await threads.runIfActive { try digest.finish(byteCount: file.byteCount) }
    }

    /// What an earlier fetch left: bytes that were verified then, and will be hashed again.
    private func resumption() throws(FileFault) -> UInt64 {
        var noted = [UInt8](repeating: 0, count: 8)
        guard try journal.read(at: 0, into: &noted) == 8 else { return 0 }
        let done = noted.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let here = try part.facts().byteCount
        return done <= file.byteCount && done <= here ? done : 0
    }

    func discard() throws(FileFault) {
        try journal.truncate(to: 0)
        try part.truncate(to: 0)
    }

    private enum Event: Sendable {
        case window(Range<UInt64>)
        case hashed
    }

    private func bring(from begun: UInt64, _ digest: FileDigest) async throws {
        let course = Course(
            RangePlan(
                byteCount: file.byteCount, from: begun,
                windowBytes: store.ignoresRanges ? max(1, file.byteCount) : limits.windowBytes,
                windowsMax: limits.windows))
        try await withThrowingTaskGroup(of: Event.self) { group in
            group.addTask {
                for await target in course.targets {
                    try await threads.runIfActive { try digest.advance(to: target) }
                }
                return .hashed
            }
            while !course.isFinished {
                while let window = course.begin() {
                    group.addTask {
                        try await bring(window, course)
                        return .window(window)
                    }
                }
                guard case .window(let window)? = try await group.next() else { break }
                course.finished(window)
            }
            course.end()
            try await group.waitForAll()
        }
    }

    /// A window, by as many requests as it takes.
    private func bring(_ window: Range<UInt64>, _ course: Course) async throws {
        var place = window.lowerBound
        var plan = store.retryPlan
        while place < window.upperBound {
            let before = place
            do {
                try await stream(&place, of: window, course)
            } catch let fault as FileFault {
                throw fault
            } catch let fault as ModelFault {
                throw fault
            } catch {
                let trouble = StoreTrouble(error)
                store.tally.failed(trouble)
                if case .missing(let code) = trouble, code != "NoSuchBucket" {
                    throw ModelFault.missing(file)
                }
                guard trouble.passes,
                    let wait = plan.failed(
                        hasProgressed: place > before, chance: .random(in: 0..<1))
                else { throw trouble }
                try await Task.sleep(for: .nanoseconds(Int64(clamping: wait.count)))
            }
        }
    }

    /// One request. `place` says how far the file has been written.
    private func stream(
        _ place: inout UInt64, of window: Range<UInt64>, _ course: Course
    ) async throws {
        let end = window.upperBound
        let asksAll = (place == 0 && end == file.byteCount) || store.ignoresRanges
        guard !asksAll || end == file.byteCount else { throw StoreTrouble.rangeIgnored }
        let answer = try await store.open(
            objectKey, range: asksAll ? nil : place..<end, tag: tag.value)
        guard asksAll || answer.isPart else {
            store.ignoresRanges = true
            store.logger.notice("the models' store ignores Range: files come in one stream")
            throw StoreTrouble.rangeIgnored
        }
        if let total = answer.total, total != file.byteCount {
            throw ModelFault.wrongSize(file, byteCount: total)
        }
        guard tag.agrees(with: answer.tag) else { throw StoreTrouble.changed }
        var skip = asksAll ? place : 0
        var piece: [UInt8] = []
        piece.reserveCapacity(limits.pieceBytes)
        do {
            for try await buffer in answer.body {
                var bytes = buffer.readableBytesView
                let skipped = min(skip, UInt64(bytes.count))
                bytes = bytes.dropFirst(Int(skipped))
                skip -= skipped
                guard end - place >= UInt64(piece.count) + UInt64(bytes.count) else {
                    throw StoreTrouble.unreadable("more bytes than were asked for")
                }
                piece += bytes
                if piece.count >= limits.pieceBytes {
                    try await write(&piece, &place, window, course)
                }
            }
            try await write(&piece, &place, window, course)
        } catch let fault as FileFault {
            throw fault
        } catch {
            // What came before the cut need not come again.
            if !Task.isCancelled { try await write(&piece, &place, window, course) }
            throw error
        }
        guard place == end else { throw StoreTrouble.cut }
    }

    private func write(
        _ piece: inout [UInt8], _ place: inout UInt64, _ window: Range<UInt64>, _ course: Course
    ) async throws {
        guard !piece.isEmpty else { return }
        let (bytes, start) = (piece, place)
        try await threads.runIfActive { try part.write(bytes, at: start) }
        place += UInt64(bytes.count)
        meter.add(UInt64(bytes.count))
        store.tally.came(bytes.count)
        course.came(window, to: place)
        piece.removeAll(keepingCapacity: true)
    }
}

/// The plan of one file among its windows, and how far it may be hashed.
private final class Course: Sendable {
    private let plan: Mutex<RangePlan>
    /// The newest place counts.
    let targets: AsyncStream<UInt64>
    private let come: AsyncStream<UInt64>.Continuation

    init(_ plan: RangePlan) {
        self.plan = Mutex(plan)
        (targets, come) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        come.yield(plan.prefix)
    }

    var isFinished: Bool { plan.withLock { $0.isFinished } }
    func begin() -> Range<UInt64>? { plan.withLock { $0.begin() } }
    func came(_ window: Range<UInt64>, to place: UInt64) {
        tell {
            $0.came(window, to: place)
        }
    }
    func finished(_ window: Range<UInt64>) { tell { $0.finished(window) } }
    func end() { come.finish() }

    private func tell(_ change: (inout RangePlan) -> Void) {
        let (before, now) = plan.withLock { plan in
            let before = plan.reached
            change(&plan)
            return (before, plan.reached)
        }
        if now > before { come.yield(now) }
    }
}

/// The ETag that all windows of one file have.
private final class ObjectTag: Sendable {
    private let known = Mutex<String?>(nil)

    var value: String? { known.withLock { $0 } }

    /// The first one counts; a store that says none cannot contradict it.
    func agrees(with tag: String) -> Bool {
        guard !tag.isEmpty else { return true }
        return known.withLock { known in
            guard let known else {
                known = tag
                return true
            }
            return known == tag
        }
    }
}

/// The hash of a file that grows. One caller at a time, on a thread that may block.
final class FileDigest: Sendable {
    private static let readBytes = 256 << 10

    private struct State: ~Copyable {
        var stream: SHA256Stream? = SHA256Stream()
        var place: UInt64 = 0
        var journaled: UInt64
    }

    private let part: WritableFile
    private let journal: WritableFile
    private let state: Mutex<State>

    /// - Parameter journaled: what the journal says already.
    init(_ part: WritableFile, journal: WritableFile, journaled: UInt64) {
        self.part = part
        self.journal = journal
        state = Mutex(State(journaled: journaled))
    }

    /// Hashes what has come up to `target`, and notes that.
    func advance(to target: UInt64) throws(FileFault) {
        try state.withLock { state throws(FileFault) in
            let began = state.place
            var window = [UInt8](repeating: 0, count: FileDigest.readBytes)
            while state.place < target {
                let wanted = Int(min(UInt64(window.count), target - state.place))
                if wanted < window.count { window.removeLast(window.count - wanted) }
                let count = try part.read(at: state.place, into: &window)
                // Somebody else shortened it: the hash will tell.
                guard count > 0 else { return }
                state.stream?.update(window[..<count])
                state.place += UInt64(count)
            }
            part.beginWriting(from: began, count: state.place - began)
            guard state.place > state.journaled else { return }
            let noted = (0..<8).map { UInt8(truncatingIfNeeded: state.place >> (56 - 8 * $0)) }
            try journal.write(noted, at: 0)
            state.journaled = state.place
        }
    }

    /// Lower-case hexadecimal, of all of it. Once.
    func finish(byteCount: UInt64) throws(FileFault) -> String {
        try advance(to: byteCount)
        return state.withLock { state in
            guard let stream = state.stream.take() else {
                preconditionFailure("a hash ends once")
            }
            return Cryptography.hex(stream.finish())
        }
    }
}
