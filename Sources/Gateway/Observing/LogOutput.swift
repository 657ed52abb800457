// How log lines look: one JSON object a line for machines, or text for people. On standard error, since
// standard output carries the `ready` line.

package import Logging

extension LogSettings {
    /// The handler a process hands to `LoggingSystem.bootstrap`.
    package func handler(label: String) -> any LogHandler {
        switch format {
        case .text:
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = logLevel
            return handler
        case .json:
            return JSONLogHandler(label: label, level: logLevel)
        }
    }

    private var logLevel: Logger.Level {
        switch level {
        case .trace: .trace
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }
}
