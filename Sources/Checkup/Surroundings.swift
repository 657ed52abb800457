// What checks look at, as facts: the machine, the files, the others on the network. Gateway looks at the real ones; tests say
// what they like.

/// Everything a gateway depends on. Each function may block its task, and may throw ``CheckTrouble``: then the thing is not as it
/// has to be. None of them changes anything.
package protocol Surroundings: Sendable {
    /// For example `3.0.17`.
    func version(of library: Library) async throws -> String
    /// RLIMIT_NOFILE of this process, and what it may be raised to.
    func openFilesLimit() async throws -> OpenFilesLimit
    /// The gateway on the state folder; nil when none runs.
    func gateway() async throws -> RunningGateway?
    /// Bytes a process may use here; nil when the system does not say.
    func memoryAllowed() async throws -> UInt64?
    func processors() async throws -> Processors
    /// Whether the kernel's clock is set by a time service; nil when the kernel does not say.
    func timekeeping() async throws -> Timekeeping?
    /// What others think the time is: those that could be reached.
    func clocks() async throws -> [ClockReading]
    /// Those of the callers' port; empty when the gateway has yet to make its own.
    func certificates() async throws -> [CertificateFact]
    func secretFile(at path: String) async throws -> SecretFileFact
    /// Asks one issuer for something harmless. Returns what it answered, in words.
    func ask(issuer: String) async throws -> String
    /// Asks the models' store. Returns what it answered, in words.
    func askStore() async throws -> String
    /// Looks through the models' folder.
    func models() async throws -> ModelsFact
    func space(at path: String) async throws -> SpaceFact
    func port(at place: String) async throws -> PortFact
}

package enum Library: String, Sendable, CaseIterable {
    case openSSL = "OpenSSL"
    case onnxRuntime = "ONNX Runtime"
    case zlib
    case sqlite = "SQLite"
}

package struct OpenFilesLimit: Sendable, Equatable {
    /// Nil: there is none.
    package var now: UInt64?
    package var highest: UInt64?

    package init(now: UInt64?, highest: UInt64?) {
        self.now = now
        self.highest = highest
    }

    /// From the text of /proc/PID/limits (proc_pid_limits(5)); nil when it is not there.
    package init?(limits text: String) {
        let title = "Max open files"
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(title) }) else {
            return nil
        }
        let words = line.dropFirst(title.count).split(separator: " ")
        guard words.count >= 2, words[0] == "unlimited" || UInt64(words[0]) != nil,
            words[1] == "unlimited" || UInt64(words[1]) != nil
        else { return nil }
        self.init(now: UInt64(words[0]), highest: UInt64(words[1]))
    }
}

/// A process that holds the state folder.
package struct RunningGateway: Sendable, Equatable {
    package var process: Int32
    /// Open descriptors and how many it may have; nil when this user may not look.
    package var descriptors: Int?
    package var limit: OpenFilesLimit?

    package init(process: Int32, descriptors: Int? = nil, limit: OpenFilesLimit? = nil) {
        self.process = process
        self.descriptors = descriptors
        self.limit = limit
    }
}

package struct Processors: Sendable, Equatable {
    package var count: Int
    /// Processors' worth of time the control group allows; nil: all of it.
    package var quota: Double?

    package init(count: Int, quota: Double?) {
        self.count = count
        self.quota = quota
    }

    /// The least of some control groups' limits: the texts of `cpu.max`, like `200000 100000` or `max 100000` (cgroups(7)).
    package static func quota(_ texts: [String]) -> Double? {
        texts.compactMap { text -> Double? in
            let words = text.split(whereSeparator: \.isWhitespace)
            guard words.count == 2, let time = Double(words[0]), let period = Double(words[1]),
                period > 0, time > 0
            else { return nil }
            return time / period
        }.min()
    }
}

package struct Timekeeping: Sendable, Equatable {
    package var isSynchronised: Bool
    /// How wrong the time service thinks the clock may be.
    package var estimatedError: Duration

    package init(isSynchronised: Bool, estimatedError: Duration = .zero) {
        self.isSynchronised = isSynchronised
        self.estimatedError = estimatedError
    }
}

package struct ClockReading: Sendable, Equatable {
    /// Who was asked.
    package var who: String
    /// Seconds since 1970, theirs and ours at the same moment.
    package var theirs: Int64
    package var ours: Int64

    package init(who: String, theirs: Int64, ours: Int64) {
        self.who = who
        self.theirs = theirs
        self.ours = ours
    }
}

package struct CertificateFact: Sendable, Equatable {
    package var path: String
    /// What it is: `certificate`, `authority`, `revocation_list` or `ocsp`.
    package var kind: String
    package var subject: String
    /// Seconds since 1970.
    package var begins: Int64
    package var ends: Int64
    package var now: Int64

    package init(
        path: String, kind: String, subject: String, begins: Int64, ends: Int64, now: Int64
    ) {
        self.path = path
        self.kind = kind
        self.subject = subject
        self.begins = begins
        self.ends = ends
        self.now = now
    }
}

package struct SecretFileFact: Sendable, Equatable {
    package var isThere: Bool
    package var isReadable: Bool
    /// Permission bits, for example 0o600.
    package var mode: Int
    /// The user's, or root's.
    package var isOurs: Bool

    package init(isThere: Bool, isReadable: Bool, mode: Int, isOurs: Bool) {
        self.isThere = isThere
        self.isReadable = isReadable
        self.mode = mode
        self.isOurs = isOurs
    }
}

package struct ModelsFact: Sendable, Equatable {
    package var versions: Int
    /// Those that cannot be served, and why.
    package var broken: [String]
    /// What was passed over, and why.
    package var notes: [String]

    package init(versions: Int, broken: [String] = [], notes: [String] = []) {
        self.versions = versions
        self.broken = broken
        self.notes = notes
    }
}

package struct SpaceFact: Sendable, Equatable {
    /// The folder, or the nearest one above it that is there.
    package var place: String
    package var isWritable: Bool
    /// For this user, in bytes.
    package var free: UInt64

    package init(place: String, isWritable: Bool, free: UInt64) {
        self.place = place
        self.isWritable = isWritable
        self.free = free
    }
}

package enum PortFact: Sendable, Equatable {
    /// A gateway could listen there.
    case free
    /// One answers; its version where it says.
    case gateway(version: String)
    /// Something else listens.
    case taken
    /// Nobody could listen: the address is not this machine's, or needs a right.
    case impossible(String)
}
