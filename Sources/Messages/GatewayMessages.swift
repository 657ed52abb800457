// GATEWAY_CONTROL and ACCESS_CHECK on the wire, both ways. The way out is the door's last step, the way in is for tests and
// tools.

import CMessages
import CProtobufC
import Contract
import NIOCore

extension Question {
    static func order(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Question {
        try unsafe withMessage(
            Sluice__V1__GatewayControlRequest.self, message, bounds, rules: []
        ) { request throws(MessageFault) in
            let number = unsafe request.action.rawValue
            guard number != 0 else {
                throw MessageFault(.malformed, "a GatewayControlRequest needs an action")
            }
            guard let action = GatewayOrder.Action(rawValue: number) else {
                throw MessageFault(.unsupported, "action \(number) is unknown")
            }
            let token = unsafe text(request.token)
            let order = unsafe GatewayOrder(
                action, subject: text(request.subject), client: text(request.client),
                token: token.isEmpty ? nil : Secret(token))
            let selectors = [!order.subject.isEmpty, !order.client.isEmpty, order.token != nil]
            let named = selectors.count { $0 }
            guard named <= (action == .purgeTokens ? 1 : 0) else {
                throw MessageFault(
                    .malformed,
                    "a GatewayControlRequest names at most one of subject, client and token, and only "
                        + "with PURGE_TOKENS")
            }
            return Question(order: order)
        }
    }

    static func accessCheck(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Question {
        try unsafe withMessage(
            Sluice__V1__AccessCheckRequest.self, message, bounds, rules: []
        ) { request throws(MessageFault) in
            let number = unsafe request.method.rawValue
            guard let method = number == 0 ? .infer : Method(rawValue: number) else {
                throw MessageFault(.unsupported, "method \(number) is unknown")
            }
            return Question(checked: method)
        }
    }
}

extension AnswerEncoder {
    static func encode(_ report: GatewayReport, into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__GatewayControlResponse.self) { message in
            switch report {
            case .purged(let count):
                unsafe message.purged = count
            case .reloaded(let changes):
                unsafe message.n_changes = changes.count
                unsafe message.changes = arena.list(changes) { change in
                    unsafe arena.make(Sluice__V1__SettingChange.self) { entry in
                        unsafe entry.key = arena.text(change.key)
                        unsafe entry.was = arena.text(change.was)
                        unsafe entry.now = arena.text(change.now)
                    }
                }
            }
        }
        unsafe arena.pack(message, into: &buffer)
    }

    static func encode(_ report: AccessReport, into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__AccessCheckResponse.self) { message in
            unsafe message.allowed = report.allowed ? 1 : 0
            unsafe message.rule = arena.text(report.rule)
            unsafe message.plan = arena.text(report.plan)
            unsafe message.why = arena.text(report.why)
            unsafe message.issuer = arena.text(report.issuer)
            unsafe message.client = arena.text(report.client)
            unsafe message.subject = arena.text(report.subject)
            unsafe message.n_scopes = report.scopes.count
            unsafe message.scopes = arena.list(report.scopes) { unsafe arena.text($0) }
        }
        unsafe arena.pack(message, into: &buffer)
    }
}

extension AnswerDecoder {
    /// The answer to a purge that found nothing is the same as that to a reload that changed nothing.
    static func gateway(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Answer {
        try unsafe withMessage(
            Sluice__V1__GatewayControlResponse.self, message, bounds, rules: []
        ) { message throws(MessageFault) in
            guard unsafe message.purged == 0 else {
                return unsafe .gateway(.purged(message.purged))
            }
            var changes: [SettingChange] = []
            for index in unsafe 0..<message.n_changes {
                guard let change = unsafe message.changes[index]?.pointee else { continue }
                unsafe changes.append(
                    SettingChange(
                        key: text(change.key), was: text(change.was), now: text(change.now)))
            }
            return .gateway(.reloaded(changes))
        }
    }

    static func access(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Answer {
        try unsafe withMessage(
            Sluice__V1__AccessCheckResponse.self, message, bounds, rules: []
        ) { message throws(MessageFault) in
            unsafe .access(
                AccessReport(
                    allowed: message.allowed != 0, rule: text(message.rule),
                    plan: text(message.plan), why: text(message.why), issuer: text(message.issuer),
                    client: text(message.client), subject: text(message.subject),
                    scopes: texts(message.scopes, count: message.n_scopes)))
        }
    }
}
