// Streams, refusals and cross-origin answers of a real gateway over TLS.

import Foundation
import Testing

@Suite struct HTTPStreamTests {
    private func ask(
        _ method: String, _ path: String, token: String?, _ fields: String = ""
    ) -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n"
            + (token.map { "Authorization: Bearer \($0)\r\n" } ?? "") + "\(fields)\r\n"
    }

    @Test func aColdCallAsEvents() async throws {
        try await withGateway { gateway in
            let token = try await gateway.token()
            let watch = try await RawHTTP.open(to: gateway)
            try await watch.send(ask("GET", "/v2/models/iris/events", token: token))
            try await eventually("the state now") {
                watch.received.contains("\"state\":\"asleep\"")
            }
            let call = try await RawHTTP.open(to: gateway)
            let body =
                "{\"inputs\":[{\"name\":\"X\",\"datatype\":\"FP32\",\"shape\":[1,4],\"data\":[5.1,3.5,1.4,0.2]}]}"
            try await call.send(
                ask(
                    "POST", "/v2/models/iris/infer", token: token,
                    "Accept: text/event-stream\r\nContent-Length: \(body.utf8.count)\r\n") + body)
            try await eventually("the last chunk") { call.received.hasSuffix("0\r\n\r\n") }
            let said = call.received
            #expect(said.contains("content-type: text/event-stream; charset=utf-8\r\n"))
            let order = ["event: progress", "event: message", "event: end"].compactMap {
                said.firstRange(of: $0)?.lowerBound
            }
            #expect(order.count == 3 && order == order.sorted(), "\(said)")
            #expect(said.contains("\"label\"") && said.contains("\"cold\":true"))
            try await eventually("the change") { watch.received.contains("\"state\":\"awake\"") }
            // The connection that had a stream serves on.
            try await call.send(
                ask("GET", "/v2/models/iris", token: token, "Connection: close\r\n"))
            #expect(try await call.end().contains("\"inputs\""))
            // A stopping gateway ends the watch in order.
            #expect(try await gateway.stop() == 0)
            #expect(watch.received.contains("data: {\"reason\":\"stopping\"}"))
            #expect(watch.received.hasSuffix("0\r\n\r\n") && watch.isClosed)
        }
    }

    @Test func largeBodiesAreRefusedByTheirHeads() async throws {
        try await withGateway { gateway in
            let iris = try await gateway.token(scope: "infer:iris", name: "iris")
            let large = "Content-Length: 60000000\r\n"
            for (path, fields, status) in [
                ("/v2/models/nothing/infer", large, "404"),
                ("/v2/models/digits-mlp/infer", large, "404"),
                ("/v2/models/iris/infer", "Content-Length: 99999999\r\n", "413"),
                ("/v2/models/iris/infer", "Content-Type: text/plain\r\n" + large, "415"),
                ("/v2/models/iris/infer", "Accept: image/png\r\n" + large, "406"),
                ("/v2/models/iris/infer", "", "411"),
                ("/v2/models/nothing/infer", large + "Expect: 100-continue\r\n", "404"),
            ] {
                let connection = try await RawHTTP.open(to: gateway)
                try await connection.send(
                    ask("POST", path, token: iris, fields + "Connection: close\r\n"))
                let answer = try await connection.end()
                #expect(answer.hasPrefix("HTTP/1.1 \(status)"), "\(path) \(fields): \(answer)")
                #expect(!answer.contains("100 Continue"))
            }
            let welcome = try await RawHTTP.open(to: gateway)
            try await welcome.send(
                ask(
                    "POST", "/v2/models/iris/infer", token: iris,
                    "Content-Length: 5\r\nExpect: 100-continue\r\n"))
            try await eventually("100") {
                welcome.received == "HTTP/1.1 100 Continue\r\n\r\n"
            }
            try await welcome.send("{\"a\":")
            try await eventually("400") { welcome.received.contains("HTTP/1.1 400") }
        }
    }

    @Test func pagesAndRequestsHaveTheirFields() async throws {
        let settings =
            "cors: { origins: [\"https://app.example\"], max_age: 1m }\nlog: { level: debug, format: json }\n"
        try await withGateway(settings: settings) { gateway in
            let token = try await gateway.token()
            let page = "Origin: https://app.example\r\n"
            let preflight = try await RawHTTP.open(to: gateway)
            try await preflight.send(
                ask(
                    "OPTIONS", "/v2/models/iris/infer", token: nil,
                    page + "Access-Control-Request-Method: POST\r\nConnection: close\r\n"))
            let allowed = try await preflight.end()
            #expect(allowed.hasPrefix("HTTP/1.1 204"))
            #expect(allowed.contains("access-control-allow-methods: POST\r\n"))
            #expect(allowed.contains("access-control-max-age: 60\r\n"))
            let call = try await RawHTTP.open(to: gateway)
            let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
            try await call.send(
                ask(
                    "GET", "/v2/models/iris", token: token,
                    page + "X-Request-Id: order-66\r\nConnection: close\r\n"
                        + "traceparent: 00-\(trace)-00f067aa0ba902b7-01\r\n"))
            let answer = try await call.end()
            #expect(answer.contains("access-control-allow-origin: https://app.example\r\n"))
            #expect(answer.contains("x-request-id: order-66\r\n"))
            #expect(answer.contains("traceparent: 00-\(trace)-"))
            #expect(answer.contains("referrer-policy: no-referrer\r\n"))
            // Told to localhost it would hold for every port there.
            #expect(!answer.contains("strict-transport-security"))
            try await eventually("the log") { gateway.log.contains("order-66") }
            // Who leaves before the answer is written down as 499.
            let gone = try await RawHTTP.open(to: gateway)
            try await gone.send(
                ask(
                    "POST", "/v2/models/iris/infer", token: token,
                    "X-Request-Id: gone\r\nContent-Length: 9\r\n"))
            try await eventually("the head's arrival") { gateway.isRunning }
            try await gone.close()
            try await eventually("499 in the log") {
                gateway.log.split(separator: "\n").contains {
                    $0.contains("\"gone\"") && $0.contains("\"499\"")
                }
            }
        }
    }
}
