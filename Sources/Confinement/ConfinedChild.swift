// Runs one confined child to its end, on the calling thread: reads what it says, watches the clock, and kills its
// process group when the time is over.

import CConfinement
import Glibc

/// Children with limits. The calling thread waits: never call it on an event loop.
///
/// Thread rule: the child dies with the thread that started it, so that thread stays until the child has ended.
package enum ConfinedChild {
    /// How often a silent child is looked at.
    private static let lookMilliseconds: Int32 = 20

    /// Runs the command.
    ///
    /// - Parameters:
    ///   - line: is told each line of standard error as it comes.
    /// Throws when the child could not be started; whatever happens to it afterwards is its outcome.
    package static func run(
        _ command: ChildCommand, limits: ChildLimits, line: ((String) -> Void)? = nil
    ) throws(ChildFault) -> ChildOutcome {
        var output = try Pipe()
        var error = try Pipe()
        let clock = ContinuousClock()
        let began = clock.now
        let start = try start(
            command, limits, output: limits.joinsOutput ? error.writer : output.writer,
            error: error.writer)
        output.closeWriter()
        error.closeWriter()
        var reading = Reading(outputBytes: limits.outputBytes, line: line)
        var ending: ChildOutcome.Ending?
        while ending == nil {
            reading.read(output, error, waitingAtMost: lookMilliseconds)
            ending = end(of: start.process)
            if ending == nil, clock.now - began > limits.time {
                kill(-start.process, SIGKILL)
                waitForEnd(of: start.process)
                ending = .timedOut
            }
        }
        // Whatever it started and left behind.
        kill(-start.process, SIGKILL)
        reading.read(output, error, waitingAtMost: 0)
        reading.finish()
        return ChildOutcome(
            ending: ending ?? .timedOut, output: reading.output, complaint: reading.complaint,
            isAlone: !limits.reachesNetwork && !start.isNetworked, time: clock.now - began)
    }

    private static func start(
        _ command: ChildCommand, _ limits: ChildLimits, output: Int32, error: Int32
    ) throws(ChildFault) -> CConfinement_Start {
        let texts =
            [command.program, command.folder] + command.arguments
            + command.environment.flatMap { [$0.key, $0.value] }
        guard texts.allSatisfy({ !$0.utf8.contains(0) }) else {
            throw ChildFault(description: "a word of the command holds a zero byte")
        }
        var given = CConfinement_Limits()
        given.dataBytes = limits.memoryBytes ?? 0
        given.cpuSeconds = limits.processorTime.map { UInt64(max(1, $0.components.seconds)) } ?? 0
        given.fileBytes = limits.fileBytes ?? 0
        given.openFiles = UInt64(limits.openFiles)
        given.isAlone = !limits.reachesNetwork
        var start = CConfinement_Start()
        let arguments = WordRow([command.program] + command.arguments)
        let environment = WordRow(
            command.environment.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" })
        // SAFETY: rows and texts live for the call; the structures are filled and not kept.
        unsafe CConfinement_start(
            command.program, arguments.base, environment.base, command.folder, output, error,
            &given, &start)
        guard start.step == CConfinement_Started else {
            throw ChildFault(
                description: "\(command.program) cannot be started: \(step(start.step)): "
                    + systemText(start.number))
        }
        return start
    }

    private static func step(_ step: CConfinement_Step) -> String {
        switch step {
        case CConfinement_Fork: "no process"
        case CConfinement_Group: "no process group"
        case CConfinement_Descriptors: "no input and output"
        case CConfinement_Folder: "its folder"
        case CConfinement_Limit: "a limit"
        case CConfinement_Privileges: "its privileges"
        default: "the program"
        }
    }

    /// Nil while it runs.
    private static func end(of process: pid_t) -> ChildOutcome.Ending? {
        var status: Int32 = 0
        // SAFETY: waitpid fills the number it is given.
        let ended = unsafe waitpid(process, &status, WNOHANG)
        guard ended == process else { return nil }
        return ending(status)
    }

    private static func waitForEnd(of process: pid_t) {
        // A killed process ends soon.
        while waitpid(process, nil, 0) < 0, errno == EINTR {}
    }

    /// As the macros WIFEXITED and WTERMSIG say (wait(2)).
    private static func ending(_ status: Int32) -> ChildOutcome.Ending {
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .signalled(signal)
    }

    static func systemText(_ number: Int32) -> String {
        // SAFETY: strerror answers a terminated text, copied before anything else runs on this thread.
        guard let text = unsafe strerror(number) else { return "error \(number)" }
        return unsafe String(cString: text)
    }
}

/// Words as C wants them, ended by a null.
@safe private final class WordRow {
    private let words: [UnsafeMutablePointer<CChar>?]
    let base: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    init(_ texts: [String]) {
        // SAFETY: strdup copies; the copies are freed in deinit.
        unsafe words = texts.map { unsafe strdup($0) } + [nil]
        unsafe base = .allocate(capacity: texts.count + 1)
        for index in 0...texts.count { unsafe (base + index).initialize(to: words[index]) }
    }

    deinit {
        for index in unsafe words.indices { unsafe free(words[index]) }
        unsafe base.deallocate()
    }
}

/// A pipe whose reading end never waits.
private struct Pipe: ~Copyable {
    let reader: Int32
    private(set) var writer: Int32

    init() throws(ChildFault) {
        var (reader, writer): (Int32, Int32) = (-1, -1)
        // SAFETY: fills the two numbers.
        let result = unsafe CConfinement_pipe(&reader, &writer)
        guard result == 0 else {
            throw ChildFault(
                description: "no pipe to a child: \(ConfinedChild.systemText(errno))")
        }
        self.reader = reader
        self.writer = writer
    }

    mutating func closeWriter() {
        if writer >= 0 { _ = close(writer) }
        writer = -1
    }

    deinit {
        if writer >= 0 { _ = close(writer) }
        _ = close(reader)
    }
}

/// What a child has said so far.
private struct Reading {
    private static let windowBytes = 64 << 10
    private static let lineBytesMax = 4 << 10

    private let outputBytes: Int
    private let line: ((String) -> Void)?
    private(set) var output: [UInt8] = []
    private var tail: [UInt8] = []
    private var pending: [UInt8] = []

    init(outputBytes: Int, line: ((String) -> Void)?) {
        self.outputBytes = outputBytes
        self.line = line
    }

    var complaint: String {
        String(decoding: tail, as: UTF8.self).trimmed
    }

    /// Takes what is there, after waiting for something.
    mutating func read(
        _ output: borrowing Pipe, _ error: borrowing Pipe, waitingAtMost milliseconds: Int32
    ) {
        var polled = [
            pollfd(fd: output.reader, events: Int16(POLLIN), revents: 0),
            pollfd(fd: error.reader, events: Int16(POLLIN), revents: 0),
        ]
        // SAFETY: poll reads and fills the two structures.
        let count = unsafe poll(&polled, 2, milliseconds)
        guard count > 0 else { return }
        let isOver = polled.allSatisfy { $0.revents & Int16(POLLIN) == 0 }
        let said = take(from: output.reader)
        self.output += said.prefix(max(0, outputBytes - self.output.count))
        note(take(from: error.reader))
        if isOver, milliseconds > 0 {
            // Both ends are closed and the process still lives: wait here, not in a spin.
            poll(nil, 0, milliseconds)
        }
    }

    private func take(from reader: Int32) -> [UInt8] {
        var bytes: [UInt8] = []
        var window = [UInt8](repeating: 0, count: Reading.windowBytes)
        while bytes.count < 1 << 20 {
            // SAFETY: read fills at most the window.
            let count = unsafe window.withUnsafeMutableBytes { buffer in
                unsafe Glibc.read(reader, buffer.baseAddress, buffer.count)
            }
            guard count > 0 else { break }
            bytes += window[..<count]
        }
        return bytes
    }

    private mutating func note(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        tail += bytes
        if tail.count > ChildOutcome.complaintBytesMax {
            tail.removeFirst(tail.count - ChildOutcome.complaintBytesMax)
        }
        guard line != nil else { return }
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                finish()
            } else if pending.count < Reading.lineBytesMax {
                pending.append(byte)
            }
        }
    }

    /// Tells the line that has begun.
    mutating func finish() {
        guard !pending.isEmpty else { return }
        line?(String(decoding: pending, as: UTF8.self))
        pending = []
    }
}

extension String {
    fileprivate var trimmed: String {
        var text = self[...]
        while let last = text.last, last.isWhitespace { text.removeLast() }
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        return String(text)
    }
}
