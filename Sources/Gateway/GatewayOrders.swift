// GATEWAY_CONTROL and ACCESS_CHECK: an operator has the settings read again or answers forgotten; a caller asks what its token
// may do.

import Admission
import Contract
import NIOCore

extension Journey {
    func carryOut(
        _ order: GatewayOrder?, as credential: Credential
    ) throws(CallFailure) {
        guard let order else {
            throw CallFailure(
                .invalidArgument, .badMessage, "the message names no action", notStarted: true)
        }
        guard call.model.isEmpty else {
            throw CallFailure(
                .invalidArgument, .badMessage,
                "GATEWAY_CONTROL means no model: the header names none",
                notStarted: true)
        }
        let (right, scope): (Entitlement.Rights, String) =
            switch order.action {
            case .reload: (.gatewayAdmin, "admin")
            case .purgeTokens: (.tokensAdmin, "tokens:admin")
            }
        guard credential.grants.rights.contains(right) else {
            throw CallFailure(
                .permissionDenied, .scopeMissing, "the token lacks the scope \(scope)",
                notStarted: true)
        }
        switch order.action {
        case .reload: wait = ReloadWait(self, by: credential.identity)
        case .purgeTokens:
            end(.success(.gateway(.purged(UInt64(purge(order))))))
        }
    }

    private func purge(_ order: GatewayOrder) -> Int {
        let gatekeeper = visit.walk.gatekeeper
        if let token = order.token { return gatekeeper.purge(.token(token)) }
        if !order.client.isEmpty { return gatekeeper.purge(.client(order.client)) }
        if !order.subject.isEmpty { return gatekeeper.purge(.subject(order.subject)) }
        return gatekeeper.purge(.everything)
    }

    /// Judged by the name alone: a model that does not exist is answered as one that does.
    func accessReport(for method: Method, of credential: Credential) -> AccessReport {
        let explanation = visit.walk.gatekeeper.explain(
            credential, method: method, model: call.model)
        let identity = credential.identity
        return AccessReport(
            allowed: explanation.isAllowed,
            rule: explanation.rule.isEmpty ? explanation.scope : explanation.rule,
            plan: explanation.plan,
            why: explanation.why, issuer: identity.issuer, client: identity.client,
            subject: identity.subject, scopes: identity.scopes)
    }

    /// Remembers what an administrator is about to do.
    func beginAct(_ question: Question, version: String, by identity: Identity) {
        let act: String
        switch call.method {
        case .repositoryLoad, .repositoryUnload: act = call.method.auditName
        case .modelControl: act = "models.\(question.control.map { "\($0)" } ?? "control")"
        case .modelAlias:
            let move = question.aliasMove
            begin(
                "models.alias.\(move.map { "\($0.action)" } ?? "none")", by: identity,
                on: "\(call.model) \(move?.alias ?? "")")
            return
        case .gatewayControl where question.order?.action == .purgeTokens:
            begin("tokens.purge", by: identity, on: Journey.named(question.order))
            return
        default: return
        }
        begin(act, by: identity, on: version.isEmpty ? call.model : "\(call.model) \(version)")
    }

    private static func named(_ order: GatewayOrder?) -> String {
        guard let order else { return "" }
        if order.token != nil { return "one token" }
        if !order.client.isEmpty { return "client \(order.client)" }
        return order.subject.isEmpty ? "all" : "subject \(order.subject)"
    }
}

/// A call that is answered when new settings are in force or refused, or at its deadline. They are read whether or not somebody
/// waits for it. On the connection's event loop only.
final class ReloadWait: ErrandWait {
    private var alarm: Scheduled<Void>?

    init(_ journey: Journey, by identity: Identity) {
        let loop = journey.visit.eventLoop
        let bound = NIOLoopBound((self, journey), eventLoop: loop)
        let deadline = NIODeadline.uptimeNanoseconds(journey.call.deadline.nanoseconds)
        alarm = loop.scheduleTask(deadline: deadline) {
            bound.value.1.end(.failure(ReloadWait.stillReading))
        }
        let event = AuditEvent(
            act: "config.reload", outcome: .done, issuer: identity.issuer,
            client: identity.client, subject: identity.subject,
            address: journey.visit.peer.address)
        journey.visit.walk.reloader.reload(asked: event) { result in
            loop.execute {
                let (wait, journey) = bound.value
                wait.alarm?.cancel()
                journey.end(result.map { .gateway(.reloaded($0)) })
            }
        }
    }

    func cancel() { alarm?.cancel() }

    private static let stillReading = CallFailure(
        .deadlineExceeded, .deadlinePast,
        "the settings have not been read within the deadline; that goes on")
}
