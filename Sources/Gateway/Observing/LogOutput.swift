// How log lines look: one JSON object a line for machines, or text for people. On standard error, since
// standard output carries the `ready` line.

package import Logging

/// The form of the log, a setting.
package enum LogFormat: String, Sendable, CaseIterable { case text, json }

extension LogFormat {
    /// The handler a process hands to `LoggingSystem.bootstrap`.
    package func handler(label: String, level: Logger.Level) -> any LogHandler {
        switch self {
        case .text:
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        case .json:
            return JSONLogHandler(label: label, level: level)
        }
    }
}
