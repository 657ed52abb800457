// The audit log: one JSON line for each administrative act and each refusal, in a file that rotates. Written on a thread of
// its own: calls never wait for the disk.

package import Contract
package import Files
import Foundation
package import Logging
import NIOPosix
import OpenInference
import ServiceLifecycle
import Synchronization

/// `audit`: where acts and refusals are written down.
package struct AuditSettings: Sendable, Equatable {
    /// Nil: `audit.jsonl` in the state folder.
    package var path: String?
    /// A file this large is set aside as PATH.1, that as PATH.2, ...
    package var bytes = 64 << 20
    /// How many are kept beside the one that is written.
    package var files = 4

    package init() {}
}

/// Lines of JSON being put together: what is empty is left out, what is long is cut.
struct AuditLines {
    private static let textBytesMax = 2_048

    private(set) var bytes: [UInt8] = []
    /// Of the last line's time: many events come within a millisecond.
    private var millisecond = Int64.min
    private var time = ""

    mutating func add(_ event: AuditEvent, at date: Date) {
        let millisecond = Int64((date.timeIntervalSince1970 * 1_000).rounded(.down))
        if millisecond != self.millisecond {
            self.millisecond = millisecond
            time = date.ISO8601Format(.init(includingFractionalSeconds: true))
        }
        bytes.append(contentsOf: "{\"time\":\"".utf8)
        bytes.append(contentsOf: time.utf8)
        bytes.append(contentsOf: "\"".utf8)
        member(",\"act\":", event.act, evenIfEmpty: true)
        member(",\"outcome\":", event.outcome.rawValue)
        member(",\"issuer\":", event.issuer)
        member(",\"client\":", event.client)
        member(",\"subject\":", event.subject)
        member(",\"from\":", event.address)
        member(",\"object\":", event.object)
        member(",\"detail\":", event.detail)
        member(",\"rule\":", event.rule)
        bytes.append(contentsOf: "}\n".utf8)
    }

    private mutating func member(_ key: String, _ text: String, evenIfEmpty: Bool = false) {
        guard evenIfEmpty || !text.isEmpty else { return }
        bytes.append(contentsOf: key.utf8)
        JSONText.append(text, byteCountMax: AuditLines.textBytesMax, to: &bytes)
    }
}

/// Takes events from any thread and writes them in batches.
package final class AuditTrail: AuditLog, Service {
    private struct State {
        var waiting: [(event: AuditEvent, date: Date)] = []
        var lost: UInt64 = 0
    }

    /// Events that may wait for the disk.
    static let waitingMax = 16_384
    private static let pause = Duration.milliseconds(200)

    private let file: AuditFile
    private let logger: Logger
    private let state = Mutex(State())
    private let rung: AsyncStream<Void>
    private let bell: AsyncStream<Void>.Continuation
    private let warned = Mutex<Instant?>(nil)

    package init(_ settings: AuditSettings, state: String, logger: Logger) {
        file = AuditFile(settings, state: state)
        self.logger = logger
        (rung, bell) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package func note(_ event: AuditEvent) {
        let date = Date()
        let isFirst = state.withLock { state in
            guard state.waiting.count < AuditTrail.waitingMax else {
                state.lost += 1
                return false
            }
            state.waiting.append((event, date))
            return state.waiting.count == 1
        }
        if isFirst { bell.yield() }
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            for await _ in rung {
                await write()
                // What comes meanwhile is one batch. Cancelled: the last batch follows at once.
                try? await Task.sleep(for: AuditTrail.pause)
            }
        }
    }

    /// Writes what waits. The house calls it once more when everything has ended.
    package func write() async {
        let (events, lost) = state.withLock { state in
            defer { state = State() }
            return (state.waiting, state.lost)
        }
        guard !events.isEmpty || lost > 0 else { return }
        do {
            try await NIOThreadPool.singleton.runIfActive { [file] in
                var lines = AuditLines()
                for (event, date) in events { lines.add(event, at: date) }
                if lost > 0 {
                    lines.add(
                        AuditEvent(
                            act: "audit", outcome: .failed, detail: "\(lost) events were lost"),
                        at: Date())
                }
                try file.append(lines.bytes)
            }
        } catch {
            complain(error, lost: UInt64(events.count) + lost)
        }
    }

    private func complain(_ error: any Error, lost: UInt64) {
        let now = Instant.now()
        let isTime = warned.withLock { last in
            guard last.map({ now.since($0) >= .seconds(60) }) ?? true else { return false }
            last = now
            return true
        }
        guard isTime else { return }
        logger.error(
            "the audit log cannot be written; events are lost",
            metadata: [
                "path": "\(file.path)", "error": "\(error)", "log.lost": "\(lost)",
                "setting": "audit.path",
            ])
    }
}

/// The file itself; the command line appends to it as well.
package struct AuditFile: Sendable {
    package let path: String
    private let bytesMax: Int
    private let files: Int

    package init(_ settings: AuditSettings, state: String) {
        path = settings.path ?? state + "/audit.jsonl"
        bytesMax = settings.bytes
        files = settings.files
    }

    /// Appends whole lines, which are on the disk when it returns. Blocks.
    package func append(_ bytes: [UInt8]) throws(FileFault) {
        let file = try AppendedFile(path: path)
        try file.endLine()
        let size = try file.append(bytes)
        if size >= UInt64(bytesMax) { try AppendedFile.setAside(path, keep: files) }
    }

    /// What the command line does on the state folder of a gateway.
    package func append(_ event: AuditEvent) throws(FileFault) {
        var lines = AuditLines()
        lines.add(event, at: Date())
        try append(lines.bytes)
    }
}
