// GET /sluice/v1/access and /sluice/v1/models/{model}/access: who a token is, and what it may do. Judged by names alone: a model
// that does not exist is answered as one that does.

import Contract
import NIOCore
import NIOHTTP1
import OpenInference

struct AccessResource: HTTPResource {
    /// What is asked about, and what it is called in the answer.
    static let everywhere: [(name: String, method: Method)] = [
        ("index", .repositoryIndex), ("read", .modelAccount), ("administer", .modelControl),
    ]
    static let ofModel: [(name: String, method: Method)] = [
        ("infer", .infer), ("metadata", .modelMetadata), ("read", .modelAccount),
        ("administer", .modelControl),
    ]

    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        guard let session = exchange.session else {
            preconditionFailure("a route that asks for a token has a session")
        }
        let model = request.captures["model"]
        if let model, ModelName(model) == nil {
            exchange.finish(
                .failure(
                    CallFailure(
                        .notFound, .modelNotFound, "no model can have this name",
                        notStarted: true)))
            return nil
        }
        let inquiry = AccessInquiry(
            model: model ?? "", asked: model == nil ? Self.everywhere : Self.ofModel,
            arrived: request.arrived, session: session
        ) { result in
            switch result {
            case .failure(let failure): exchange.finish(.failure(failure))
            case .success(let reports):
                exchange.finish(
                    HTTPAnswer(status: .ok, text: Self.text(reports, model: model)))
            }
        }
        inquiry.next()
        return inquiry
    }

    private static func text(_ reports: [AccessInquiry.Report], model: String?) -> String {
        guard let first = reports.first?.report else {
            preconditionFailure("something was asked")
        }
        var text = "{"
        if let model { text += "\"model\":" + JSONText.quoted(model) + "," }
        text += "\"issuer\":" + JSONText.quoted(first.issuer)
        text += ",\"client\":" + JSONText.quoted(first.client)
        text += ",\"subject\":" + JSONText.quoted(first.subject)
        text += ",\"scopes\":" + JSONText.array(first.scopes)
        func members(_ value: (AccessReport) -> String) -> String {
            "{"
                + reports.map { "\"\($0.name)\":" + value($0.report) }.joined(separator: ",")
                + "}"
        }
        text += ",\"may\":" + members { $0.allowed ? "true" : "false" }
        text += ",\"why\":" + members { JSONText.quoted($0.why) }
        return text + "}\n"
    }
}

/// One ACCESS_CHECK after the other. On the connection's event loop only.
final class AccessInquiry: CallHandle {
    struct Report {
        var name: String
        var report: AccessReport
    }

    private let model: String
    private var asked: [(name: String, method: Method)]
    private let arrived: Instant
    private let session: any CallerSession
    private let done: (Result<[Report], CallFailure>) -> Void
    private var reports: [Report] = []
    private var call: WalkCall?

    init(
        model: String, asked: [(name: String, method: Method)], arrived: Instant,
        session: any CallerSession, done: @escaping (Result<[Report], CallFailure>) -> Void
    ) {
        self.model = model
        self.asked = asked
        self.arrived = arrived
        self.session = session
        self.done = done
    }

    func next() {
        guard !asked.isEmpty else { return done(.success(reports)) }
        let (name, method) = asked.removeFirst()
        let call = WalkCall { [self] outcome in
            self.call = nil
            switch outcome.result {
            case .success(.access(let report)):
                reports.append(Report(name: name, report: report))
                next()
            case .success: preconditionFailure("an access check is answered by a report")
            case .failure(let failure): done(.failure(failure))
            }
        }
        self.call = call
        call.begin(
            Call(
                method: .accessCheck, model: model, version: "", arrived: arrived,
                deadline: arrived + .seconds(10),
                body: QuestionBody(Question(checked: method))), by: session)
    }

    func cancel() {
        call?.cancel()
        call = nil
    }
}

@available(*, unavailable) extension AccessInquiry: Sendable {}
