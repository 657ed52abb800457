// How much memory the process may use, read from texts.

import Gateway
import Testing

@Suite struct MachineMemoryTests {
    private let meminfo = "MemTotal:       16384000 kB\nMemFree:         1000000 kB\n"

    private func allowed(cgroup: String?, _ files: [String: String] = [:]) -> UInt64? {
        MachineMemory.allowed(meminfo: meminfo, cgroup: cgroup, read: { files[$0] })
    }

    @Test func withoutGroupsItIsTheMachines() {
        #expect(allowed(cgroup: nil) == 16_384_000 << 10)
        #expect(allowed(cgroup: "0::/\n") == 16_384_000 << 10)
        #expect(allowed(cgroup: "0::/a\n", ["/a/memory.max": "max\n"]) == 16_384_000 << 10)
        #expect(MachineMemory.allowed(meminfo: nil, cgroup: nil, read: { _ in nil }) == nil)
        #expect(MachineMemory.allowed(meminfo: "nonsense", cgroup: "::", read: { _ in "x" }) == nil)
    }

    @Test func theTightestGroupAroundCounts() {
        let files = [
            "/system.slice/sluice.service/memory.max": "max\n",
            "/system.slice/memory.max": "1073741824\n", "/memory.max": "2147483648\n",
        ]
        #expect(allowed(cgroup: "0::/system.slice/sluice.service\n", files) == 1 << 30)
        #expect(
            allowed(
                cgroup: "0::/a\n", ["/a/memory.max": "536870912\n", "/memory.max": "1073741824\n"])
                == 512 << 20)
    }

    @Test func groupsOfVersionOneToo() {
        let cgroup = "12:cpu,cpuacct:/docker/1\n5:memory:/docker/1\n0::/docker/1\n"
        let files = ["/memory/docker/1/memory.limit_in_bytes": "268435456\n"]
        #expect(allowed(cgroup: cgroup, files) == 256 << 20)
    }

    @Test func thisMachineSaysSomething() {
        #expect((MachineMemory.allowed() ?? 0) > 64 << 20)
    }
}
