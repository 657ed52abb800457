// A terminal of a test's own, as a person would have one: a shell in tmux, keys that are pressed, and what is seen.

import Foundation

/// A shell in a window of its own tmux server, which ends with the test.
struct TerminalSession: Sendable {
    private let socket: String

    /// Runs `body` with a shell in a window of that size.
    static func open<Outcome>(
        width: Int = 120, height: Int = 40, environment: [String: String] = [:],
        _ body: (TerminalSession) async throws -> Outcome
    ) async throws -> Outcome {
        let session = TerminalSession(socket: "sluice-\(UUID().uuidString.prefix(8))")
        try await session.tmux(
            ["-f", "/dev/null", "new-session", "-d", "-x", "\(width)", "-y", "\(height)"]
                + environment.flatMap { ["-e", "\($0.key)=\($0.value)"] }
                + ["env", "-u", "NO_COLOR", "PS1=prompt> ", "TERM=screen-256color", "sh"])
        do {
            try await session.sees("prompt>")
            let outcome = try await body(session)
            try await session.tmux(["kill-server"])
            return outcome
        } catch {
            _ = try? await session.tmux(["kill-server"])
            throw error
        }
    }

    @discardableResult
    func tmux(_ arguments: [String]) async throws -> String {
        // The server stays: it must not keep what Foundation sees a process's end by.
        let script = """
            (for file in /proc/$BASHPID/fd/*; do
                number=${file##*/}; if [ "$number" -gt 2 ]; then eval "exec $number>&-"; fi
            done; exec tmux "$@")
            """
        let done = try await Command.run(
            program: "/bin/bash", ["-c", script, "tmux", "-L", socket] + arguments)
        guard done.status == 0 else { throw TestTrouble("tmux \(arguments): \(done.error)") }
        return done.output
    }

    /// Keys by tmux's names, or texts.
    func press(_ keys: String...) async throws { try await tmux(["send-keys"] + keys) }

    /// A line for the shell.
    func enter(_ line: String) async throws { try await tmux(["send-keys", line, "Enter"]) }

    /// What is on the screen now.
    func screen() async throws -> String { try await tmux(["capture-pane", "-p"]) }

    func lines() async throws -> [String] {
        try await screen().split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    /// Waits until the screen is as wanted; says what it was when it does not come.
    func waits(
        for what: String, within seconds: Double = 20, _ condition: (String) -> Bool
    ) async throws {
        var last = ""
        do {
            try await eventually(within: seconds, what) {
                last = try await screen()
                return condition(last)
            }
        } catch {
            throw TestTrouble("\(error), on the screen:\n\(last)")
        }
    }

    func sees(_ text: String, within seconds: Double = 20) async throws {
        try await waits(for: "'\(text)' on the screen", within: seconds) { $0.contains(text) }
    }

    /// Whether a program has the whole screen, and whether the cursor is shown.
    func state() async throws -> String {
        try await tmux(["display-message", "-p", "#{alternate_on} #{cursor_flag}"])
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The process that the shell runs now.
    func child() async throws -> Int32? {
        let shell = try await tmux(["display-message", "-p", "#{pane_pid}"])
            .trimmingCharacters(in: .whitespacesAndNewlines)
        let text = try String(
            contentsOfFile: "/proc/\(shell)/task/\(shell)/children", encoding: .utf8)
        return text.split(separator: " ").first.flatMap { Int32($0) }
    }
}
