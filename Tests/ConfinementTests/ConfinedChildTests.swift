// Children with limits: each limit ends a child that breaks it, and nothing is left behind.

import Confinement
import Testing

@Suite struct ConfinedChildTests {
    private func run(
        _ script: String, _ limits: ChildLimits = ChildLimits(time: .seconds(20)),
        environment: [String: String] = [:], line: ((String) -> Void)? = nil
    ) throws -> ChildOutcome {
        try ConfinedChild.run(
            ChildCommand(
                program: "/bin/sh", arguments: ["-c", script], environment: environment,
                folder: "/tmp"),
            limits: limits, line: line)
    }

    @Test func whatItSaysAndItsStatusComeBack() throws {
        let outcome = try run("echo out; echo one >&2; echo two >&2; exit 7")
        #expect(outcome.ending == .exited(7))
        #expect(String(decoding: outcome.output, as: UTF8.self) == "out\n")
        #expect(outcome.complaint == "one\ntwo")
    }

    @Test func itSeesOnlyTheEnvironmentItIsGiven() throws {
        let outcome = try run("env", environment: ["ONLY": "this"])
        let names = String(decoding: outcome.output, as: UTF8.self).split(separator: "\n")
            .compactMap { $0.split(separator: "=").first }
        #expect(Set(names).isSubset(of: ["ONLY", "PWD", "SHLVL", "_", "OLDPWD"]))
        #expect(names.contains("ONLY"))
    }

    @Test func linesAreToldAsTheyCome() throws {
        var lines: [String] = []
        _ = try run("echo one >&2; printf two >&2", line: { lines.append($0) })
        #expect(lines == ["one", "two"])
        var limits = ChildLimits(time: .seconds(20))
        limits.joinsOutput = true
        lines = []
        let joined = try run("echo said", limits, line: { lines.append($0) })
        #expect(lines == ["said"])
        #expect(joined.output.isEmpty)
    }

    @Test func aChildThatNeverEndsIsKilledWithItsOwnChildren() throws {
        let outcome = try run(
            "sleep 1000 & echo $!; wait", ChildLimits(time: .milliseconds(300)))
        #expect(outcome.ending == .timedOut)
        #expect(outcome.time < .seconds(10))
        // The group died with it: nobody answers to that number.
        let number =
            String(decoding: outcome.output, as: UTF8.self)
            .split(separator: "\n").first.map(String.init) ?? ""
        let look = try run(
            "for i in 1 2 3 4 5 6 7 8 9 10; do test -d /proc/\(number) || exit 0; "
                + "grep -q 'State:.Z' /proc/\(number)/status && exit 0; sleep 0.1; done; exit 1")
        #expect(look.ending == .exited(0))
    }

    @Test func memoryBeyondTheLimitCannotBeHad() throws {
        let hungry = "x=$(head -c 300000000 /dev/zero | tr '\\0' a); echo got ${#x}"
        let poor = try run(hungry, ChildLimits(time: .seconds(30), memoryBytes: 64 << 20))
        #expect(!String(decoding: poor.output, as: UTF8.self).contains("got 300000000"))
    }

    @Test func processorTimeIsLimited() throws {
        var limits = ChildLimits(time: .seconds(30))
        limits.processorTime = .seconds(1)
        let outcome = try run("while :; do :; done", limits)
        #expect(
            outcome.ending == .signalled(ChildOutcome.processorTimeSignal)
                || outcome.ending == .signalled(ChildOutcome.killSignal))
    }

    @Test func filesAreLimited() throws {
        var limits = ChildLimits(time: .seconds(30))
        limits.fileBytes = 4_096
        let outcome = try run(
            "f=$(mktemp); head -c 100000 /dev/zero > $f; s=$(stat -c %s $f); rm $f; echo $s", limits
        )
        #expect(String(decoding: outcome.output, as: UTF8.self) == "4096\n")
    }

    @Test func anotherNetworkIsEmpty() throws {
        let outcome = try run("cat /proc/net/dev")
        let interfaces = String(decoding: outcome.output, as: UTF8.self)
            .split(separator: "\n").dropFirst(2).count
        // Where the system lets a user make one, it has nothing but its own loopback.
        if outcome.isAlone { #expect(interfaces == 1) }
        var limits = ChildLimits(time: .seconds(20))
        limits.reachesNetwork = true
        #expect(try !run("true", limits).isAlone)
    }

    @Test func moreThanIsKeptIsReadAndDropped() throws {
        var limits = ChildLimits(time: .seconds(30))
        limits.outputBytes = 1_000
        let outcome = try run("head -c 5000000 /dev/zero; head -c 100000 /dev/zero >&2", limits)
        #expect(outcome.ending == .exited(0))
        #expect(outcome.output.count == 1_000)
        #expect(outcome.complaint.utf8.count <= ChildOutcome.complaintBytesMax)
    }

    @Test func whatCannotBeStartedIsSaid() throws {
        let missing = ChildCommand(
            program: "/nowhere/at-all", arguments: [], environment: [:], folder: "/tmp")
        let fault = #expect(throws: ChildFault.self) {
            try ConfinedChild.run(missing, limits: ChildLimits(time: .seconds(5)))
        }
        #expect(fault?.description.contains("No such file") == true)
        let lost = ChildCommand(
            program: "/bin/true", arguments: [], environment: [:], folder: "/nowhere")
        let second = #expect(throws: ChildFault.self) {
            try ConfinedChild.run(lost, limits: ChildLimits(time: .seconds(5)))
        }
        #expect(second?.description.contains("its folder") == true)
        let zero = ChildCommand(
            program: "/bin/true", arguments: ["a\0b"], environment: [:], folder: "/tmp")
        #expect(throws: ChildFault.self) {
            try ConfinedChild.run(zero, limits: ChildLimits(time: .seconds(5)))
        }
    }

    @Test func itHasNoDescriptorsOfItsParents() throws {
        // No pipeline: the shell itself would hold an end of its pipe for a moment. No last command either: it would take the
        // shell's place.
        let outcome = try run("ls /proc/$$/fd; true")
        #expect(String(decoding: outcome.output, as: UTF8.self) == "0\n1\n2\n")
    }
}
