// What of the walk is written into the audit log: every refusal at the gate, and every administrative act when it has ended.

import Admission
import Contract

extension Visit {
    /// Writes down that somebody was not let in. What is nobody's refusal (an issuer that is down, a deadline, a cancel) is not
    /// one.
    func noteRefusal(
        _ failure: CallFailure, of act: String, object: String = "", identity: Identity? = nil
    ) {
        switch failure.code {
        case .unauthenticated, .permissionDenied, .resourceExhausted: break
        // At the gate: a model that this caller may not know.
        case .notFound: break
        default: return
        }
        walk.audit.note(
            AuditEvent(
                act: act, outcome: .refused, issuer: identity?.issuer ?? "",
                client: identity?.client ?? "", subject: identity?.subject ?? "",
                address: peer.address, object: object, detail: failure.reason.rawValue,
                rule: failure.rule))
    }
}

extension Journey {
    /// The beginning of an administrative act by `identity`.
    func begin(_ act: String, by identity: Identity, on object: String) {
        self.act = AuditEvent(
            act: act, outcome: .done, issuer: identity.issuer, client: identity.client,
            subject: identity.subject, address: visit.peer.address, object: object)
    }

    /// Called at the call's one exit.
    func noteAct(_ result: Result<Answer, CallFailure>) {
        guard var event = act else { return }
        act = nil
        switch result {
        case .success(.alias(let change)):
            event.detail =
                "\(change.was.isEmpty ? "none" : change.was) -> "
                + (change.now.isEmpty ? "none" : change.now)
        case .success(.gateway(.purged(let count))): event.detail = "\(count) forgotten"
        case .success: break
        case .failure(let failure):
            event.outcome = .failed
            event.detail = failure.reason.rawValue
        }
        visit.walk.audit.note(event)
    }
}

extension Method {
    /// As the audit log names it.
    var auditName: String { name }
}
