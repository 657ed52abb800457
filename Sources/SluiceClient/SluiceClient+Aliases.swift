// The calls about names that stand for versions: setting, removing, rolling back.

import SluiceMessages

extension SluiceClient {
    /// Lets an alias stand for a version, once that has been loaded and has passed its golden cases.
    ///
    /// Until then, and when it fails, calls go where they went before. When that takes longer than the timeout the
    /// method throws with code ``SluiceError/Code/deadlineExceeded``, and the alias moves all the same when the
    /// version has proved itself. Needs the scope `models:admin`.
    ///
    /// - Parameters:
    ///   - alias: for example `prod`: small letters, digits and `-`, not `latest`.
    ///   - model: the model's name.
    ///   - version: a number.
    ///   - timeout: without it, ``Configuration/callTimeout``.
    public func setAlias(
        _ alias: String, of model: String, to version: String, timeout: Duration? = nil
    ) async throws(SluiceError) -> AliasChange {
        try await move(.set, alias, model, version, timeout)
    }

    /// Removes an alias. Of `latest`: undoes a rollback, so that it goes to the newest proved version by itself again.
    @discardableResult
    public func removeAlias(
        _ alias: String, of model: String, timeout: Duration? = nil
    ) async throws(SluiceError) -> AliasChange {
        try await move(.remove, alias, model, "", timeout)
    }

    /// Lets an alias stand for what it stood for before; `latest` stays there until a still newer version has proved
    /// itself, or until ``removeAlias(_:of:timeout:)``.
    @discardableResult
    public func rollBack(
        _ model: String, alias: String = "latest", timeout: Duration? = nil
    ) async throws(SluiceError) -> AliasChange {
        try await move(.rollback, alias, model, "", timeout)
    }

    private func move(
        _ action: Sluice_ModelAliasRequest.Action, _ alias: String, _ model: String,
        _ version: String, _ timeout: Duration?
    ) async throws(SluiceError) -> AliasChange {
        var message = Sluice_ModelAliasRequest()
        message.alias = alias
        message.version = version
        message.action = action
        let reply: Sluice_ModelAliasResponse = try await ask(
            .modelAlias, model, nil, message, timeout)
        return AliasChange(
            alias: reply.alias, was: reply.was.isEmpty ? nil : reply.was,
            now: reply.now.isEmpty ? nil : reply.now, proof: AliasChange.Proof(reply.proof),
            goldenCases: Int(reply.goldenCases))
    }
}

extension AliasChange.Proof {
    fileprivate init(_ proof: Sluice_AliasProof) {
        switch proof {
        case .unspecified: self = .none
        case .loaded: self = .loaded
        case .golden: self = .golden
        case .earlier: self = .earlier
        case .UNRECOGNIZED(let number): self.init(rawValue: "proof \(number)")
        }
    }
}
