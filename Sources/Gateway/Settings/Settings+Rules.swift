// The keys of the settings file, in its order.

import Contract
import Outside

extension Settings {
    /// Every key but those of `auth`, with dots.
    package static var keys: [String] { rules.map(\.key) }

    /// Every key but those of `auth`, whose lists and names are read apart.
    static let rules: [SettingRule<Settings>] =
        [
            .endpoint("listen", \.listen),
            .endpoint("admin", \.admin),
            .text("state", path, \.state, isPath),
        ] + transportRules + [
            .text(
                "models.repository", "the path of a folder, or s3://BUCKET/PREFIX",
                \.models.repository, isRepository),
            .time("models.poll", .seconds(1)...day, \.models.poll, orZero: true),
            .flag("models.require_manifest", \.models.requiresManifest),
            .time(
                "models.trial.time", .milliseconds(100)...hour, \.models.trial.time, orZero: true),
            .size("models.trial.memory", 64 << 20...1 << 50, \.models.trial.memory),
        ] + bucketRules + [
            .automaticSize("memory.anonymous", 1 << 20...1 << 50, \.memory.anonymous),
            .automaticSize("memory.mapped", 1 << 20...1 << 50, \.memory.mapped),
            .time("memory.awake_min", .milliseconds(1)...hour, \.memory.awakeMin, orZero: true),
            .time("memory.idle", .seconds(1)...week, \.memory.idle, orZero: true),
            .flag("memory.promote", \.memory.promote),
            .count("memory.loads_warn", 0...1_000_000, \.memory.loadsWarn),
            .optionalText("engine.library", path, \.engine.library, isPath),
            .count("engine.threads", 1...256, \.engine.threads),
        ] + gateRules + authorizationServerRules + httpRules + browserRules + consoleRules
        + limitRules
        + handshakeRules + [
            .automatic("shards.count", 1...1_024, \.shards.count),
            .automatic("shards.loaders", 1...1_024, \.shards.loaders),
            .time(
                "shards.inline_run_max", .microseconds(1)...(.milliseconds(100)),
                \.shards.inlineRunMax, orZero: true),
            .time(
                "shards.inline_turn_budget", .microseconds(1)...(.seconds(1)),
                \.shards.inlineTurnBudget),
            .count("shards.queue", 1...1_000_000, \.shards.queueMax),
            .choice("log.level", \.log.level),
            .choice("log.format", \.log.format),
            .optionalText("audit.path", path, \.audit.path, isPath),
            .size("audit.bytes", 1 << 10...1 << 40, \.audit.bytes),
            .count("audit.files", 0...1_000, \.audit.files),
        ] + usageRules + traceRules + metricsRules

    private static let bucketRules: [SettingRule<Settings>] = [
        .optionalText(
            "models.s3.endpoint", "an address like https://store.example:9000",
            \.models.bucket.endpoint, { StoreEndpoint($0) != nil }),
        .text(
            "models.s3.region", "a region's name, like us-east-1", \.models.bucket.region,
            isRegion),
        .flag("models.s3.path_style", \.models.bucket.usesPathStyle),
        .optionalText("models.s3.ca", path, \.models.bucket.authority, isPath),
        .optionalText("models.s3.access_key_file", path, \.models.bucket.accessKeyFile, isPath)
            .hidden,
        .optionalText("models.s3.secret_key_file", path, \.models.bucket.secretKeyFile, isPath)
            .hidden,
        .optionalText(
            "models.s3.session_token_file", path, \.models.bucket.sessionTokenFile, isPath
        ).hidden,
        .optionalText(
            "models.s3.profile", "the name of a section of the AWS credentials file",
            \.models.bucket.profile, { $0.utf8.count <= 128 && isPath($0) }),
        .optionalText("models.cache.path", path, \.models.cache.path, isPath),
        .size("models.cache.bytes", 1 << 20...1 << 50, \.models.cache.bytes),
    ]

    private static let limitRules: [SettingRule<Settings>] = [
        .time("limits.handshake", short...long, \.limits.handshakeTime),
        .time("limits.hello", short...long, \.limits.helloTime),
        .size("limits.hello_bytes", 128...65_535, \.limits.helloBytes),
        .time("limits.stall", short...long, \.limits.stallTime),
        .time("limits.idle", .seconds(1)...week, \.limits.idleTime),
        .time(
            "limits.ping_interval_min", .milliseconds(1)...hour, \.limits.pingIntervalMinimum,
            orZero: true),
        .count("limits.control_frames", 16...1_000_000, \.limits.controlFrameBurst),
        .count("limits.connections", 1...10_000_000, \.limits.connections),
        .count("limits.connections_per_address", 1...10_000_000, \.limits.connectionsPerAddress),
        .count("limits.calls", 1...10_000_000, \.callsMax),
        .count("limits.calls_per_client", 1...10_000_000, \.callsPerClientMax),
        .count("limits.calls_per_connection", 1...65_536, \.limits.callsPerConnection),
        .size("limits.buffered", 64 << 10...8 << 30, \.limits.bufferedBytes),
        .size("limits.header", 512...65_535, \.limits.headerBytes),
        .size("limits.metadata", 0...65_535, \.limits.metadataBytes),
        .count("limits.metadata_entries", 0...4_096, \.limits.metadataEntries),
        .size("limits.frame", 1 << 10...16 << 20, \.limits.frameBytes),
        .size("limits.message", 1 << 10...1 << 31 - 1, \.limits.messageBytes),
        .count("limits.tensors", 1...65_536, \.limits.tensorsPerMessage),
        .count("limits.parameters", 0...65_536, \.limits.parametersPerMessage),
        .count("limits.nesting", 4...64, \.limits.nestingDepth),
        .size("limits.token", 64...64 << 10, \.limits.tokenBytes),
        .time("limits.deadline", .milliseconds(1)...day, \.limits.deadlineDefault),
        .time("limits.deadline_max", .milliseconds(1)...day, \.limits.deadlineMaximum),
        .time("limits.drain", .milliseconds(1)...hour, \.limits.drainTime, orZero: true),
    ]

    private static let short = Nanoseconds.milliseconds(10)
    private static let long = Nanoseconds.seconds(600)
    private static let hour = Nanoseconds.seconds(3_600)
    private static let day = Nanoseconds.seconds(86_400)
    private static let week = Nanoseconds.seconds(604_800)
    static let path = "the path of a file or folder"

    private static let isRepository: @Sendable (String) -> Bool = { text in
        text.hasPrefix(BucketLocation.scheme) ? BucketLocation(text) != nil : isPath(text)
    }

    private static let isRegion: @Sendable (String) -> Bool = { text in
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                    || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
                    || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                    || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            }
    }

    /// A path, and no key or certificate pasted in its place.
    static let isPath: @Sendable (String) -> Bool = { text in
        text.utf8.count <= 4_096 && !text.contains("-----BEGIN")
            && text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
    }
}

extension SettingRule {
    /// The same rule, whose values are never shown.
    var hidden: SettingRule {
        var rule = self
        rule.isSecret = true
        return rule
    }
}
