// How much memory this process may use: the machine's, or less when a control group says so (cgroups(7)).

import Foundation

/// Read once, at start.
package enum MachineMemory {
    /// Bytes this process may use; nil when the system does not say.
    package static func allowed() -> UInt64? {
        allowed(
            meminfo: text("/proc/meminfo"), cgroup: text("/proc/self/cgroup"),
            read: { text("/sys/fs/cgroup" + $0) })
    }

    /// The least of the machine's memory and the limits of the process's control group and the groups around it, of
    /// version 2 (`memory.max`) or 1 (`memory.limit_in_bytes`).
    package static func allowed(
        meminfo: String?, cgroup: String?, read: (String) -> String?
    ) -> UInt64? {
        var limits: [UInt64] = []
        if let machine = meminfo.flatMap(total) { limits.append(machine) }
        for line in (cgroup ?? "").split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isSecond = parts[0] == "0" && parts[1].isEmpty
            guard isSecond || parts[1].split(separator: ",").contains("memory") else { continue }
            let (root, file) = isSecond ? ("", "memory.max") : ("/memory", "memory.limit_in_bytes")
            for group in groups(of: String(parts[2])) {
                guard let limit = read("\(root)\(group)/\(file)") else { continue }
                // `max` is no limit.
                if let bytes = UInt64(limit.trimmingCharacters(in: .whitespacesAndNewlines)) {
                    limits.append(bytes)
                }
            }
        }
        return limits.min()
    }

    /// The group and those it lies in, `/a/b`, `/a` and the root, which is empty.
    private static func groups(of path: String) -> [String] {
        let names = path.split(separator: "/")
        return (0...names.count).reversed().map { count in
            names.prefix(count).reduce("") { $0 + "/" + $1 }
        }
    }

    private static func total(_ meminfo: String) -> UInt64? {
        guard let line = meminfo.split(separator: "\n").first(where: { $0.hasPrefix("MemTotal:") })
        else { return nil }
        return line.split(separator: " ").dropFirst().first.flatMap { UInt64($0) }.map { $0 << 10 }
    }

    private static func text(_ path: String) -> String? {
        try? String(contentsOfFile: path, encoding: .utf8)
    }
}
