// What of the machine a gateway depends on: libraries, limits, memory, processors, the clock.

extension Check {
    // MARK: - Libraries

    /// The oldest version that is good, and why an older one is not.
    private static func oldest(_ library: Library) -> (version: String, verdict: Finding.Verdict) {
        switch library {
        case .openSSL: ("3.0", .fail)
        case .onnxRuntime: ("1.21", .fail)
        // Older ones write beyond their memory (CVE-2018-25032).
        case .zlib: ("1.2.12", .warn)
        case .sqlite: ("3.35", .fail)
        }
    }

    static func library(_ library: Library) -> Check {
        let (oldest, verdict) = oldest(library)
        let wanted = "\(library.rawValue) \(oldest) or later"
        return Check(library.rawValue, wanted: wanted) { surroundings in
            let version = try await surroundings.version(of: library)
            let isGood = !isOlder(version, than: oldest)
            return [
                Finding(
                    library.rawValue, isGood ? .ok : verdict, found: version, wanted: wanted,
                    mend: "Bring the system up to date; scripts/setup installs what a gateway needs"
                )
            ]
        }
    }

    /// Compares numbers between dots; what follows them (`3.0.17-dev`) does not count.
    static func isOlder(_ version: String, than other: String) -> Bool {
        func numbers(_ text: String) -> [Int] {
            text.split(separator: ".").map { Int($0.prefix(while: \.isNumber)) ?? 0 }
        }
        return numbers(version).lexicographicallyPrecedes(numbers(other))
    }

    // MARK: - Files and descriptors

    /// Beside connections: models' files, the ledgers, logs, stores and issuers.
    private static let filesBeside: UInt64 = 512

    static func openFiles(_ plan: HousePlan) -> Check {
        let needed = UInt64(plan.connections) + filesBeside
        let wanted = "\(needed) open files: limits.connections and \(filesBeside) for the rest"
        return Check("open files", wanted: wanted) { surroundings in
            let limit = try await surroundings.openFilesLimit()
            guard let now = limit.now, now < needed else {
                return [
                    Finding(
                        "open files", .ok, found: limit.now.map { "at most \($0)" } ?? "no limit",
                        wanted: wanted)
                ]
            }
            let raised = limit.highest.map { $0 >= needed } ?? true
            var mend = raised ? "ulimit -n \(needed)" : "Raise the hard limit"
            mend += " (in a unit: LimitNOFILE=\(needed))"
            if now > filesBeside { mend += ", or limits.connections: \(now - filesBeside)" }
            return [
                Finding(
                    "open files", now < filesBeside ? .fail : .warn,
                    found:
                        "at most \(now): some of \(plan.connections) connections would find none",
                    wanted: wanted, mend: mend)
            ]
        }
    }

    static let descriptors = Check(
        "descriptors", wanted: "less than 80 % of the limit in use"
    ) { surroundings in
        let wanted = "less than 80 % of the limit in use"
        func finding(_ verdict: Finding.Verdict, _ found: String, mend: String = "") -> [Finding] {
            [Finding("descriptors", verdict, found: found, wanted: wanted, mend: mend)]
        }
        guard let gateway = try await surroundings.gateway() else {
            return finding(.ok, "no gateway runs on the state folder")
        }
        let process = gateway.process
        guard let open = gateway.descriptors else {
            return finding(.ok, "those of process \(process) are not shown to this user")
        }
        guard let limit = gateway.limit?.now else {
            return finding(.ok, "process \(process) has \(open) open, without a limit")
        }
        return finding(
            Double(open) >= 0.8 * Double(limit) ? .warn : .ok,
            "process \(process) has \(open) of \(limit) open",
            mend: "Start it with a higher limit (ulimit -n, LimitNOFILE), or see who holds so many "
                + "connections: ls -l /proc/\(process)/fd")
    }

    // MARK: - Memory and processors

    static func memory(_ plan: HousePlan) -> Check {
        let wanted = "budgets that leave a quarter of it to the gateway itself and to loads"
        return Check("memory", wanted: wanted) { surroundings in
            guard let allowed = try await surroundings.memoryAllowed() else {
                return [
                    Finding("memory", .ok, found: "the system does not say", wanted: wanted)
                ]
            }
            let anonymous = plan.anonymousBytes ?? allowed / 2
            let mapped = plan.mappedBytes ?? allowed / 2
            let found =
                "\(size(allowed)) allowed; budgets: \(size(anonymous)) of models' own, "
                + "\(size(mapped)) mapped"
            func finding(_ verdict: Finding.Verdict, _ mend: String) -> [Finding] {
                [Finding("memory", verdict, found: found, wanted: wanted, mend: mend)]
            }
            let half = "memory.anonymous: \(allowed >> 21)MiB"
            if anonymous >= allowed {
                return finding(
                    .fail,
                    "The system ends the gateway before the budget is full: set \(half), "
                        + "or raise the control group's memory.max")
            }
            // Pages of files can be dropped; they only make the machine slower.
            if anonymous > allowed / 4 * 3 || mapped > allowed {
                return finding(.warn, "Set \(half), or raise the control group's memory.max")
            }
            if allowed < 128 << 20 { return finding(.warn, "Give it 128 MiB at least") }
            return finding(.ok, "")
        }
    }

    static func processors(_ plan: HousePlan) -> Check {
        let wanted = "as much time as there are shards"
        return Check("processors", wanted: wanted) { surroundings in
            let processors = try await surroundings.processors()
            let shards = plan.shards ?? processors.count
            guard let quota = processors.quota else {
                return [
                    Finding(
                        "processors", .ok,
                        found: "\(processors.count), \(shards) shards", wanted: wanted)
                ]
            }
            let tenths = (quota * 10).rounded() / 10
            let fits = Double(shards) < quota + 1
            return [
                Finding(
                    "processors", fits ? .ok : .warn,
                    found: "\(processors.count), of which the control group gives \(tenths); "
                        + "\(shards) shards", wanted: wanted,
                    mend: "Set shards.count: \(max(1, Int(quota.rounded(.up)))), or raise cpu.max: "
                        + "threads that outrun the quota stand still for the rest of its period")
            ]
        }
    }

    /// `1.5 GiB`.
    static func size(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        var unit = "B"
        for next in ["KiB", "MiB", "GiB", "TiB"] where value >= 1_024 {
            value /= 1_024
            unit = next
        }
        let tenths = (value * 10).rounded() / 10
        return tenths == tenths.rounded() ? "\(Int(tenths)) \(unit)" : "\(tenths) \(unit)"
    }

    // MARK: - The clock

    /// Beyond the first, signed tokens and requests to a store begin to fail at some servers; beyond the second, at most.
    private static let clockWarn: UInt64 = 30
    private static let clockFail: UInt64 = 300

    private static let clockWanted = "set by a time service, within 30 s of issuers and the store"

    /// What the kernel knows of the clock, and how far it is from others' that could be asked: a time service can be wrong too.
    static let clock = Check("clock", wanted: clockWanted) { surroundings in
        let kept = try await surroundings.timekeeping()
        let (distance, compared) = comparison(try await surroundings.clocks())
        var verdict: Finding.Verdict = kept?.isSynchronised == false ? .warn : .ok
        if distance > clockFail {
            verdict = .fail
        } else if distance > clockWarn {
            verdict = .warn
        }
        return [
            Finding(
                "clock", verdict, found: "\(words(kept)); \(compared)",
                wanted: clockWanted,
                mend: "Have the network set it: timedatectl set-ntp true, or install chrony; for a "
                    + "container or a virtual machine, on its host")
        ]
    }

    private static func words(_ kept: Timekeeping?) -> String {
        guard let kept else { return "whether it is set is unknown: the kernel does not say" }
        guard kept.isSynchronised else { return "not synchronised: no time service sets it" }
        let error = kept.estimatedError
        // Many time services leave the estimate at nothing.
        guard error > .zero else { return "synchronised" }
        return "synchronised, within \(Int((error / .milliseconds(1)).rounded(.up))) ms"
    }

    /// Seconds to the reading that is furthest away, and that in words.
    private static func comparison(_ readings: [ClockReading]) -> (UInt64, String) {
        func apart(_ reading: ClockReading) -> Int64 {
            let (seconds, isTooMuch) = reading.theirs.subtractingReportingOverflow(reading.ours)
            return isTooMuch ? .max : seconds
        }
        guard let worst = readings.max(by: { apart($0).magnitude < apart($1).magnitude }) else {
            return (0, "nobody could be asked for the time")
        }
        let seconds = apart(worst)
        guard seconds != 0 else { return (0, "the same as that of \(worst.who)") }
        let words = "\(seconds.magnitude) s \(seconds > 0 ? "behind" : "before")"
        return (seconds.magnitude, words + " that of \(worst.who)")
    }
}
