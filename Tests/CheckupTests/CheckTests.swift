// Each finding without any I/O: what is good is ok, what is not says what would be and how it is mended.

import Checkup
import Testing

@Suite struct CheckTests {
    /// The one finding, whose verdict must be the one given.
    @discardableResult
    private func one(
        _ name: String, _ verdict: Finding.Verdict, of plan: HousePlan = .whole,
        at location: SourceLocation = #_sourceLocation, _ change: (inout Town) -> Void = { _ in }
    ) async throws -> Finding {
        let all = await findings(name, of: plan, change)
        #expect(all.count == 1, sourceLocation: location)
        let finding = try #require(all.first, sourceLocation: location)
        #expect(finding.verdict == verdict, "\(finding)", sourceLocation: location)
        #expect((verdict == .ok) == finding.mend.isEmpty, "\(finding)", sourceLocation: location)
        return finding
    }

    @Test func aGoodHouseIsFine() async {
        let all = await Check.run(Check.all(.whole), in: Town(), within: .seconds(10))
        #expect(all.count == Check.all(.whole).count)
        for finding in all { #expect(finding.verdict == .ok && finding.lines.count == 1) }
    }

    @Test func librariesAreNewEnough() async throws {
        try await one("OpenSSL", .fail) { $0.versions[.openSSL] = "1.1.1w" }
        try await one("zlib", .warn) { $0.versions[.zlib] = "1.2.11" }
        try await one("zlib", .ok) { $0.versions[.zlib] = "1.3" }
        try await one("SQLite", .fail) { $0.versions[.sqlite] = "3.7.17" }
        try await one("ONNX Runtime", .ok) { $0.versions[.onnxRuntime] = "1.21.0-dev" }
        let missing = try await one("ONNX Runtime", .fail) { $0.versions[.onnxRuntime] = nil }
        #expect(missing.found == "ONNX Runtime is not found" && missing.mend == "scripts/setup")
    }

    @Test func connectionsNeedFiles() async throws {
        var plan = HousePlan.whole
        plan.connections = 20_000
        let few = try await one("open files", .warn, of: plan) {
            $0.openFiles = OpenFilesLimit(now: 1_024, highest: 1_048_576)
        }
        #expect(
            few.mend.hasPrefix("ulimit -n 20512") && few.mend.contains("limits.connections: 512"))
        let hard = try await one("open files", .fail, of: plan) {
            $0.openFiles = OpenFilesLimit(now: 256, highest: 4_096)
        }
        #expect(hard.mend.contains("hard limit"))
        try await one("open files", .ok) { $0.openFiles = OpenFilesLimit(now: nil, highest: nil) }
        try await one("open files", .ok, of: plan) {
            $0.openFiles = OpenFilesLimit(now: 20_512, highest: 20_512)
        }
    }

    @Test(
        arguments: [
            (
                "Max open files            1024                 1048576              files     ",
                1_024
            ),
            ("Limit  x\nMax open files   unlimited  unlimited  files\nMax cpu", nil),
        ] as [(String, UInt64?)])
    func limitsAreRead(text: String, now: UInt64?) throws {
        #expect(try #require(OpenFilesLimit(limits: text)).now == now)
    }

    @Test func whatIsNoLimitIsNone() {
        #expect(
            OpenFilesLimit(limits: "") == nil && OpenFilesLimit(limits: "Max open files") == nil)
        #expect(OpenFilesLimit(limits: "Max open files many more files") == nil)
    }

    @Test func descriptorsOfTheRunningGateway() async throws {
        try await one("descriptors", .ok)
        try await one("descriptors", .ok) { $0.running = RunningGateway(process: 7) }
        let limit = OpenFilesLimit(now: 1_000, highest: 1_000)
        try await one("descriptors", .ok) {
            $0.running = RunningGateway(process: 7, descriptors: 799, limit: limit)
        }
        let many = try await one("descriptors", .warn) {
            $0.running = RunningGateway(process: 7, descriptors: 800, limit: limit)
        }
        #expect(many.found == "process 7 has 800 of 1000 open")
        #expect(
            await findings("state lock") { $0.running = RunningGateway(process: 7) }
                .first?.found == "held by process 7")
        #expect(await findings("state lock").first?.found == "no gateway runs on it")
    }

    @Test func budgetsFitIntoTheMemory() async throws {
        try await one("memory", .ok) { $0.memory = nil }
        var plan = HousePlan.whole
        plan.anonymousBytes = 7 << 30
        try await one("memory", .warn, of: plan)
        plan.anonymousBytes = 8 << 30
        let full = try await one("memory", .fail, of: plan)
        #expect(full.found.hasPrefix("8 GiB allowed; budgets: 8 GiB of models' own"))
        #expect(full.mend.contains("memory.anonymous: 4096MiB"))
        plan.anonymousBytes = 1 << 30
        plan.mappedBytes = 9 << 30
        try await one("memory", .warn, of: plan)
        try await one("memory", .warn) { $0.memory = 64 << 20 }
    }

    @Test func quotasAndShards() async throws {
        try await one("processors", .ok) { $0.machine = Processors(count: 2, quota: 1.5) }
        let four = try await one("processors", .warn) {
            $0.machine = Processors(count: 8, quota: 1.5)
        }
        #expect(four.mend.hasPrefix("Set shards.count: 2"))
        var plan = HousePlan.whole
        plan.shards = 1
        try await one("processors", .ok, of: plan) {
            $0.machine = Processors(count: 8, quota: 0.5)
        }
        #expect(Processors.quota(["max 100000\n"]) == nil)
        #expect(Processors.quota(["max 100000", "200000 100000\n", "50000 100000"]) == 0.5)
        #expect(Processors.quota(["", "x y", "1 0", "-1 100000"]) == nil)
    }

    @Test func theClockIsCompared() async throws {
        try await one("clock", .ok) {
            $0.times = [ClockReading(who: "store", theirs: 1_010, ours: 1_000)]
        }
        let late = try await one("clock", .warn) {
            $0.times = [
                ClockReading(who: "store", theirs: 1_001, ours: 1_000),
                ClockReading(who: "issuer main", theirs: 1_060, ours: 1_000),
            ]
        }
        #expect(late.found == "synchronised; 60 s behind that of issuer main")
        let early = try await one("clock", .fail) {
            $0.times = [ClockReading(who: "store", theirs: 1_000, ours: 4_600)]
        }
        #expect(early.found == "synchronised; 3600 s before that of store")
        let nobody = try await one("clock", .ok)
        #expect(nobody.found == "synchronised; nobody could be asked for the time")
        try await one("clock", .fail) {
            $0.times = [ClockReading(who: "x", theirs: .max, ours: .min)]
            $0.times = [ClockReading(who: "x", theirs: 1 << 60, ours: 0)]
        }
    }

    @Test func theKernelKnowsWhetherTheClockIsSet() async throws {
        let set = try await one("clock", .ok) {
            $0.timekeeping = Timekeeping(
                isSynchronised: true, estimatedError: .microseconds(2_100))
        }
        #expect(set.found.hasPrefix("synchronised, within 3 ms; "))
        let alone = try await one("clock", .warn) {
            $0.timekeeping = Timekeeping(isSynchronised: false, estimatedError: .seconds(16))
        }
        #expect(alone.found.hasPrefix("not synchronised: no time service sets it; "))
        #expect(alone.mend.contains("timedatectl set-ntp true"))
        // A container that may not ask: nothing is wrong for all we know.
        let unknown = try await one("clock", .ok) { $0.timekeeping = nil }
        #expect(unknown.found.hasPrefix("whether it is set is unknown"))
        // A clock nobody sets, and that is minutes away: the worse of the two counts.
        try await one("clock", .fail) {
            $0.timekeeping = Timekeeping(isSynchronised: false)
            $0.times = [ClockReading(who: "store", theirs: 1_000, ours: 0)]
        }
    }

    @Test func certificatesEnd() async throws {
        func chain(_ kind: String, _ begins: Int64, _ ends: Int64) -> [CertificateFact] {
            [
                CertificateFact(
                    path: "c.pem", kind: kind, subject: "CN=x", begins: begins * 86_400,
                    ends: ends * 86_400, now: 100 * 86_400)
            ]
        }
        try await one("certificate", .ok) { $0.chain = [] }
        try await one("certificate", .ok) { $0.chain = chain("certificate", 0, 131) }
        let soon = try await one("certificate", .warn) { $0.chain = chain("certificate", 0, 110) }
        #expect(soon.found == "c.pem (CN=x) ends in 10 days")
        let over = try await one("certificate", .fail) { $0.chain = chain("certificate", 0, 100) }
        #expect(over.found == "c.pem (CN=x) has ended" && over.mend.contains("tls.watch"))
        try await one("certificate", .fail) { $0.chain = chain("certificate", 101, 200) }
        try await one("certificate", .fail) { $0.chain = chain("revocation_list", 0, 99) }
        try await one("certificate", .warn) { $0.chain = chain("ocsp", 0, 99) }
        try await one("certificate", .ok) { $0.chain = chain("ocsp", 0, 101) }
        #expect(
            await findings("certificate") { $0.chain += chain("authority", 0, 90) }
                .map(\.verdict) == [.ok, .fail])
    }

    @Test func keysAreTheirOwners() async throws {
        try await one("tls.key", .fail) { $0.secret.isThere = false }
        try await one("tls.key", .fail) { $0.secret.isReadable = false }
        let open = try await one("tls.key", .warn) { $0.secret.mode = 0o644 }
        #expect(open.found.contains("mode 644") && open.mend == "chmod 600 '/keys/tls.pem'")
        try await one("tls.key", .warn) { $0.secret.isOurs = false }
        var plan = HousePlan.whole
        plan.secretFiles[0].isMadeByGateway = true
        try await one("tls.key", .ok, of: plan) { $0.secret.isThere = false }
    }

    @Test func othersAnswerOrSayWhyNot() async throws {
        #expect(try await one("issuer main", .ok).found == "main answers")
        let down = try await one("issuer main", .fail) {
            $0.issuer = { _ in throw CheckTrouble("connection refused", mend: "Start it") }
        }
        #expect(down.found == "connection refused" && down.mend == "Start it")
        var plan = HousePlan.whole
        plan.isBucket = true
        plan.repository = "s3://models"
        #expect(try await one("store", .ok, of: plan).found == "3 objects")
        try await one("store", .fail, of: plan) {
            $0.store = { throw CheckTrouble("no connection", mend: "Look") }
        }
        #expect(await findings("models", of: plan).isEmpty, "a bucket is no folder")
    }

    @Test func modelsAreCounted() async throws {
        let broken = try await one("models", .warn) {
            $0.folder = {
                ModelsFact(versions: 3, broken: ["iris/1: no such operator", "wine/2: cut off"])
            }
        }
        #expect(broken.found.contains("3 versions in ./models, 2 of them broken: iris/1: no such"))
        try await one("models", .warn) { $0.folder = { ModelsFact(versions: 0) } }
        try await one("models", .warn) {
            $0.folder = { ModelsFact(versions: 1, notes: ["'a b' is passed over"]) }
        }
    }

    @Test func foldersHaveRoom() async throws {
        try await one("state folder", .fail) { $0.disk.isWritable = false }
        try await one("state folder", .fail) { $0.disk.free = 63 << 20 }
        let low = try await one("state folder", .warn) { $0.disk.free = 1_000 << 20 }
        #expect(low.found == "1000 MiB free in /state")
    }

    @Test func portsAreFreeOrGateways() async throws {
        let taken = try await one("port listen", .fail) { $0.ports = .taken }
        #expect(taken.found == "0.0.0.0:8443 is taken by another program")
        let ours = try await one("port admin", .ok) { $0.ports = .gateway(version: "sluice 0.1.0") }
        #expect(ours.found == "127.0.0.1:9464 is a gateway's, sluice 0.1.0")
        try await one("port listen", .fail) { $0.ports = .impossible("it needs a right") }
    }

    // MARK: - Running

    /// One that hangs is late; the others are there all the same, and nobody waits longer than the deadline.
    @Test func oneThatHangsHoldsUpNobody() async throws {
        var town = Town()
        town.issuer = { _ in try await Town.hang() }
        town.folder = { try await Town.hang() }
        let start = ContinuousClock.now
        let all = await Check.run(Check.all(.whole), in: town, within: .milliseconds(50))
        #expect(ContinuousClock.now - start < .seconds(5))
        #expect(all.count == Check.all(.whole).count)
        let late = all.filter { $0.verdict == .fail }
        #expect(late.map(\.check) == ["issuer main", "models"])
        #expect(late.allSatisfy { $0.found.hasPrefix("no answer within") && !$0.mend.isEmpty })
    }

    @Test func findingsAreOneLineEach() {
        let finding = Finding(
            "x", .fail, found: "a\u{1B}[2Jb\nc\u{202E}" + String(repeating: "y", count: 5_000),
            wanted: "", mend: "do\rit")
        #expect(finding.found.hasPrefix("a?[2Jb c?y") && finding.found.count == 600)
        #expect(finding.wanted == "nothing" && finding.mend == "do?it")
        #expect(finding.lines.count == 3 && finding.lines[0].hasPrefix("fail  x  "))
        #expect(Finding("x", .ok, found: "f", wanted: "w", mend: "m").mend.isEmpty)
    }
}
