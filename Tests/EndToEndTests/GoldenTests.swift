// Every golden case of every model through the whole gateway: scikit-learn's answers are what callers get.

import Foundation
import SluiceClient
import Testing

@Suite struct GoldenTests {
    struct Manifest: Decodable {
        struct Golden: Decodable {
            var inputs: [GoldenTensor]
            var outputs: [GoldenTensor]
            var tolerance: Double
        }
        var name: String
        var golden: [Golden]
    }

    struct GoldenTensor: Decodable {
        enum Data: Decodable {
            case numbers([Double])
            case words([String])

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let numbers = try? container.decode([Double].self) {
                    self = .numbers(numbers)
                } else {
                    self = .words(try container.decode([String].self))
                }
            }
        }
        var name: String
        var datatype: String
        var shape: [Int]
        var data: Data

        var tensor: Tensor {
            get throws {
                switch (datatype, data) {
                case ("FP32", .numbers(let numbers)):
                    return try Tensor(name, shape: shape, numbers.map { Float($0) })
                case ("INT64", .numbers(let numbers)):
                    return try Tensor(name, shape: shape, numbers.map { Int64($0) })
                case ("BYTES", .words(let words)): return try Tensor(name, shape: shape, words)
                default: throw TestTrouble("\(name): no \(datatype) in golden cases")
                }
            }
        }
    }

    static let names = [
        "iris", "digits-forest", "digits-mlp", "breast-cancer-boosting", "diabetes-forest",
        "wine-pipeline",
    ]

    @Test func everyModelAnswersAsScikitLearnDoes() async throws {
        try await withGateway { gateway in
            try await gateway.withClient { client in
                for name in Self.names {
                    let manifest = try Self.manifest(name)
                    #expect(manifest.golden.count >= 2, "\(name) has golden cases")
                    for golden in manifest.golden {
                        let answer = try await client.infer(
                            name, inputs: try golden.inputs.map { try $0.tensor })
                        #expect(answer.outputs.map(\.name) == golden.outputs.map(\.name))
                        for (output, expected) in zip(answer.outputs, golden.outputs) {
                            try Self.compare(output, expected, golden.tolerance, model: name)
                        }
                    }
                }
            }
        }
    }

    private static func manifest(_ name: String) throws -> Manifest {
        let file = URL(filePath: Paths.models).appending(path: "\(name)/1/manifest.json")
        return try JSONDecoder().decode(Manifest.self, from: Data(contentsOf: file))
    }

    private static func compare(
        _ output: Tensor, _ expected: GoldenTensor, _ tolerance: Double, model: String
    ) throws {
        #expect(output.shape == expected.shape, "\(model) \(output.name)")
        #expect(output.datatype.rawValue == expected.datatype, "\(model) \(output.name)")
        guard case .numbers(let numbers) = expected.data else {
            throw TestTrouble("\(model) \(output.name): golden outputs are numbers")
        }
        if output.datatype == .int64 {
            #expect(try output.values(as: Int64.self) == numbers.map { Int64($0) })
            return
        }
        for (actual, wanted) in zip(try output.values(as: Float.self), numbers) {
            let difference = abs(Double(actual) - wanted) / max(1, abs(wanted))
            #expect(difference <= tolerance, "\(model) \(output.name): \(actual), not \(wanted)")
        }
    }

    @Test func theManifestsCoverEveryModelThatIsCommitted() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Paths.models)
            .filter { FileManager.default.fileExists(atPath: "\(Paths.models)/\($0)/1") }
        #expect(Set(folders) == Set(Self.names))
    }
}
