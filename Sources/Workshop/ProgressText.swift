// How an import shows that it goes on: a bar on a terminal, a line a step elsewhere.

/// Turns events into text. Used by one thread.
package struct ProgressText {
    private let isTerminal: Bool
    private let width = 24

    package init(isTerminal: Bool) { self.isTerminal = isTerminal }

    /// What to write for an event; nil for nothing.
    package func text(for event: ImportEvent) -> String? {
        switch event {
        case .began(let step):
            isTerminal ? "\r\u{1B}[K\(title(step)) ..." : "\(title(step)) begins\n"
        case .progress(let step, let part):
            isTerminal ? "\r\u{1B}[K\(title(step)) \(bar(part))" : nil
        case .note(let note): (isTerminal ? "\r\u{1B}[K" : "") + "\(padded("note")) \(note)\n"
        case .ended(let step, let outcome):
            (isTerminal ? "\r\u{1B}[K" : "") + "\(title(step)) \(outcome)\n"
        }
    }

    private func title(_ step: ImportStep) -> String { padded(step.rawValue) }

    private func padded(_ word: String) -> String {
        word + String(repeating: " ", count: max(0, 11 - word.count))
    }

    private func bar(_ part: Double) -> String {
        let done = min(1, max(0, part))
        let full = Int((done * Double(width)).rounded(.down))
        let shown =
            String(repeating: "#", count: full) + String(repeating: ".", count: width - full)
        return "[\(shown)] \(Int(done * 100)) %"
    }
}
