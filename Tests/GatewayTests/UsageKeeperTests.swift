// The way from the plans' desk to the disk, also when the disk does not take anything.

import Admission
import Contract
import Foundation
import GRDB
import Gateway
import Logging
import Testing
import Usage

@Suite struct UsageKeeperTests {
    private static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    private func call(_ desk: PlanDesk, _ times: Int) throws {
        let now = Instant.now()
        let tenant = desk.tenant(
            of: Identity(issuer: "local", client: "app", subject: "", scopes: [], validFor: nil),
            now: now)
        for _ in 0..<times {
            let ticket = try desk.enter(
                tenant, plan: "", model: "iris", bytes: 1, wish: .interactive, now: now)
            _ = ticket.share
        }
    }

    private func desk() -> PlanDesk {
        var plan = Plan(name: "default")
        plan.limits.month.calls = 1_000
        return PlanDesk(Plans([plan]), wall: Int64(Date().timeIntervalSince1970))
    }

    @Test func whatModelsHoldIsWrittenAndAStopEnds() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "usage-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let first = desk()
        let keeper = try UsageKeeper.open(
            folder.path, desk: first, keep: .seconds(40 * 86_400),
            holdings: { [("iris", 1_000_000_000)] }, logger: Self.logger)
        try call(first, 3)
        _ = await keeper.flush()
        // Awake models always have more to tell: closing takes what there is.
        await keeper.close()
        let reader = try UsageReader(state: folder.path)
        let totals = try reader.totals(since: 0, until: .max, by: .model)
        try reader.close()
        #expect(totals.map(\.model) == ["iris"] && totals.map(\.calls) == [3])
        #expect(try #require(totals.first).awakeGigabyteSeconds > 0)
    }

    @Test func aDiskThatTakesNothingHoldsUpNobodyAndLosesNothing() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "usage-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let first = desk()
        let keeper = try UsageKeeper.open(folder.path, desk: first, logger: Self.logger)
        try call(first, 10)
        #expect(await keeper.flush())
        var configuration = Configuration()
        configuration.allowsUnsafeTransactions = true
        let other = try DatabaseQueue(
            path: folder.appendingPathComponent(UsageStore.fileName).path,
            configuration: configuration)
        try other.unsafeReentrantWrite { try $0.execute(sql: "BEGIN IMMEDIATE") }
        for _ in 0..<3 {
            try call(first, 10)
            #expect(await !keeper.flush())
        }
        try other.unsafeReentrantWrite { try $0.execute(sql: "ROLLBACK") }
        try other.close()
        await keeper.close()
        // The next start knows of all of them, once.
        let second = desk()
        let again = try UsageKeeper.open(folder.path, desk: second, logger: Self.logger)
        try call(second, 960)
        #expect(throws: CallFailure.self) { try call(second, 1) }
        await again.close()
    }
}
