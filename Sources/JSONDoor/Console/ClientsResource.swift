// GET /sluice/v1/clients: what clients have used of their plans, and what is left, for those who administer every model.

import Contract
import NIOCore
import NIOHTTP1
import OpenInference

struct ClientsResource: HTTPResource {
    /// More are not told at once; `total` says how many there are.
    static let most = 200

    let desk: any StandingsDesk

    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        guard let session = exchange.session else {
            preconditionFailure("a route that asks for a token has a session")
        }
        let asked: [(name: String, method: Method)] = [("administer", .modelControl)]
        let inquiry = AccessInquiry(
            model: "", asked: asked, arrived: request.arrived, session: session
        ) { result in
            switch result {
            case .failure(let failure): exchange.finish(.failure(failure))
            case .success(let reports):
                guard let report = reports.first?.report, report.allowed else {
                    return exchange.finish(.failure(Self.forbidden))
                }
                desk.standings(most: Self.most, on: exchange.eventLoop) { result in
                    switch result {
                    case .failure(let failure): exchange.finish(.failure(failure))
                    case .success(let standings):
                        exchange.finish(
                            HTTPAnswer(status: .ok, text: StandingsJSON.text(standings)))
                    }
                }
            }
        }
        inquiry.next()
        return inquiry
    }

    private static let forbidden = CallFailure(
        .permissionDenied, .scopeMissing,
        "clients and their plans are for those who administer every model: the token lacks the scope models:admin",
        notStarted: true)
}

/// Standings as JSON.
enum StandingsJSON {
    static func text(_ standings: ClientStandings) -> String {
        let clients = standings.clients.map { client in
            "{\"issuer\":" + JSONText.quoted(client.issuer) + ",\"client\":"
                + JSONText.quoted(client.client) + ",\"plan\":" + JSONText.quoted(client.plan)
                + ",\"measures\":" + measures(client.measures) + ",\"models\":["
                + client.models.map { model in
                    "{\"model\":" + JSONText.quoted(model.model) + ",\"measures\":"
                        + measures(model.measures) + "}"
                }.joined(separator: ",") + "]}"
        }
        return "{\"total\":\(standings.total),\"clients\":[" + clients.joined(separator: ",")
            + "]}\n"
    }

    private static func measures(_ measures: [Measure]) -> String {
        let members = measures.map { measure in
            var text = "\"\(measure.kind.rawValue)\":{\"used\":" + number(measure.used)
            if let limit = measure.limit { text += ",\"limit\":" + number(limit) }
            if let reset = measure.resetSeconds { text += ",\"reset_s\":\(reset)" }
            return text + "}"
        }
        return "{" + members.joined(separator: ",") + "}"
    }

    /// Whole numbers without a point; counts beyond 2^53 lose their last digits, as in any JSON reader.
    private static func number(_ value: Double) -> String {
        value == value.rounded() && abs(value) < 9e15 ? String(Int64(value)) : String(value)
    }
}
