// The callers' port as sslyze sees it: Mozilla's intermediate profile, and what must never be there.

import Foundation
import Testing

@Suite struct ScannerTests {
    /// The parts of sslyze's JSON that are looked at.
    private struct Report: Decodable {
        struct Server: Decodable {
            var scan_status: String
            var scan_result: Scans
        }
        struct Scan<Result: Decodable>: Decodable {
            var status: String
            var result: Result?
        }
        struct Suites: Decodable {
            struct Accepted: Decodable {
                struct Suite: Decodable { var name: String }
                var cipher_suite: Suite
            }
            var accepted_cipher_suites: [Accepted]
            var names: [String] { accepted_cipher_suites.map(\.cipher_suite.name) }
        }
        struct EarlyData: Decodable { var supports_early_data: Bool }
        struct Compression: Decodable { var supports_compression: Bool }
        struct Renegotiation: Decodable {
            var is_vulnerable_to_client_renegotiation_dos: Bool
            var supports_secure_renegotiation: Bool
        }
        struct Certificates: Decodable {
            struct Deployment: Decodable {
                struct Path: Decodable {
                    struct Store: Decodable { var name: String }
                    var trust_store: Store
                    var was_validation_successful: Bool
                }
                var path_validation_results: [Path]
            }
            var certificate_deployments: [Deployment]
        }
        struct Scans: Decodable {
            var ssl_2_0_cipher_suites: Scan<Suites>
            var ssl_3_0_cipher_suites: Scan<Suites>
            var tls_1_0_cipher_suites: Scan<Suites>
            var tls_1_1_cipher_suites: Scan<Suites>
            var tls_1_2_cipher_suites: Scan<Suites>
            var tls_1_3_cipher_suites: Scan<Suites>
            var tls_1_3_early_data: Scan<EarlyData>
            var tls_compression: Scan<Compression>
            var session_renegotiation: Scan<Renegotiation>
            var certificate_info: Scan<Certificates>
        }
        var server_scan_results: [Server]
    }

    /// sslyze in an environment of its own; made by `scripts/setup --test`, or here.
    private func sslyze(_ arguments: [String]) async throws -> Command {
        let environment = Paths.root.appending(path: ".venv-sslyze").path
        let made = try await Command.run(
            program: Paths.root.appending(path: "scripts/python-environment").path,
            ["Tests/Fixtures/sslyze-requirements.txt", environment], within: 300)
        guard made.status == 0 else { throw TestTrouble("no sslyze: \(made.error)") }
        return try await Command.run(
            program: environment + "/bin/python", ["-m", "sslyze"] + arguments, within: 120)
    }

    @Test func mozillasIntermediateProfileHasNoFinding() async throws {
        try await withAuthority { authority in
            let settings = """
                tls: { certificate: \(authority.path("server.crt")), key: \(authority.path("server.key")) }

                """
            try await withGateway(settings: settings) { gateway in
                let file = authority.path("report.json")
                let scan = try await sslyze([
                    "--mozilla_config=intermediate", "--early_data",
                    "--certinfo_ca_file=\(authority.ca)",
                    "--json_out=\(file)", "localhost:\(gateway.port)",
                ])
                // Its status says whether there was a finding.
                #expect(scan.status == 0, "\(scan.output)")
                #expect(scan.output.contains("OK - Compliant."), "\(scan.output)")
                let report = try JSONDecoder().decode(
                    Report.self, from: Data(contentsOf: URL(filePath: file)))
                let server = try #require(report.server_scan_results.first)
                #expect(server.scan_status == "COMPLETED")
                try check(server.scan_result)
            }
        }
    }

    private func check(_ scans: Report.Scans) throws {
        for old in [
            scans.ssl_2_0_cipher_suites, scans.ssl_3_0_cipher_suites, scans.tls_1_0_cipher_suites,
            scans.tls_1_1_cipher_suites,
        ] { #expect(try #require(old.result).names.isEmpty) }
        let suites = try #require(scans.tls_1_2_cipher_suites.result).names
        #expect(!suites.isEmpty)
        for suite in suites {
            #expect(suite.hasPrefix("TLS_ECDHE_"), "\(suite)")
            #expect(suite.contains("_GCM_") || suite.contains("_CHACHA20_POLY1305_"), "\(suite)")
        }
        #expect(
            Set(try #require(scans.tls_1_3_cipher_suites.result).names) == [
                "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
            ])
        #expect(try #require(scans.tls_1_3_early_data.result).supports_early_data == false)
        #expect(try #require(scans.tls_compression.result).supports_compression == false)
        let renegotiation = try #require(scans.session_renegotiation.result)
        #expect(!renegotiation.is_vulnerable_to_client_renegotiation_dos)
        #expect(renegotiation.supports_secure_renegotiation)
        // A private authority is no finding of the profile: only the stores of browsers do not know it.
        let paths = try #require(scans.certificate_info.result).certificate_deployments
            .flatMap(\.path_validation_results)
        let trusted = paths.filter { $0.trust_store.name.contains("Supplied") }
        #expect(trusted.count == 1 && trusted.allSatisfy(\.was_validation_successful))
    }
}
