// What of `traces` must fit together.

import Contract
import Outside

extension SettingsReader {
    mutating func checkTraces() {
        let traces = settings.traces
        if traces.batch > traces.queueMax {
            fault("traces.batch", place("traces.batch"), "must not be more than traces.queue")
        }
        // What a collector wants to be shown is a secret.
        if let endpoint = traces.endpoint, traces.headersFile != nil,
            !TraceClient.keepsSecrets(endpoint)
        {
            fault(
                "traces.endpoint", place("traces.endpoint"),
                "must begin with https:// when traces.headers_file is set")
        }
        for key in ["traces.headers_file", "traces.ca"]
        where traces.endpoint == nil && sources.find(key, isList: false) != nil {
            fault(key, place(key), "means nothing without traces.endpoint")
        }
    }

    /// Files that must be there at start.
    var traceFiles: [(key: String, path: String?)] {
        [
            ("traces.headers_file", settings.traces.headersFile),
            ("traces.ca", settings.traces.authority),
        ]
    }
}
