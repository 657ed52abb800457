// Shows on standard error that an import goes on.

import Foundation
import Workshop

/// Writes events as text.
struct ProgressLines {
    private let text: ProgressText

    static var isTerminal: Bool { isatty(2) == 1 }

    init(isTerminal: Bool) { text = ProgressText(isTerminal: isTerminal) }

    func show(_ event: ImportEvent) {
        guard let shown = text.text(for: event) else { return }
        FileHandle.standardError.write(Data(shown.utf8))
    }
}
