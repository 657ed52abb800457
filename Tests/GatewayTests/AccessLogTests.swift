// The access log's writer: what is written, set aside, opened anew and counted; a queue that is full and a disk that is gone.

import Contract
import Foundation
import Gateway
import JSONDoor
import Logging
import Testing

@Suite struct AccessLogTests {
    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "sluice-access-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(folder)
    }

    private func settings(_ path: String) -> AccessLogSettings {
        var settings = AccessLogSettings()
        settings.path = path
        return settings
    }

    private func request(_ number: Int, status: UInt = 404) -> HTTPRecord {
        var record = HTTPRecord(
            status: status, code: nil, reason: .none, address: "127.0.0.1", connection: "c",
            bytesOut: 0, answered: .now())
        record.request = "\(number)"
        return record
    }

    private func numbers(_ path: String) throws -> [Int] {
        struct Line: Decodable { var request: String }
        return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
            let line = try JSONDecoder().decode(Line.self, from: Data($0.utf8))
            return try #require(Int(line.request))
        }
    }

    @Test func withoutAPathNothingIsWantedOrWritten() async throws {
        let log = try AccessLog(AccessLogSettings(), logger: Logger(label: "test"))
        #expect(!log.wantsCalls && !log.wantsRequests)
        log.answered(request(1))
        #expect(log.counts == AccessLogCounts())
        await log.close()
    }

    @Test func linesAreWrittenInTheirOrderForTheOwnerOnly() async throws {
        try await withFolder { folder in
            let path = folder + "/access.log"
            let log = try AccessLog(settings(path), logger: Logger(label: "test"))
            for number in 0..<1_000 { log.answered(request(number)) }
            #expect(log.counts.waiting == 1_000)
            await log.close()
            #expect(try numbers(path) == Array(0..<1_000))
            #expect(log.counts.written == 1_000 && log.counts.waiting == 0)
            let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions]
            #expect((mode as? NSNumber)?.intValue == 0o600)
        }
    }

    @Test func aFullFileIsSetAsideAndTheOldestGoes() async throws {
        try await withFolder { folder in
            let path = folder + "/access.log"
            var settings = settings(path)
            settings.bytes = 2_048
            settings.files = 2
            let log = try AccessLog(settings, logger: Logger(label: "test"))
            for number in 0..<200 {
                log.answered(request(number))
                if number % 5 == 4 { await log.write() }
            }
            await log.close()
            let names = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            #expect(names == ["access.log", "access.log.1", "access.log.2"])
            let kept = try names.reversed().flatMap { try numbers("\(folder)/\($0)") }
            // What is left is the newest, without a gap.
            #expect(kept == Array((200 - kept.count)..<200) && kept.count > 20)
            #expect(log.counts.written == 200)
        }
    }

    @Test func whatCannotWaitIsDroppedAndCounted() async throws {
        try await withFolder { folder in
            let path = folder + "/access.log"
            var settings = settings(path)
            settings.queue = 1_024
            let log = try AccessLog(settings, logger: Logger(label: "test"))
            for number in 0..<1_100 { log.answered(request(number)) }
            #expect(log.counts.dropped == 76 && log.counts.waiting == 1_024)
            await log.close()
            #expect(try numbers(path) == Array(0..<1_024))
            #expect(log.counts.written == 1_024)
        }
    }

    /// What waits when the settings change is written where, and as, it was meant.
    @Test func aPageIsEmptiedBeforeItChangesItsFormat() {
        let page = AccessPage()
        let none = page.add(request(0))
        #expect(none == .none && page.waiting == 0)
        let nothing = page.adopt(.json, countMax: 2)
        #expect(nothing.pieces.isEmpty && nothing.dropped == 1)
        let places = (1...3).map { page.add(request($0)) }
        #expect(places == [.first, .behind, .none])
        let contents = page.adopt(.common, countMax: 2)
        #expect(contents.dropped == 1 && contents.pieces.map(\.count) == [2])
        #expect(contents.pieces.first?.bytes.first == UInt8(ascii: "{"))
        let place = page.add(request(4))
        #expect(place == .first)
        #expect(page.take().pieces.first?.bytes.starts(with: "127.0.0.1 - ".utf8) == true)
    }

    /// Much waits in pieces that end with a line.
    @Test func aPageHasPiecesOfWholeLines() {
        let page = AccessPage()
        _ = page.adopt(.json, countMax: 10_000)
        for number in 0..<10_000 { _ = page.add(request(number)) }
        #expect(page.waiting == 10_000)
        let contents = page.take()
        #expect(page.waiting == 0 && contents.pieces.count > 5)
        #expect(contents.pieces.reduce(0) { $0 + $1.count } == 10_000)
        for piece in contents.pieces {
            #expect(
                piece.bytes.first == UInt8(ascii: "{") && piece.bytes.last == UInt8(ascii: "\n"))
            #expect(
                LineRest.count(piece.bytes[...]) == piece.count && piece.bytes.count < 104 << 10)
        }
    }

    @Test func theRestIsSampledAndErrorsAreNot() async throws {
        try await withFolder { folder in
            let path = folder + "/access.log"
            var settings = settings(path)
            settings.sample = 10
            let log = try AccessLog(settings, logger: Logger(label: "test"))
            for number in 0..<100 { log.answered(request(number, status: 200)) }
            for number in 100..<110 { log.answered(request(number, status: 503)) }
            await log.close()
            let kept = try numbers(path)
            #expect(kept.filter { $0 < 100 }.count == 10)
            #expect(kept.filter { $0 >= 100 } == Array(100..<110))
            #expect(log.counts.leftOut == 90)
        }
    }

    @Test func aFileThatCannotBeOpenedIsSaidAtStart() {
        #expect(throws: GatewayError.self) {
            _ = try AccessLog(self.settings("/nowhere/at/all"), logger: Logger(label: "test"))
        }
    }

    /// As many as there is room for, at once, from several threads: all of them are written.
    @Test func aHundredThousandAtOnceLoseNothingWithinTheBound() async throws {
        try await withFolder { folder in
            let path = folder + "/access.log"
            var settings = settings(path)
            settings.queue = 100_000
            let log = try AccessLog(settings, logger: Logger(label: "test"))
            let began = ContinuousClock.now
            await withTaskGroup(of: Void.self) { group in
                for writer in 0..<4 {
                    group.addTask {
                        for number in 0..<25_000 {
                            log.answered(self.request(writer * 25_000 + number))
                        }
                    }
                }
            }
            let took = ContinuousClock.now - began
            #expect(log.counts.waiting == 100_000 && log.counts.dropped == 0)
            // One more finds no room.
            log.answered(request(100_000))
            #expect(log.counts.dropped == 1)
            await log.write()
            #expect(log.counts.written == 100_000)
            await log.close()
            #expect(Set(try numbers(path)) == Set(0..<100_000))
            print("access log: 100,000 records into the queue in \(took)")
        }
    }

    /// From several threads, far faster than any disk needs to be. Nothing is lost uncounted.
    @Test func aHundredThousandRecordsASecond() async throws {
        try await withFolder { folder in
            let path = folder + "/access.log"
            var settings = settings(path)
            settings.bytes = 0
            let log = try AccessLog(settings, logger: Logger(label: "test"))
            let (writers, each) = (4, 50_000)
            let began = ContinuousClock.now
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await log.run() }
                try await withThrowingTaskGroup(of: Void.self) { writing in
                    for writer in 0..<writers {
                        writing.addTask {
                            for number in 0..<each {
                                log.answered(self.request(writer * each + number))
                            }
                        }
                    }
                    try await writing.waitForAll()
                }
                group.cancelAll()
                try await group.waitForAll()
            }
            let took = ContinuousClock.now - began
            await log.close()
            let counts = log.counts
            #expect(counts.written + counts.dropped == UInt64(writers * each))
            #expect(counts.waiting == 0 && counts.refused == 0)
            let lines = try numbers(path)
            #expect(lines.count == Int(counts.written) && Set(lines).count == lines.count)
            print("access log: \(writers * each) records in \(took), \(counts.dropped) dropped")
        }
    }
}
