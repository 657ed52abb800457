// Who hears of every call that was answered: the logs, made together and before anybody can call, and the traces.

import Contract
import Logging

struct CallLogs: Sendable {
    let access: AccessLog
    let slow: SlowLog

    /// Blocks; at start only.
    /// - Parameter loops: event loops that answer calls.
    init(_ settings: Settings, loops: Int, reloader: Reloader, logger: Logger) throws {
        access = try AccessLog(settings.accessLog, loops: loops, logger: logger)
        slow = SlowLog(settings.slowLog, logger: logger)
        reloader.add(access.reload())
        reloader.add(slow.reload())
    }
}

/// Those who hear of calls on one event loop. They count or hand on, and never wait.
struct CallObservers: Sendable {
    let logs: CallLogs
    /// Nil when there are no traces.
    let traces: TraceExporter?
    /// Which of the event loops, from 0.
    let loop: Int

    /// When nobody wants calls, no record is made.
    var wantsCalls: Bool { traces != nil || logs.access.wantsCalls || logs.slow.wantsCalls }

    func answered(_ call: CallRecord) {
        if logs.access.wantsCalls { logs.access.answered(call, on: loop) }
        if logs.slow.wantsCalls { logs.slow.answered(call) }
        traces?.answered(call)
    }
}
