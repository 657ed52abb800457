// Every metric of the gateway, with what it means: docs/metrics.md has the same in a table, which a test compares.

package import Telemetry

/// By the room they tell of. Names begin with `sluice_`, those of the process with `process_` as everywhere.
package enum MetricNames {
    private static let version = ["model", "version"]

    // MARK: - Calls

    static let calls = MetricDescription(
        "sluice_calls_total", .counter, labels: version + ["door", "method", "code"],
        "Calls that were answered. The model is empty for calls of none, and for those that got no as far."
    )
    static let planCalls = MetricDescription(
        "sluice_plan_calls_total", .counter, labels: ["plan", "code"],
        "Calls that were admitted under a plan of the settings.")
    static let coldCalls = MetricDescription(
        "sluice_cold_calls_total", .counter, labels: version,
        "Calls that found their model asleep.")
    static let total = MetricDescription(
        "sluice_call_seconds", .histogram, unit: .seconds, labels: version,
        "Time from a call's arrival to its answer, failures too.")
    static let auth = MetricDescription(
        "sluice_call_auth_seconds", .histogram, unit: .seconds,
        "Time of calls that waited for an issuer's word about their token.")
    static let queue = MetricDescription(
        "sluice_call_queue_seconds", .histogram, unit: .seconds, labels: version,
        "Time that runs waited for a shard.")
    static let load = MetricDescription(
        "sluice_call_load_seconds", .histogram, unit: .seconds, labels: version,
        "Time that cold calls waited for their model, its files included.")
    static let run = MetricDescription(
        "sluice_call_run_seconds", .histogram, unit: .seconds, labels: version,
        "Time that models ran.")
    static let cpu = MetricDescription(
        "sluice_call_cpu_seconds_total", .counter, unit: .seconds, labels: version,
        "CPU time of runs.")
    static let requestBytes = MetricDescription(
        "sluice_request_bytes_total", .counter, unit: .bytes, labels: version,
        "Bytes of the calls' messages.")
    static let responseBytes = MetricDescription(
        "sluice_response_bytes_total", .counter, unit: .bytes, labels: version,
        "Bytes of the tensors in the answers.")
    static let callsInProgress = MetricDescription(
        "sluice_calls_in_progress", .gauge, "Calls that are admitted and not done.")

    static let ofCalls = [
        calls, planCalls, coldCalls, total, auth, queue, load, run, cpu, requestBytes,
        responseBytes, callsInProgress,
    ]

    // MARK: - Models in memory

    static let models = MetricDescription(
        "sluice_models", .gauge, labels: ["state"],
        "Versions in the catalogue: asleep, queued, loading, awake, leaving or broken.")
    static let quarantined = MetricDescription(
        "sluice_models_quarantined", .gauge,
        "Versions that are kept away because the process ended while they were at work.")
    static let promoted = MetricDescription(
        "sluice_models_promoted", .gauge, "Models that a second, faster session serves.")
    static let pinned = MetricDescription(
        "sluice_models_pinned", .gauge, "Models that stay in memory whatever needs room.")
    static let awake = MetricDescription(
        "sluice_model_awake", .gauge, labels: version,
        "1 while the model is in memory, 0 when it was and is not.")
    static let modelAnonymous = MetricDescription(
        "sluice_model_anonymous_bytes", .gauge, unit: .bytes, labels: version,
        "Memory of its own that an awake model holds.")
    static let modelMapped = MetricDescription(
        "sluice_model_mapped_bytes", .gauge, unit: .bytes, labels: version,
        "Bytes of its files that an awake model has mapped.")
    static let loads = MetricDescription(
        "sluice_model_loads_total", .counter, labels: version, "Loads that ended well.")
    static let loadFailures = MetricDescription(
        "sluice_model_load_failures_total", .counter, labels: version, "Loads that failed.")
    static let evictions = MetricDescription(
        "sluice_model_evictions_total", .counter, labels: version,
        "Times that a model left memory for another one, or for being idle.")
    static let wake = MetricDescription(
        "sluice_model_wake_seconds", .histogram, unit: .seconds,
        "Time that loads took, without the fetching of files.")
    static let budget = MetricDescription(
        "sluice_memory_budget_bytes", .gauge, unit: .bytes, labels: ["kind"],
        "What all models together may hold, anonymous and mapped; absent without a budget.")
    static let used = MetricDescription(
        "sluice_memory_used_bytes", .gauge, unit: .bytes, labels: ["kind"],
        "What awake models hold and loads under way have reserved.")
    static let released = MetricDescription(
        "sluice_memory_released_bytes_total", .counter, unit: .bytes,
        "Anonymous bytes that released models had held, where what came back could be measured.")
    static let unreturned = MetricDescription(
        "sluice_memory_unreturned_bytes_total", .counter, unit: .bytes,
        "Of these, the bytes that did not come back to the system.")
    static let returnedRatio = MetricDescription(
        "sluice_memory_returned_ratio", .gauge, unit: .ratio,
        "Share of the released bytes that came back, since the start; 1 before the first release.")
    static let promotions = MetricDescription(
        "sluice_model_promotions_total", .counter, labels: ["result"],
        "Second sessions: begun, failed, or ended because memory was wanted or they gained too little."
    )

    static let ofModels = [
        models, quarantined, promoted, pinned, awake, modelAnonymous, modelMapped, loads,
        loadFailures, evictions, wake, budget, used, released, unreturned, returnedRatio,
        promotions,
    ]

    // MARK: - Shards

    static let shards = MetricDescription(
        "sluice_shards", .gauge, "Threads that run models.")
    static let shardsBusy = MetricDescription(
        "sluice_shards_busy", .gauge, "Of these, the ones that run a model now.")
    static let waiting = MetricDescription(
        "sluice_calls_waiting", .gauge, labels: ["for"],
        "Calls that wait for a shard, or for their model to wake.")
    static let placed = MetricDescription(
        "sluice_runs_queued_total", .counter, "Runs that were put into a shard's queue.")
    static let refusedRuns = MetricDescription(
        "sluice_runs_refused_total", .counter, "Runs that found every queue full.")
    static let stolen = MetricDescription(
        "sluice_runs_stolen_total", .counter, "Runs that an idle shard took from another's queue.")
    static let wakeUps = MetricDescription(
        "sluice_shard_wakeups_total", .counter, "Times that a resting shard was woken for a run.")
    static let stalls = MetricDescription(
        "sluice_inline_stalls_total", .counter,
        "Runs that held up their event loop; the model runs on shards then.")

    static let ofShards = [
        shards, shardsBusy, waiting, placed, refusedRuns, stolen, wakeUps, stalls,
    ]

    // MARK: - Connections

    static let connections = MetricDescription(
        "sluice_connections", .gauge, "Open connections of the callers' port.")
    static let handshakes = MetricDescription(
        "sluice_handshakes_total", .counter, labels: ["result"],
        "TLS handshakes: full, resumed by a ticket, failed, or refused because their address began too many."
    )
    static let handshakesUnderWay = MetricDescription(
        "sluice_handshakes_in_progress", .gauge, "TLS handshakes that have begun and not ended.")
    static let expiry = MetricDescription(
        "sluice_certificate_expiry_timestamp_seconds", .gauge, unit: .seconds,
        labels: ["kind", "name", "serial"],
        "When a certificate or list in force ends, in seconds since 1970.")

    static let ofConnections = [connections, handshakes, handshakesUnderWay, expiry]

    // MARK: - Introspection

    static let introspections = MetricDescription(
        "sluice_introspections_total", .counter, labels: ["result"],
        "Questions to issuers about tokens: active, inactive, or failed to get an answer.")
    static let introspectionTime = MetricDescription(
        "sluice_introspection_seconds", .histogram, unit: .seconds, labels: ["issuer"],
        "Time of such a question, failures too.")
    static let cacheHits = MetricDescription(
        "sluice_auth_cache_hits_total", .counter, labels: ["segment"],
        "Tokens whose answer was known, active or inactive. A connection's next calls ask no cache."
    )
    static let cacheEntries = MetricDescription(
        "sluice_auth_cache_entries", .gauge, labels: ["segment"], "Answers that are kept.")
    static let cacheBytes = MetricDescription(
        "sluice_auth_cache_bytes", .gauge, unit: .bytes, labels: ["segment"],
        "Bytes of the answers that are kept.")
    static let staleAnswers = MetricDescription(
        "sluice_auth_stale_answers_total", .counter,
        "Answers past their time that were believed because the issuer could not be reached.")
    static let lookupsRefused = MetricDescription(
        "sluice_auth_lookups_refused_total", .counter, labels: ["by"],
        "Questions that were not asked: too many of one address, in all, or waiting, or an open breaker."
    )
    static let lookupsUnderWay = MetricDescription(
        "sluice_auth_lookups_in_progress", .gauge, labels: ["state"],
        "Questions to issuers under way, and those that wait for a place.")
    static let breaker = MetricDescription(
        "sluice_issuer_breaker", .gauge, labels: ["issuer", "state"],
        "1 for the state an issuer's breaker is in: closed, open or half-open.")

    static let ofIntrospection = [
        introspections, introspectionTime, cacheHits, cacheEntries, cacheBytes, staleAnswers,
        lookupsRefused, lookupsUnderWay, breaker,
    ]

    // MARK: - The store

    static let fetches = MetricDescription(
        "sluice_store_fetches_total", .counter, labels: ["result"],
        "Versions that were brought from the bucket: done, or failed.")
    static let fetchesUnderWay = MetricDescription(
        "sluice_store_fetches_in_progress", .gauge,
        "Versions that are being fetched or wait for it.")
    static let fetchBytes = MetricDescription(
        "sluice_store_fetch_bytes_total", .counter, unit: .bytes,
        "Bytes of models' files that came from the bucket.")
    static let storeErrors = MetricDescription(
        "sluice_store_errors_total", .counter,
        "Requests to the bucket that failed, those that were tried again too.")
    static let storeCache = MetricDescription(
        "sluice_store_cache_bytes", .gauge, unit: .bytes, "Bytes in the disk cache.")
    static let storeCacheBudget = MetricDescription(
        "sluice_store_cache_budget_bytes", .gauge, unit: .bytes,
        "Bytes that the disk cache may have; 0 when models come from a folder.")

    static let ofStore = [
        fetches, fetchesUnderWay, fetchBytes, storeErrors, storeCache, storeCacheBudget,
    ]

    // MARK: - Traces

    static let tracedCalls = MetricDescription(
        "sluice_traces_exported_calls_total", .counter,
        "Calls whose spans the collector has taken.")
    static let tracedSpans = MetricDescription(
        "sluice_traces_exported_spans_total", .counter, "Their spans.")
    static let tracesDropped = MetricDescription(
        "sluice_traces_dropped_calls_total", .counter, labels: ["reason"],
        "Calls whose spans nobody will see: the queue was full, the collector unreachable, or it refused them."
    )
    static let spansRejected = MetricDescription(
        "sluice_traces_rejected_spans_total", .counter,
        "Spans that the collector did not take, of requests that it took.")
    static let traceFailures = MetricDescription(
        "sluice_traces_export_failures_total", .counter,
        "Requests to the collector that failed, those that were tried again too.")
    static let tracesWaiting = MetricDescription(
        "sluice_traces_waiting_calls", .gauge, "Calls whose spans wait to be sent.")

    static let ofTraces = [
        tracedCalls, tracedSpans, tracesDropped, spansRejected, traceFailures, tracesWaiting,
    ]

    // MARK: - The access log

    static let logLines = MetricDescription(
        "sluice_access_log_lines_total", .counter, labels: ["outcome"],
        "Lines of the access log: written, dropped because the disk was slow, refused by it, or left out by a sample."
    )
    static let logWaiting = MetricDescription(
        "sluice_access_log_waiting_lines", .gauge, "Lines that wait to be written.")

    static let ofLogs = [logLines, logWaiting]

    // MARK: - The process

    static let build = MetricDescription(
        "sluice_build_info", .gauge, labels: ["version"], "1; the gateway's version.")
    static let ready = MetricDescription(
        "sluice_ready", .gauge, "1 while the gateway serves, 0 while it stops.")
    static let reloads = MetricDescription(
        "sluice_config_reloads_total", .counter, labels: ["result"],
        "Times that the settings were read again: done, or refused and nothing changed.")
    static let processCPU = MetricDescription(
        "process_cpu_seconds_total", .counter, unit: .seconds, "CPU time of the process.")
    static let processResident = MetricDescription(
        "process_resident_memory_bytes", .gauge, unit: .bytes, "Memory that is resident.")
    static let processVirtual = MetricDescription(
        "process_virtual_memory_bytes", .gauge, unit: .bytes, "Address space.")
    static let processFiles = MetricDescription(
        "process_open_fds", .gauge, "Open file descriptors.")
    static let processFilesMax = MetricDescription(
        "process_max_fds", .gauge, "File descriptors that may be open.")
    static let processThreads = MetricDescription(
        "process_threads", .gauge, "Threads.")
    static let processStart = MetricDescription(
        "process_start_time_seconds", .gauge, unit: .seconds,
        "When the process began, in seconds since 1970.")

    static let ofProcess = [
        build, ready, reloads, processCPU, processResident, processVirtual, processFiles,
        processFilesMax, processThreads, processStart,
    ]

    /// All that are always there, by room.
    package static let all =
        ofCalls + ofModels + ofShards + ofConnections + ofIntrospection + ofStore + ofTraces
        + ofLogs + ofProcess
}
