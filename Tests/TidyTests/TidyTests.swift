// The rules of the house that a compiler does not check (docs/decisions/0001): who imports whom, who may say
// `unsafe`, what is banned, how long a file may be.

import Foundation
import Testing

@Suite struct TidyTests {
    static let sources = Tree.swiftFiles(below: "Sources")
    static let tests = Tree.swiftFiles(below: "Tests")

    @Test func theTreeIsThere() {
        #expect(Self.sources.count > 50)
        #expect(Self.tests.count > 30)
    }

    /// What each target may import of ours. A room that is not here may not exist.
    static let mayImport: [String: Set<String>] = [
        "Contract": [],
        "TLS": ["COpenSSL"],
        "Wire": [],
        "Messages": ["Contract", "CMessages", "CProtobufC"],
        "OpenInference": ["Contract"],
        "Compression": ["CZlib"],
        "Traces": ["Contract"],
        "OnnxRuntime": ["Contract", "COnnxRuntime"],
        "Files": ["CFiles"],
        "Confinement": ["CConfinement"],
        "Terminal": ["CTerminal"],
        "Telemetry": [],
        "Admission": ["Contract", "TLS"],
        "Catalogue": ["Contract"],
        "Shards": ["Contract", "Catalogue", "OnnxRuntime"],
        "BinaryDoor": ["Contract", "Messages", "SluiceWire"],
        "JSONDoor": ["Contract", "OpenInference", "Compression"],
        "Issuer": ["Contract", "TLS"],
        "Usage": ["Contract"],
        "Costs": ["Contract"],
        // A repository fills the catalogue: it speaks its words. What comes from outside is compared with its hash.
        "Outside": ["Contract", "TLS", "Catalogue", "Files", "Traces"],
        // Beside the walk: it proves models as the walk will load them (docs/decisions/0010).
        "Workshop": [
            "Contract", "TLS", "Catalogue", "Files", "Confinement", "OnnxRuntime", "Outside",
        ],
        "Gateway": [
            "Contract", "TLS", "OnnxRuntime", "Files", "Admission", "Catalogue", "Shards",
            "BinaryDoor", "JSONDoor", "OpenInference", "Issuer", "Usage", "Outside", "Workshop",
            "Checkup", "Compression", "Telemetry", "Traces",
        ],
        "SluiceClient": ["SluiceMessages", "SluiceWire"],
        "FleetView": ["SluiceClient"],
        "Checkup": [],
        "sluice": [
            "Checkup", "Contract", "Costs", "FleetView", "Gateway", "Issuer", "SluiceClient",
            "SluiceMessages", "SluiceWire", "TLS", "Terminal", "Usage", "Workshop",
        ],
    ]

    static let ours = Set(mayImport.keys).union([
        "SluiceWire", "SluiceMessages", "CMessages", "CProtobufC", "COpenSSL", "COnnxRuntime",
        "CFiles", "CConfinement", "CTerminal", "CZlib",
    ])

    @Test func roomsImportOnlyWhatTheirPlaceAllows() throws {
        for file in Self.sources {
            let allowed = try #require(
                Self.mayImport[file.target], "\(file.path): a target that has no place")
            for (number, text) in file.code {
                guard text.contains("import "),
                    let match = text.firstMatch(of: #/^\s*(?:\w+ )?import (?:\w+ )?(\w+)/#)
                else { continue }
                let module = String(match.1)
                guard Self.ours.contains(module) else { continue }
                #expect(
                    allowed.contains(module), "\(file.path):\(number) may not import \(module)")
            }
        }
    }

    @Test func onlyKitsSayUnsafe() {
        let kits: Set = [
            "TLS", "Messages", "OnnxRuntime", "Files", "Confinement", "Compression", "Terminal",
        ]
        // NIOSSL hands out a certificate's names as a pointer and in no other way.
        let excused: Set = ["Sources/SluiceClient/Connection/ServerIdentity.swift"]
        for file in Self.sources
        where !kits.contains(file.target) && !excused.contains(file.path) {
            for (number, text) in file.code
            where text.contains("unsafe") && text.contains(#/\bunsafe\b/#) {
                Issue.record("\(file.path):\(number): only a kit may be unsafe: \(text)")
            }
        }
    }

    @Test func nothingBannedIsUsed() {
        let banned = [
            ("try!", "the world's mistakes throw"),
            (" Task {", "long life is a service, work is in task groups"),
            ("Task.detached", "long life is a service, work is in task groups"),
            ("catch {}", "an error is handled or handed on"),
            ("usleep(", "wait for a condition with a deadline"),
            ("Thread.sleep", "wait for a condition with a deadline"),
            ("fatalError(", "preconditionFailure with a sentence"),
            (" assert(", "release builds drop it: precondition"),
        ]
        // SQLite cannot wait while two processes set up the same new file: a bounded retry at start, on a thread
        // of its own.
        // The process's one task that is nobody's child: the whole program.
        let excused = [
            "Sources/Issuer/TokenStore+Opening.swift": "Thread.sleep",
            "Sources/sluice/Entry.swift": "Task.detached",
        ]
        for file in Self.sources {
            for (number, text) in file.code {
                for (word, why) in banned
                where text.contains(word) && excused[file.path] != word {
                    Issue.record("\(file.path):\(number): \(text) (\(why))")
                }
            }
        }
    }

    /// Rooms are told the time; these files are where it is read.
    @Test func roomsReadNoClock() {
        let rooms: Set = ["Admission", "Catalogue", "Wire", "Messages"]
        for file in Self.sources where rooms.contains(file.target) {
            for (number, text) in file.code
            where ![".now()", "Date()", "ContinuousClock"].allSatisfy({ !text.contains($0) })
                && !text.contains("clock:")
            {
                Issue.record("\(file.path):\(number) reads a clock: \(text)")
            }
        }
    }

    /// A promise to the compiler needs its reason beside it.
    @Test func promisesToTheCompilerHaveReasons() {
        for file in Self.sources {
            for (index, line) in file.lines.enumerated()
            where line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)") {
                let above = file.lines[max(0, index - 6)...index].joined(separator: "\n")
                #expect(
                    above.contains("//") && above.contains(#/(?i)safe|thread|lock|loop|owner/#),
                    "\(file.path):\(index + 1) says no reason")
            }
        }
    }

    @Test func filesAreShortAndSayWhatTheyAre() {
        for file in Self.sources {
            #expect(file.lines.count <= 501, "\(file.path) is likely two things")
            #expect(
                file.lines.first?.hasPrefix("//") == true,
                "\(file.path) does not say what it is and where it stands")
        }
    }

    @Test func noTypeBearsItsModulesName() throws {
        for file in Self.sources {
            let module = file.target == "Wire" ? "SluiceWire" : file.target
            // The client type is named for users, who import the module to get it.
            if module == "SluiceClient" { continue }
            let declaration = try Regex("\\b(class|struct|enum|actor|protocol) \(module)\\b")
            for (number, text) in file.code
            where text.contains(module) && text.contains(declaration) {
                Issue.record("\(file.path):\(number) declares \(module) inside \(module)")
            }
        }
    }

    /// Notes to self are finished before they land.
    @Test func nothingIsLeftOpen() {
        for file in Self.sources + Self.tests where !file.path.contains("TidyTests") {
            for (index, line) in file.lines.enumerated()
            where ["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK"].contains(
                where: line.contains)
            {
                Issue.record("\(file.path):\(index + 1): \(line)")
            }
        }
    }
}
