// Log lines as JSON, one object a line.

import Foundation
import Logging
import OpenInference

/// Writes `{"time","level","label","message",...metadata}` to standard error, each line in one write.
struct JSONLogHandler: LogHandler {
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    private let label: String

    init(label: String, level: Logger.Level) {
        self.label = label
        logLevel = level
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line =
            "{\"time\":\"\(Date().ISO8601Format(.init(includingFractionalSeconds: true)))\""
        line += ",\"level\":\"\(event.level.rawValue)\",\"label\":\(JSONText.quoted(label))"
        line += ",\"message\":\(JSONText.quoted(event.message.description))"
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        for (key, value) in all.sorted(by: { $0.key < $1.key }) {
            line += ",\(JSONText.quoted(key)):\(JSONText.quoted("\(value)"))"
        }
        FileHandle.standardError.write(Data((line + "}\n").utf8))
    }
}
