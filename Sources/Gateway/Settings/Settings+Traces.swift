// `traces`: which calls are exported as spans, and where to.

package import Contract
import Foundation

package struct TraceSettings: Sendable, Equatable {
    /// Of a collector that speaks OTLP over HTTP; nil: there are no traces.
    package var endpoint: String?
    /// `service.name`.
    package var service = "sluice"
    /// 0...1 of the calls that neither their caller nor what became of them decides for.
    package var ratio = 0.01
    package var follows = true
    package var errors = true
    package var cold = true
    /// A file of lines `name: value`, sent with every request.
    package var headersFile: String?
    /// PEM; nil: the system's authorities.
    package var authority: String?
    package var compresses = true
    /// Calls that may wait for the exporter.
    package var queueMax = 2_048
    /// Calls that are worth a request.
    package var batch = 256
    /// How long a call waits for others at most.
    package var interval = Nanoseconds.seconds(5)
    /// From a request to the last byte of its answer.
    package var timeout = Nanoseconds.seconds(10)

    package init() {}
}

extension Settings {
    static let traceRules: [SettingRule<Settings>] = [
        .optionalText(
            "traces.endpoint",
            "an address like https://collector.example:4318/v1/traces, without user, query or fragment",
            \.traces.endpoint, isCollector
        ).hidden,
        .text("traces.service", "a name of 1 to 128 bytes", \.traces.service) {
            (1...128).contains($0.utf8.count)
        },
        SettingRule(key: "traces.sample", allowed: "a number from 0 to 1, like 0.01") {
            values, settings in
            guard let text = values.first, text.utf8.count <= 16,
                text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
                let ratio = Double(text), (0...1).contains(ratio)
            else { return false }
            settings.traces.ratio = ratio
            return true
        },
        .flag("traces.follow", \.traces.follows),
        .flag("traces.errors", \.traces.errors),
        .flag("traces.cold", \.traces.cold),
        .optionalText("traces.headers_file", path, \.traces.headersFile, isPath).hidden,
        .optionalText("traces.ca", path, \.traces.authority, isPath),
        .flag("traces.gzip", \.traces.compresses),
        .count("traces.queue", 1...1_000_000, \.traces.queueMax),
        .count("traces.batch", 1...4_096, \.traces.batch),
        .time("traces.interval", .milliseconds(10)...(.seconds(600)), \.traces.interval),
        .time("traces.timeout", .milliseconds(10)...(.seconds(300)), \.traces.timeout),
    ]

    private static let isCollector: @Sendable (String) -> Bool = { text in
        guard text.utf8.count <= 2_048, let parts = URLComponents(string: text),
            parts.scheme == "https" || parts.scheme == "http", let host = parts.host
        else { return false }
        return !host.isEmpty && parts.user == nil && parts.password == nil && parts.query == nil
            && parts.fragment == nil
    }
}
