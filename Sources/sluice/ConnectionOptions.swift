// The options of every command that talks to a running gateway.

import ArgumentParser
import Foundation
import SluiceClient

struct ConnectionOptions: ParsableArguments {
    @Option(help: "The gateway's address.")
    var endpoint = "127.0.0.1:8443"

    @Option(
        help: ArgumentHelp(
            """
            Certificates to trust, a PEM file; for a gateway with its own certificate that is \
            STATE/tls/cert.pem. Without it: what the system trusts.
            """,
            valueName: "file"))
    var ca: String?

    @Option(
        help: ArgumentHelp(
            "A file holding the token. Without it: the environment variable SLUICE_TOKEN.",
            valueName: "file"))
    var tokenFile: String?

    @Option(
        help: ArgumentHelp(
            "How long the call may take, in seconds.", valueName: "seconds"))
    var timeout = 60.0

    func validate() throws {
        guard timeout > 0, timeout <= 3_600 else {
            throw ValidationError(
                "--timeout is \(timeout); allowed is more than 0 and at most 3600.")
        }
    }

    /// The token, without the line break an editor leaves behind.
    func token() throws -> String {
        guard let tokenFile else {
            guard let token = ProcessInfo.processInfo.environment["SLUICE_TOKEN"], !token.isEmpty
            else {
                throw CommandFailure(
                    .permission,
                    "no token: give --token-file FILE or set SLUICE_TOKEN "
                        + "(`sluice token create --name me` makes one)")
            }
            return token
        }
        return try ConnectionOptions.readToken(tokenFile)
    }

    static func readToken(_ file: String) throws -> String {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw CommandFailure(.permission, "cannot read the token file \(file)")
        }
        let token = String(decoding: data, as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        guard !token.isEmpty else {
            throw CommandFailure(.permission, "the token file \(file) is empty")
        }
        return token
    }

    func configuration() throws -> SluiceClient.Configuration {
        if let ca, !FileManager.default.isReadableFile(atPath: ca) {
            throw CommandFailure(
                .configuration, "cannot read the certificates to trust, --ca \(ca)")
        }
        var configuration = SluiceClient.Configuration(
            security: .tls(.init(trust: ca.map { .file($0) } ?? .system)),
            token: .token(try token()))
        configuration.callTimeout = .seconds(timeout)
        configuration.connectTimeout = .seconds(min(10, timeout))
        configuration.userAgent = "sluice/\(Sluice.version)"
        return configuration
    }

    /// Runs `body` with a client and closes it whatever happens.
    func withClient<Outcome>(
        _ body: (SluiceClient) async throws -> Outcome
    ) async throws -> Outcome {
        try await withSluiceClient(
            endpoint: try Endpoint(endpoint), configuration: try configuration(), body)
    }
}
