// GET /metrics on the admin port: written on a thread that may take its time, in the format the scraper reads.

import Contract
import JSONDoor
import NIOCore
import NIOHTTP1
import NIOPosix
import Telemetry

struct MetricsResource: HTTPResource {
    static let openMetrics = "application/openmetrics-text"

    let desk: MetricsDesk

    static func route(_ desk: MetricsDesk) -> Route {
        Route(.GET, "/metrics", resource: MetricsResource(desk: desk))
    }

    func begin(_ request: HTTPRequest, _ exchange: HTTPExchange) -> (any CallHandle)? {
        let format = MetricsResource.format(accept: request.field(.accept) ?? "")
        let loop = exchange.eventLoop
        let bound = NIOLoopBound(exchange, eventLoop: loop)
        desk.settle(on: loop).whenComplete { [desk] _ in
            NIOThreadPool.singleton.submit { work in
                let page = work == .active ? desk.page(format) : nil
                let answer = page.map {
                    HTTPAnswer(status: .ok, contentType: format.contentType, body: $0)
                }
                loop.execute { bound.value.finish(answer ?? MetricsResource.busy) }
            }
        }
        return nil
    }

    /// OpenMetrics for those who name it and do not like the other better; what nobody asked for is Prometheus' text.
    static func format(accept: String) -> MetricPage.Format {
        let accepted = AcceptedTypes(accept)
        guard let wish = accepted.named(openMetrics), wish > 0 else { return .prometheus }
        return wish >= accepted.named("text/plain") ?? 0 ? .openMetrics : .prometheus
    }

    private static var busy: HTTPAnswer {
        var answer = HTTPAnswer.error(
            .serviceUnavailable, "pages of metrics are being written already",
            code: StatusCode.unavailable.name)
        answer.fields.append(HTTPAnswer.retryAfter(.seconds(1)))
        return answer
    }
}
