// The two logs that hear of calls, made together and before anybody can call.

import Contract
import Logging

struct CallLogs: Sendable {
    let access: AccessLog
    let slow: SlowLog

    /// Blocks; at start only.
    init(_ settings: Settings, reloader: Reloader, logger: Logger) throws {
        access = try AccessLog(settings.accessLog, logger: logger)
        slow = SlowLog(settings.slowLog, logger: logger)
        reloader.add(access.reload())
        reloader.add(slow.reload())
    }

    var observers: [any CallObserver] { [access, slow] }
}
