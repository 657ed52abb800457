// The code of the article "Getting started", compiled. GettingStartedTests holds both against each other: a
// block of the article stands here word for word, indented as its place asks.

import Logging
import ServiceLifecycle
import SluiceClient
import UnixSignals

/// Not called: these functions show that the article compiles.
enum GettingStarted {
    static func oneCall() async throws {
        try await withSluiceClient(endpoint: "localhost:8443") { client in
            let flower = try Tensor("X", rows: [[5.1, 3.5, 1.4, 0.2]] as [[Float]])
            let inference = try await client.infer("iris", inputs: [flower])
            print(try inference.output("label").values(as: Int64.self))
        }
    }

    static func trustAndTokens() throws {
        var configuration = SluiceClient.Configuration()
        configuration.security = .tls(.init(trust: .file("/var/lib/sluice/tls/cert.pem")))
        configuration.token = .token("0123456789abcdef")
        let client = try SluiceClient(endpoint: "ml.example.com:8443", configuration: configuration)
        _ = client
        configuration.token = .provider {
            try await fetchToken()
        }
    }

    static func fetchToken() async throws -> String { "" }

    static func tensors(_ client: SluiceClient, _ inference: Inference) async throws {
        let pixels = try Tensor("image", shape: [1, 28, 28], [Float](repeating: 0, count: 784))
        let cities = try Tensor("city", ["Bonn", "Mainz"])
        let counts = try Tensor("count", shape: [2, 1], [3, 4] as [Int64])
        _ = (pixels, cities, counts)

        let probabilities = try inference.output("probabilities").rows(as: Float.self)
        for row in probabilities {
            print(row.max() ?? 0)
        }

        let metadata = try await client.metadata(of: "iris")
        for input in metadata.inputs {
            print(input.name, input.datatype, input.shape)
        }
    }

    static func manyCalls(_ client: SluiceClient, _ flowers: [Tensor]) async throws -> [Int64] {
        let labels = try await withThrowingTaskGroup(of: [Int64].self) { group in
            for flower in flowers {
                group.addTask {
                    try await client.infer("iris", inputs: [flower], outputs: ["label"])
                        .output("label").values()
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        return labels
    }

    static func time(_ client: SluiceClient, _ digits: Tensor) async throws {
        let inference = try await client.infer(
            "digits-forest", inputs: [digits], timeout: .seconds(30),
            onProgress: { progress in print("waking: \(progress.state)") })
        print(inference.timing.run, inference.timing.isCold)
    }

    static func traced(_ client: SluiceClient, _ flower: Tensor) async throws -> Inference {
        var options = CallOptions()
        options.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let inference = try await client.infer("iris", inputs: [flower], options: options)
        return inference
    }

    static func errors(_ client: SluiceClient, _ flower: Tensor) async {
        do {
            _ = try await client.infer("iris", inputs: [flower])
        } catch let error where error.code == .notFound {
            print("There is no such model, or it is not for us.")
        } catch let error where error.code == .resourceExhausted {
            print("Too much at once; try again after \(error.retryAfter ?? .seconds(1)).")
        } catch {
            print(error)
        }
    }

    static func service(_ client: SluiceClient, _ logger: Logger) async throws {
        let group = ServiceGroup(
            services: [client], gracefulShutdownSignals: [.sigterm], logger: logger)
        try await group.run()
    }
}
