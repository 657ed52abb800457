// New settings for a gateway that runs: read whole, checked whole, and put in force at once, or not at all.

import Contract
import Logging
import NIOPosix
import ServiceLifecycle
import Synchronization

/// A room that can take new settings.
struct ReloadPart: Sendable {
    /// New settings that were checked, with what they need.
    struct Ready: Sendable {
        /// Puts them in force; cannot fail.
        var commit: @Sendable () -> Void
        /// Gives back what was opened for them: another part has refused.
        var discard: @Sendable () async -> Void = {}
    }

    /// Checks what concerns this room and makes what may fail. Throws what the operator has to mend.
    var prepare: @Sendable (_ new: Settings, _ old: Settings) async throws -> Ready

    init(
        _ prepare: @escaping @Sendable (_ new: Settings, _ old: Settings) async throws -> Ready
    ) {
        self.prepare = prepare
    }
}

/// Reads the settings again when it is asked to, one request after the other.
final class Reloader: Service {
    typealias Done = @Sendable (Result<[SettingChange], CallFailure>) -> Void

    private struct Request: Sendable {
        /// Who asked, for the logs.
        var by: AuditEvent
        var done: Done
    }

    /// Requests that may wait.
    private static let waitingMax = 16

    private let reading: Mutex<SettingsReading>
    private let parts = Mutex<[ReloadPart]>([])
    private let last = Mutex<(@Sendable (Settings) async throws -> Void)?>(nil)
    private let outcomes = Mutex<(done: UInt64, refused: UInt64)>((0, 0))
    private let audit: any AuditLog
    private let logger: Logger
    private let requests: AsyncStream<Request>
    private let queue: AsyncStream<Request>.Continuation

    init(_ reading: SettingsReading, audit: any AuditLog, logger: Logger) {
        self.reading = Mutex(reading)
        self.audit = audit
        self.logger = logger
        (requests, queue) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingOldest(Reloader.waitingMax))
    }

    /// While the house opens its rooms.
    func add(_ part: ReloadPart) { parts.withLock { $0.append(part) } }

    /// What can only check and put in force in one step, all or nothing: done when every part is prepared, and before any is
    /// in force. One at most.
    func addLast(_ step: @escaping @Sendable (Settings) async throws -> Void) {
        last.withLock { $0 = step }
    }

    /// Any thread may ask. `done` is called once, on some thread.
    func reload(asked by: AuditEvent, done: @escaping Done = { _ in }) {
        switch queue.yield(Request(by: by, done: done)) {
        case .enqueued: break
        case .dropped:
            done(
                .failure(
                    CallFailure(
                        .resourceExhausted, .queueFull,
                        "\(Reloader.waitingMax) reloads wait already", notStarted: true,
                        retryAfter: .seconds(1))))
        case .terminated: done(.failure(Reloader.stopping))
        @unknown default: done(.failure(Reloader.stopping))
        }
    }

    /// How often settings were read again and taken, or not, since the gateway started.
    var counts: (done: UInt64, refused: UInt64) { outcomes.withLock { $0 } }

    func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            for await request in requests { await carryOut(request) }
        }
        queue.finish()
        for await request in requests { request.done(.failure(Reloader.stopping)) }
    }

    private func carryOut(_ request: Request) async {
        var event = request.by
        do {
            let changes = try await reload()
            outcomes.withLock { $0.done += 1 }
            event.outcome = .done
            event.detail = changes.map(\.description).joined(separator: "; ")
            logger.notice(
                "settings were read again",
                metadata: [
                    "changes": "\(changes.count)",
                    "settings.changed": .array(changes.map { "\($0)" }),
                ])
            audit.note(event)
            request.done(.success(changes))
        } catch {
            let why = (error as? GatewayError)?.message ?? "\(error)"
            outcomes.withLock { $0.refused += 1 }
            event.outcome = .refused
            event.detail = why
            logger.error(
                "the settings were not taken; those from before stay in force",
                metadata: ["error": "\(why)"])
            audit.note(event)
            request.done(
                .failure(CallFailure(.failedPrecondition, .settingsRefused, why, notStarted: true)))
        }
    }

    private func reload() async throws -> [SettingChange] {
        let old = reading.withLock { $0 }
        let new = try await NIOThreadPool.singleton.runIfActive { try old.readAgain() }
        let changes = new.changes(since: old)
        var faults = SettingsReading.refusals(changes).map(\.description)
        var ready: [ReloadPart.Ready] = []
        for part in parts.withLock({ $0 }) {
            do {
                ready.append(try await part.prepare(new.settings, old.settings))
            } catch let error as GatewayError {
                faults.append(error.message)
            } catch {
                faults.append("\(error)")
            }
        }
        if faults.isEmpty, let last = last.withLock({ $0 }) {
            do {
                try await last(new.settings)
            } catch {
                faults.append((error as? GatewayError)?.message ?? "\(error)")
            }
        }
        guard faults.isEmpty else {
            for part in ready { await part.discard() }
            throw GatewayError(
                .configuration,
                faults.count == 1
                    ? "the new settings have a fault:\n  \(faults[0])"
                    : "the new settings have \(faults.count) faults:"
                        + faults.map { "\n  \($0)" }.joined())
        }
        for part in ready { part.commit() }
        reading.withLock { $0 = new }
        return changes
    }

    private static let stopping = CallFailure(
        .unavailable, .stopping, "the gateway is stopping", notStarted: true)
}
