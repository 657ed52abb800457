// What a confined child runs and how much it may use. Beside the walk: imports and trials of models nobody has
// vouched for.

/// The program of a child and what it sees of its surroundings.
package struct ChildCommand: Sendable {
    /// Absolute path.
    package var program: String
    /// Without the program's own name.
    package var arguments: [String]
    /// All of the child's environment: nothing is inherited.
    package var environment: [String: String]
    /// Where it works.
    package var folder: String

    package init(
        program: String, arguments: [String], environment: [String: String], folder: String
    ) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.folder = folder
    }
}

/// The most a child may use.
package struct ChildLimits: Sendable, Equatable {
    /// From its start to its end; then the whole process group is killed.
    package var time: Duration
    /// Private memory it may write, in bytes (RLIMIT_DATA): its own and private mappings of files, counted when they
    /// are asked for; nil: no limit.
    package var memoryBytes: UInt64?
    /// Processor time of all its threads; nil: no limit.
    package var processorTime: Duration?
    /// The longest file it may write, in bytes; nil: no limit.
    package var fileBytes: UInt64?
    package var openFiles = 1_024
    /// Whether it may use the network.
    package var reachesNetwork = false
    /// Whether its standard output goes where its standard error goes, to be told in lines.
    package var joinsOutput = false
    /// Bytes of its standard output that are kept.
    package var outputBytes = 16 << 20

    package init(time: Duration, memoryBytes: UInt64? = nil) {
        self.time = time
        self.memoryBytes = memoryBytes
    }
}

/// How a child ended and what it said.
package struct ChildOutcome: Sendable {
    package enum Ending: Sendable, Equatable {
        case exited(Int32)
        /// The number of the signal that ended it.
        case signalled(Int32)
        /// ``ChildLimits/time`` had passed and it was killed.
        case timedOut
    }

    package var ending: Ending
    /// Standard output, up to ``ChildLimits/outputBytes``.
    package var output: [UInt8]
    /// The end of standard error, at most ``complaintBytesMax``.
    package var complaint: String
    /// Whether it could not reach the network: true where that was asked for and the system allowed it.
    package var isAlone: Bool
    package var time: Duration

    package static let complaintBytesMax = 16 << 10
    /// The system's numbers of signals, for telling limits apart.
    package static let processorTimeSignal: Int32 = 24
    package static let killSignal: Int32 = 9
}

/// A child that could not be started.
package struct ChildFault: Error, Sendable, Equatable, CustomStringConvertible {
    package var description: String
}
