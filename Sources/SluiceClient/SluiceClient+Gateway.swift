// The calls about the gateway itself: reading its settings again, forgetting tokens, asking what a token may do.

import SluiceMessages

extension SluiceClient {
    /// Has the gateway read its settings file again. All of it is checked first: with a fault nothing changes, and the
    /// method throws with reason `SETTINGS_REFUSED` and every fault in its message. Calls under way keep the settings
    /// they started with. Needs the scope `admin`.
    ///
    /// - Returns: what is different now.
    @discardableResult
    public func reloadSettings(timeout: Duration? = nil) async throws(SluiceError)
        -> [SettingChange]
    {
        var message = Sluice_GatewayControlRequest()
        message.action = .reload
        let reply: Sluice_GatewayControlResponse = try await ask(
            .gatewayControl, "", nil, message, timeout)
        return reply.changes.map {
            SettingChange(
                key: $0.key, was: $0.was.isEmpty ? nil : $0.was, now: $0.now.isEmpty ? nil : $0.now)
        }
    }

    /// Has the gateway forget what issuers said of tokens, so that a revocation works at their next call. Needs the scope
    /// `tokens:admin`.
    ///
    /// - Returns: how many answers were forgotten.
    @discardableResult
    public func purgeTokens(
        of owner: TokenOwner, timeout: Duration? = nil
    ) async throws(SluiceError) -> UInt64 {
        var message = Sluice_GatewayControlRequest()
        message.action = .purgeTokens
        switch owner {
        case .everybody: break
        case .subject(let subject): message.subject = subject
        case .client(let client): message.client = client
        case .token(let token): message.token = token
        }
        let reply: Sluice_GatewayControlResponse = try await ask(
            .gatewayControl, "", nil, message, timeout)
        return reply.purged
    }

    /// Asks what the policy says of this client's own token, without doing anything. The answer is the same whether or not
    /// there is such a model.
    public func checkAccess(
        to model: String = "", for deed: Deed = .infer, timeout: Duration? = nil
    ) async throws(SluiceError) -> AccessReport {
        var message = Sluice_AccessCheckRequest()
        message.method = Sluice_Method(deed)
        let reply: Sluice_AccessCheckResponse = try await ask(
            .accessCheck, model, nil, message, timeout)
        return AccessReport(
            allowed: reply.allowed, rule: reply.rule.isEmpty ? nil : reply.rule,
            plan: reply.plan.isEmpty ? nil : reply.plan, explanation: reply.why,
            issuer: reply.issuer, client: reply.client, subject: reply.subject,
            scopes: reply.scopes)
    }
}

extension Sluice_Method {
    fileprivate init(_ deed: Deed) {
        self =
            switch deed {
            case .infer: .infer
            case .metadata: .modelMetadata
            case .statistics: .modelStatistics
            case .index: .repositoryIndex
            case .load: .repositoryLoad
            case .unload: .repositoryUnload
            case .control: .modelControl
            case .alias: .modelAlias
            case .account: .modelAccount
            }
    }
}
