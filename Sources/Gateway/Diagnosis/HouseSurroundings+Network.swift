// Those that a gateway asks or that ask it, for `sluice doctor`: issuers, the models' store, clocks, ports.

package import Checkup
import Contract
import Foundation
import Logging
import NIOCore
import NIOPosix
import Outside

extension HouseSurroundings {
    /// Of one look at a server that is nobody's only source.
    private static let probeTime = TimeAmount.seconds(2)
    private static var silent: Logger {
        Logger(label: "sluice.doctor") { _ in SwiftLogNoOpLogHandler() }
    }

    // MARK: - Issuers and the store

    package func ask(issuer name: String) async throws -> String {
        guard let issuer = settings.auth.issuers.first(where: { $0.name == name }) else {
            throw CheckTrouble("there is no issuer \(name)")
        }
        let mend =
            "Start it, or mend auth.issuers.\(name): its address, ca, client_id and secret; until "
            + "then its tokens are refused"
        do {
            switch issuer.kind {
            case .embedded: return "the gateway itself"
            case .introspection:
                let client = try await IntrospectionClient.open(
                    IntrospectionSettings(issuer), group: group, logger: Self.silent)
                do {
                    try await client.probe()
                } catch {
                    try await client.close()
                    throw error
                }
                try await client.close()
                return "\(Self.host(issuer.url)) answers and accepts this gateway"
            case .jwks:
                let count = try await JWKSSettings(issuer).probe(group: group)
                return "\(count) keys of \(Self.host(issuer.issuer ?? ""))"
            }
        } catch let trouble as IssuerTrouble {
            throw CheckTrouble("\(name): \(trouble.why)", mend: mend)
        } catch let error as GatewayError {
            throw CheckTrouble(error.message, mend: error.mend.isEmpty ? mend : error.mend)
        }
    }

    /// Of an address the part that can hold no secret.
    private static func host(_ url: String) -> String {
        guard let parts = URLComponents(string: url), let host = parts.host else { return "it" }
        return parts.port.map { "\(host):\($0)" } ?? host
    }

    package func askStore() async throws -> String {
        let mend =
            "Check models.s3.endpoint, its keys and the bucket's name; until then no model is "
            + "fetched"
        let store: ObjectStore
        do throws(GatewayError) {
            store = try settings.models.openStore(
                environment: environment, group: group, logger: Self.silent)
        } catch {
            throw CheckTrouble(error.message, mend: error.mend.isEmpty ? mend : error.mend)
        }
        do {
            let location = store.settings.location
            let prefix = location.prefix.isEmpty ? "" : location.prefix + "/"
            let count = try await store.list(prefix: prefix).count
            try await store.close()
            return "\(count) objects in \(location)"
        } catch {
            try await store.close()
            guard let trouble = error as? StoreTrouble else { throw error }
            throw CheckTrouble(trouble.why, mend: mend)
        }
    }

    // MARK: - The time

    package func clocks() async throws -> [ClockReading] {
        let group = group
        return await withTaskGroup(of: ClockReading?.self) { looks in
            for (who, url) in timekeepers {
                looks.addTask {
                    // Who cannot be reached says nothing of the time; other checks tell that.
                    guard
                        let probe = try? await ServerProbe.get(
                            url, timeout: Self.probeTime, group: group), let theirs = probe.date
                    else { return nil }
                    return ClockReading(
                        who: who, theirs: theirs, ours: Int64(Date().timeIntervalSince1970))
                }
            }
            return await looks.reduce(into: []) { if let reading = $1 { $0.append(reading) } }
        }
    }

    private var timekeepers: [(who: String, url: String)] {
        var keepers: [(String, String)] = settings.auth.issuers.compactMap { issuer in
            switch issuer.kind {
            case .embedded: nil
            case .introspection: ("issuer \(issuer.name)", issuer.url)
            case .jwks:
                (issuer.keysURL ?? issuer.issuer).map { ("issuer \(issuer.name)", $0) }
            }
        }
        if settings.models.isBucket {
            let bucket = settings.models.bucket
            let endpoint =
                bucket.endpoint.flatMap { StoreEndpoint($0) }
                ?? StoreEndpoint.amazon(region: bucket.region)
            if let endpoint { keepers.append(("store", "\(endpoint)")) }
        }
        return keepers
    }

    // MARK: - Ports

    package func port(at place: String) async throws -> PortFact {
        guard let endpoint = Endpoint(place) else { return .impossible("it is no HOST:PORT") }
        guard endpoint.port > 0 else { return .free }
        do {
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .bind(host: endpoint.host, port: endpoint.port).get()
            try await channel.close()
            return .free
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            return await occupant(of: endpoint)
        } catch let error as IOError where error.errnoCode == EACCES {
            return .impossible("ports below 1024 need the right CAP_NET_BIND_SERVICE")
        } catch let error as IOError where error.errnoCode == EADDRNOTAVAIL {
            return .impossible("the address is not this machine's")
        } catch {
            return .impossible("\(error)")
        }
    }

    /// A gateway says that it is one to anybody: the callers' port by what it asks for, the operator's by its probe, and
    /// there its version too.
    private func occupant(of endpoint: Endpoint) async -> PortFact {
        var there = endpoint
        if there.host == "0.0.0.0" { there.host = "127.0.0.1" }
        if there.host == "::" { there.host = "::1" }
        if let probe = await look("https://\(there)/v2"), probe.challenge.contains("sluice") {
            return .gateway(version: "")
        }
        guard let probe = await look("http://\(there)/livez"), probe.body == "live\n" else {
            return .taken
        }
        let metrics = await look("http://\(there)/metrics")?.body ?? ""
        let version = metrics.firstMatch(of: #/sluice_build_info\{[^}]*version="([^"]+)"/#)
        return .gateway(version: version.map { "version \($0.1)" } ?? "")
    }

    private func look(_ url: String) async -> ServerProbe? {
        try? await ServerProbe.get(url, timeout: Self.probeTime, group: group)
    }
}
