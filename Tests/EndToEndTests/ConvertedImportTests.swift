// Models of Python, imported, served and called: a caller gets what the original answers. One test, because training and
// the converters' start take seconds each; it trains in the environment that the import prepares (scripts/setup --test
// makes it beforehand).

import Foundation
import SluiceClient
import Testing

@Suite struct ConvertedImportTests {
    struct Answers: Decodable {
        struct Customers: Decodable {
            struct Rows: Decodable {
                var age: [Float]
                var income: [Float]
                var city: [String]
            }
            var rows: Rows
            var labels: [String]
            var probabilities: [[Float]]
        }
        struct Flowers: Decodable {
            var rows: [[Float]]
            var xgboost: [[Float]]
            var lightgbm: [[Float]]
        }
        var customers: Customers
        var flowers: Flowers
    }

    private struct Labelled: Decodable {
        struct Signature: Decodable {
            struct Output: Decodable { var labels: [String]? }
            var outputs: [Output]
        }
        var signature: Signature
    }

    @Test func modelsOfPythonAnswerAsTheirOriginals() async throws {
        try await withTemporaryFolder { folder in
            let models = folder.appending(path: "models")
            let python = try await Self.python(folder, models)
            let trained = try await Command.run(
                program: python, ["\(Paths.fixtures)/make_pickles.py", folder.path], within: 120)
            guard trained.status == 0 else { throw TestTrouble(trained.error) }
            let answers = try JSONDecoder().decode(
                Answers.self, from: Data(contentsOf: folder.appending(path: "answers.json")))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await Self.importAll(folder, models) }
                group.addTask { try await Self.refuseAll(folder, models) }
                try await group.waitForAll()
            }
            #expect(try ImportTests.names(models) == ["customers", "extreme", "light", "older"])
            try await withGateway(models: models.path) { gateway in
                try await gateway.withClient { client in
                    try await Self.ask(client, answers.customers)
                    try await Self.ask(client, answers.flowers)
                }
            }
        }
    }

    /// A pickle whose class is missing is refused, and on the way the environment is there.
    private static func python(_ folder: URL, _ models: URL) async throws -> String {
        let file = folder.appending(path: "stranger.pkl")
        try Data("cmy_company.models\nChurn\n)\u{81}.".unicodeScalars.map { UInt8($0.value) })
            .write(to: file)
        let refused = try await Command.run(
            "models", "import", file.path, "--name", "stranger", "--models", models.path,
            within: 600)
        #expect(refused.status == 65)
        #expect(refused.error.contains("module 'my_company'"), "\(refused.error)")
        guard
            let shown = refused.error.firstMatch(of: #/environment +(?:made, )?(/\S+/bin/python)/#)
        else { throw TestTrouble("no environment is shown: \(refused.error)") }
        return String(shown.1)
    }

    private static func importAll(_ folder: URL, _ models: URL) async throws {
        let wanted = [
            ("customers.joblib", "customers", "scikit-learn"),
            ("flowers.json", "extreme", "XGBoost"),
            ("flowers.txt", "light", "LightGBM"),
        ]
        for (file, name, framework) in wanted {
            let report = try ImportTests.Report.of(
                try await Command.run(
                    "models", "import", folder.appending(path: file).path, "--name", name,
                    "--models", models.path, "--json", within: 120))
            #expect(report.origin["framework"]?.hasPrefix(framework) == true)
            #expect(report.golden == 2)
            let parity = try #require(report.parity)
            #expect(parity.rows > 100)
            #expect(parity.outputs.map(\.output) == ["label", "probabilities"])
            #expect(parity.outputs.allSatisfy { ($0.relative ?? 1) < 1e-5 }, "\(parity)")
            let holds = try await Command.run(
                "models", "verify", name, "--models", models.path, "--json")
            #expect(holds.status == 0 && holds.output.contains("\"golden\":2"), "\(holds.error)")
            // Classes with names are labels; numbers from 0 on say nothing that the place does not.
            let manifest = try Data(
                contentsOf: models.appending(path: "\(name)/1/manifest.json"))
            let labels = try JSONDecoder().decode(Labelled.self, from: manifest).signature.outputs
                .map(\.labels)
            #expect(labels == [nil, name == "customers" ? ["no", "yes"] : nil], "\(name)")
        }
    }

    /// A pickle of another scikit-learn is imported with a word about it; rows of one's own are compared.
    private static func importOlder(_ folder: URL, _ models: URL) async throws {
        let report = try ImportTests.Report.of(
            try await Command.run(
                "models", "import", folder.appending(path: "older.pkl").path, "--name", "older",
                "--rows", folder.appending(path: "rows.npy").path, "--models", models.path,
                "--json", within: 120))
        #expect(report.parity?.rows == 40)
        #expect(report.notes.contains { $0.contains("written by scikit-learn 1.8.0") })
    }

    private static func refuseAll(_ folder: URL, _ models: URL) async throws {
        try await importOlder(folder, models)
        let strict = try await Command.run(
            "models", "import", folder.appending(path: "flowers.txt").path, "--name", "refused",
            "--tolerance", "1e-15", "--models", models.path, within: 120)
        #expect(strict.status == 65)
        #expect(strict.error.contains("output 'probabilities' is off by"), "\(strict.error)")
        let cases = [
            ("dictionary.pkl", "builtins.dict, which is no model"),
            ("centroid.pkl", "NearestCentroid has no converter to ONNX: KNeighborsClassifier"),
            ("truncated.pkl", "no pickle, or damaged"),
        ]
        for (file, words) in cases {
            let refused = try await Command.run(
                "models", "import", folder.appending(path: file).path, "--name", "refused",
                "--models", models.path, within: 120)
            #expect(refused.status == 65)
            #expect(refused.error.contains(words), "\(file): \(refused.error)")
        }
    }

    private static func ask(
        _ client: SluiceClient, _ customers: Answers.Customers
    ) async throws {
        let rows = customers.rows
        let answer = try await client.infer(
            "customers",
            inputs: [
                Tensor("age", shape: [rows.age.count, 1], rows.age),
                Tensor("income", shape: [rows.income.count, 1], rows.income),
                Tensor("city", shape: [rows.city.count, 1], rows.city),
            ])
        #expect(
            try answer.output("label").blobs().map { String(decoding: $0, as: UTF8.self) }
                == customers.labels)
        try expectNear(answer, customers.probabilities)
    }

    private static func ask(_ client: SluiceClient, _ flowers: Answers.Flowers) async throws {
        let rows = try Tensor("X", rows: flowers.rows)
        try expectNear(
            try await client.infer("extreme", inputs: [rows]), flowers.xgboost)
        try expectNear(try await client.infer("light", inputs: [rows]), flowers.lightgbm)
    }

    private static func expectNear(_ answer: Inference, _ right: [[Float]]) throws {
        let got = try answer.output("probabilities").values(as: Float.self)
        let expected = right.flatMap { $0 }
        #expect(got.count == expected.count)
        #expect(zip(got, expected).allSatisfy { abs($0 - $1) < 1e-5 })
    }
}
