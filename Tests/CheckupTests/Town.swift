// Surroundings that are what a test says. Good in every respect until one is changed.

import Checkup

struct Town: Surroundings {
    /// A look that nobody ever ends, unless its task is cancelled.
    static func hang() async throws -> Never {
        while true { try await Task.sleep(for: .seconds(3_600)) }
    }

    var versions: [Library: String] = [
        .openSSL: "3.0.17", .onnxRuntime: "1.31.1", .zlib: "1.2.13", .sqlite: "3.40.1",
    ]
    var openFiles = OpenFilesLimit(now: 1_048_576, highest: 1_048_576)
    var running: RunningGateway?
    var memory: UInt64? = 8 << 30
    var machine = Processors(count: 2, quota: nil)
    var timekeeping: Timekeeping? = Timekeeping(isSynchronised: true)
    var times: [ClockReading] = []
    var chain = [
        CertificateFact(
            path: "cert.pem", kind: "certificate", subject: "CN=x", begins: 0, ends: 200 * 86_400,
            now: 100 * 86_400)
    ]
    var secret = SecretFileFact(isThere: true, isReadable: true, mode: 0o600, isOurs: true)
    var issuer: @Sendable (String) async throws -> String = { "\($0) answers" }
    var store: @Sendable () async throws -> String = { "3 objects" }
    var folder: @Sendable () async throws -> ModelsFact = { ModelsFact(versions: 6) }
    var disk = SpaceFact(place: "/state", isWritable: true, free: 9 << 30)
    var ports = PortFact.free

    func version(of library: Library) async throws -> String {
        guard let version = versions[library] else {
            throw CheckTrouble("\(library.rawValue) is not found", mend: "scripts/setup")
        }
        return version
    }
    func openFilesLimit() async throws -> OpenFilesLimit { openFiles }
    func gateway() async throws -> RunningGateway? { running }
    func memoryAllowed() async throws -> UInt64? { memory }
    func processors() async throws -> Processors { machine }
    func timekeeping() async throws -> Timekeeping? { timekeeping }
    func clocks() async throws -> [ClockReading] { times }
    func certificates() async throws -> [CertificateFact] { chain }
    func secretFile(at path: String) async throws -> SecretFileFact { secret }
    func ask(issuer: String) async throws -> String { try await self.issuer(issuer) }
    func askStore() async throws -> String { try await store() }
    func models() async throws -> ModelsFact { try await folder() }
    func space(at path: String) async throws -> SpaceFact { disk }
    func port(at place: String) async throws -> PortFact { ports }
}

extension HousePlan {
    /// Everything a house can have.
    static var whole: HousePlan {
        var plan = HousePlan()
        plan.issuers = ["main"]
        plan.secretFiles = [.init(setting: "tls.key", path: "/keys/tls.pem")]
        plan.folders = [("state", "/state")]
        plan.ports = [("listen", "0.0.0.0:8443"), ("admin", "127.0.0.1:9464")]
        return plan
    }
}

/// The findings of the checks of one name.
func findings(
    _ name: String, of plan: HousePlan = .whole, within deadline: Duration = .seconds(10),
    _ change: (inout Town) -> Void = { _ in }
) async -> [Finding] {
    var town = Town()
    change(&town)
    return await Check.run(
        Check.all(plan).filter { $0.name == name }, in: town, within: deadline)
}
