// The calls about memory: giving it back, keeping it, and asking where it went.

import SluiceMessages

extension SluiceClient {
    /// Gives a model's memory back. The model stays in service, and its next call wakes it again.
    ///
    /// Calls that use the model finish first; the method returns when the memory is free. When that takes longer
    /// than the timeout it throws with code ``SluiceError/Code/deadlineExceeded``, and the model goes all the same.
    /// Needs the scope `models:admin`.
    ///
    /// - Parameters:
    ///   - model: its name.
    ///   - version: a version; without it, all of them.
    ///   - timeout: without it, ``Configuration/callTimeout``.
    public func sleep(
        _ model: String, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) {
        try await control(.sleep, model, version, timeout)
    }

    /// Keeps a model in memory once it is awake, whatever needs room. Does not wake it.
    ///
    /// A pin lasts until ``unpin(_:version:timeout:)``, over restarts too. Needs the scope `models:admin`.
    ///
    /// - Parameters:
    ///   - model: its name.
    ///   - version: a version; without it, all of them.
    ///   - timeout: without it, ``Configuration/callTimeout``.
    public func pin(
        _ model: String, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) {
        try await control(.pin, model, version, timeout)
    }

    /// Takes the pin of ``pin(_:version:timeout:)`` away: the model may be evicted again.
    public func unpin(
        _ model: String, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) {
        try await control(.unpin, model, version, timeout)
    }

    /// Has the gateway look for new, changed and removed models now, instead of when it would have.
    ///
    /// The method returns when they have been taken in. Throws with code ``SluiceError/Code/unavailable`` when the
    /// gateway cannot look; what it knows goes on being served. Needs the scope `models:admin`.
    ///
    /// - Parameter timeout: without it, ``Configuration/callTimeout``.
    public func refresh(timeout: Duration? = nil) async throws(SluiceError) {
        try await control(.refresh, "", nil, timeout)
    }

    /// Serves a model again that was kept away because the gateway ended twice while it was at work.
    ///
    /// What was held against it is forgotten, over restarts too. Needs the scope `models:admin`.
    ///
    /// - Parameters:
    ///   - model: its name.
    ///   - version: a version; without it, all of them.
    ///   - timeout: without it, ``Configuration/callTimeout``.
    public func unquarantine(
        _ model: String, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) {
        try await control(.unquarantine, model, version, timeout)
    }

    private func control(
        _ action: Sluice_ModelControlRequest.Action, _ model: String, _ version: String?,
        _ timeout: Duration?
    ) async throws(SluiceError) {
        var message = Sluice_ModelControlRequest()
        message.action = action
        let _: Sluice_ModelControlResponse = try await ask(
            .modelControl, model, version, message, timeout)
    }

    /// What a model costs and why it is or is not in memory, for each of its versions. Never wakes the model.
    ///
    /// Needs the scope `models:read`.
    ///
    /// - Parameters:
    ///   - model: its name.
    ///   - version: a version; without it, all of them.
    ///   - timeout: without it, ``Configuration/callTimeout``.
    public func account(
        _ model: String, version: String? = nil, timeout: Duration? = nil
    ) async throws(SluiceError) -> [ModelAccount] {
        guard !model.isEmpty else {
            // To the gateway no name means every model.
            throw SluiceError(.invalidArgument, "The model's name is empty.")
        }
        let reply: Sluice_ModelAccountResponse = try await ask(
            .modelAccount, model, version, Sluice_ModelAccountRequest(), timeout)
        return reply.models.map(ModelAccount.init)
    }

    /// The memory that all models share, and the account of each. Never wakes a model.
    ///
    /// Needs the scope `models:read`.
    public func fleetAccount(timeout: Duration? = nil) async throws(SluiceError) -> FleetAccount {
        let reply: Sluice_ModelAccountResponse = try await ask(
            .modelAccount, "", nil, Sluice_ModelAccountRequest(), timeout)
        return FleetAccount(reply)
    }
}

extension ModelAccount {
    fileprivate init(_ message: Sluice_ModelAccount) {
        self.init(name: message.name, version: message.version, state: State(message.state))
        isPinned = message.pinned
        anonymousBytes = message.anonymousBytes
        mappedBytes = message.mappedBytes
        loadPeakBytes = message.loadPeakBytes
        unreturnedBytes = message.unreturnedBytes
        loadTime =
            message.loadUs == 0 ? nil : .microseconds(Int64(clamping: message.loadUs))
        awakeFor = ModelAccount.time(message.awakeMs)
        sinceLastCall = ModelAccount.time(message.lastCallMsAgo)
        callsSinceWake = message.callsSinceWake
        loads = message.loads
        evictions = message.evictions
        demand = message.demand
        score = message.score
        sinceEviction = ModelAccount.time(message.evictedMsAgo)
        evictedFor = message.evictedFor
        failure = message.failure
        aliases = message.aliases
        trial = message.trial
        isQuarantined = message.quarantined
        strikes = Int(message.strikes)
        isMapped = message.mapped
        promotedFor = ModelAccount.time(message.promotedMs)
        promotedBytes = message.promotedBytes
        promotionSaving = message.promotionSaving
        isKeptWarm = message.keptWarm
        idleLimit = ModelAccount.time(message.idleMs)
        promotionNote = message.promotionNote
        calls = message.calls
        failedCalls = message.failedCalls
        coldCalls = message.coldCalls
        waiting = Int(message.waiting)
        waking = 0 < message.waking && message.waking <= 1 ? message.waking : nil
        latency = LatencyDigest(
            first: Int(message.latencyFirst), counts: message.latencyCounts)
    }

    /// 0 is "never".
    fileprivate static func time(_ milliseconds: UInt64) -> Duration? {
        milliseconds == 0 ? nil : .milliseconds(Int64(clamping: milliseconds))
    }
}

extension ModelAccount.State {
    fileprivate init(_ state: Sluice_ModelState) {
        switch state {
        case .asleep: self = .asleep
        case .queued: self = .queued
        case .loading: self = .loading
        case .awake: self = .awake
        case .leaving: self = .leaving
        case .broken: self = .broken
        case .unspecified: self.init(rawValue: "unknown")
        case .UNRECOGNIZED(let number): self.init(rawValue: "state \(number)")
        }
    }
}

extension FleetAccount {
    fileprivate init(_ message: Sluice_ModelAccountResponse) {
        self.init()
        models = message.models.map(ModelAccount.init)
        let fleet = message.fleet
        anonymousBudget = fleet.anonymousBudget
        anonymousUsed = fleet.anonymousUsed
        mappedBudget = fleet.mappedBudget
        mappedUsed = fleet.mappedUsed
        calls = fleet.calls
        coldCalls = fleet.coldCalls
        loadsLastHour = fleet.loadsLastHour
        loadsWarn = fleet.loadsWarn
        uptime = ModelAccount.time(fleet.uptimeMs)
        queued = Int(fleet.queued)
        running = Int(fleet.running)
        missCurve = fleet.missCurve.map {
            MissPoint(extraBytes: $0.extraBytes, coldShare: $0.coldShare)
        }
    }
}
