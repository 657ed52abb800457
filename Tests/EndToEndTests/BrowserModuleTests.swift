// /sluice.js as a page would use it: Node runs the very file the gateway serves, and every example of docs/browser.md.

import Foundation
import Testing

@Suite struct BrowserModuleTests {
    /// The models of the repository, and one that gives back what it takes for each element type.
    private func withModels(_ body: (TestGateway, [String: String]) async throws -> Void)
        async throws
    {
        try await withTemporaryFolder { folder in
            let files = FileManager.default
            for name in ["iris", "digits-mlp"] {
                try files.copyItem(
                    atPath: "\(Paths.models)/\(name)", toPath: folder.appending(path: name).path)
            }
            let fixtures = "\(Paths.fixtures)/models"
            for file in try files.contentsOfDirectory(atPath: fixtures)
            where file.hasPrefix("identity-") {
                let version = folder.appending(path: "\(file.dropLast(5))/1")
                try files.createDirectory(at: version, withIntermediateDirectories: true)
                try files.copyItem(
                    atPath: "\(fixtures)/\(file)",
                    toPath: version.appending(path: "model.onnx").path)
            }
            try await withGateway(models: folder.path) { gateway in
                let module = gateway.folder.appending(path: "sluice.mjs").path
                let got = try await Command.run(
                    program: "/usr/bin/curl",
                    [
                        "-sS", "--cacert", gateway.ca, "-o", module,
                        "https://localhost:\(gateway.port)/sluice.js",
                    ])
                #expect(got.status == 0, "\(got.error)")
                let environment = [
                    "SLUICE_MODULE": module, "SLUICE_URL": "https://localhost:\(gateway.port)",
                    "SLUICE_TOKEN": try await gateway.token(), "NODE_EXTRA_CA_CERTS": gateway.ca,
                ]
                try await body(gateway, environment)
            }
        }
    }

    @Test func nodeUsesEverythingOfIt() async throws {
        try await withModels { _, environment in
            let run = try await Command.run(
                program: "/usr/bin/env",
                ["node", "--test", "\(Paths.fixtures)/browser/sluice.test.mjs"],
                environment: environment, within: 120)
            #expect(run.status == 0, "\(run.output.suffix(8_000))\n\(run.error.suffix(2_000))")
            #expect(run.output.contains(#/pass 1\d\b/#) && run.output.contains("fail 0"))
        }
    }

    /// What a line's comment says it prints, it prints.
    @Test func theExamplesOfTheDocumentation() async throws {
        let text = try String(
            contentsOf: Paths.root.appending(path: "docs/browser.md"), encoding: .utf8)
        let examples = text.matches(of: #/```js\n(.*?)```/#.dotMatchesNewlines()).map {
            String($0.1)
        }
        #expect(examples.count >= 6)
        try await withModels { gateway, environment in
            let module = try #require(environment["SLUICE_MODULE"])
            for (number, example) in examples.enumerated() {
                let file = gateway.folder.appending(path: "example-\(number).mjs")
                let code = example.replacing("https://localhost:8443/sluice.js", with: module)
                    .replacing("https://localhost:8443", with: "https://localhost:\(gateway.port)")
                try ("const token = process.env.SLUICE_TOKEN;\n" + code)
                    .write(to: file, atomically: true, encoding: .utf8)
                let run = try await Command.run(
                    program: "/usr/bin/env", ["node", file.path], environment: environment)
                #expect(run.status == 0, "\(example)\n\(run.error)")
                let promised = example.matches(of: #/console\.log\(.*?\); // (.+)/#).map {
                    // A remark may follow what is printed.
                    String($0.1).split(separator: ":", maxSplits: 1)[0]
                }
                for line in promised {
                    #expect(
                        run.output.split(separator: "\n").contains { $0 == line },
                        "\(line) in \(run.output) of\n\(example)")
                }
            }
        }
    }

    @Test func pagesOfAllowedOriginsMayImportIt() async throws {
        try await withGateway(settings: "cors: { origins: [\"https://app.example\"] }\n") {
            gateway in
            func ask(_ origin: String, _ more: String = "") async throws -> String {
                let connection = try await RawHTTP.open(to: gateway)
                try await connection.send(
                    "GET /sluice.js HTTP/1.1\r\nHost: localhost\r\nOrigin: \(origin)\r\n\(more)"
                        + "Connection: close\r\n\r\n")
                return try await connection.end()
            }
            let page = try await ask("https://app.example")
            #expect(page.hasPrefix("HTTP/1.1 200") && page.contains("export class Sluice "))
            #expect(page.contains("content-type: text/javascript; charset=utf-8\r\n"))
            #expect(page.contains("access-control-allow-origin: https://app.example\r\n"))
            #expect(!(try await ask("https://evil.example")).contains("access-control-"))
            let tag = try #require(page.firstMatch(of: #/\r\netag: ("[^"]+")\r\n/#)?.1)
            let known = try await ask("https://app.example", "If-None-Match: \(tag)\r\n")
            #expect(known.hasPrefix("HTTP/1.1 304") && !known.contains("export"))
        }
    }
}
