// When files that are written by others are to be read again: a plan without a clock.

package import Files

/// Looks at some files from time to time and says when they are new and at rest. A pair is written one file after the
/// other: what changed is judged when two looks in a row have seen the same.
package struct FilePlan: Sendable, Equatable {
    /// What each file looked like; nil for one that is not there.
    package typealias Stamps = [FileFacts?]

    /// As they were when they were last read, taken or refused.
    private(set) var judged: Stamps
    private var seen: Stamps

    package init(judged: Stamps) {
        self.judged = judged
        seen = judged
    }

    /// Whether the files are to be read now.
    package mutating func look(_ now: Stamps) -> Bool {
        defer { seen = now }
        return now != judged && now == seen
    }

    /// They were read: good or bad, they are not read again before they change.
    package mutating func judge(_ stamps: Stamps) {
        judged = stamps
        seen = stamps
    }

    /// The stamps of files as they are now. Blocks.
    package static func stamps(of paths: [String]) -> Stamps {
        paths.map { path in try? OpenFile(path: path).facts }
    }
}
