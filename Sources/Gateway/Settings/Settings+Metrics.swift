// `metrics`: what /metrics on the admin port tells.

package struct MetricsSettings: Sendable, Equatable {
    /// Whether anything is counted and the path exists.
    package var enabled = true
    /// Versions of models that have series of their own; the others are counted as `other`.
    package var modelsMax = 2_000
    /// Whether Triton's names are there too.
    package var triton = false

    package init() {}
}

extension Settings {
    static let metricsRules: [SettingRule<Settings>] = [
        .flag("metrics.enabled", \.metrics.enabled),
        .count("metrics.models", 1...100_000, \.metrics.modelsMax),
        .flag("metrics.triton", \.metrics.triton),
    ]
}
