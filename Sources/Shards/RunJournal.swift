// Who is in native code, noted so that the next start can read it after a crash. The house keeps the journal
// (Gateway's Fence); this room only says when.

package import Catalogue

/// Gives out pens. Any thread may ask.
package protocol RunJournal: Sendable {
    /// A pen of one's own; it goes back when its last reference ends.
    func pen() -> any JournalPen
}

/// Notes what one thread is at. On the path of every call: it makes no call of the system and takes no lock. Used by
/// one thread at a time.
package protocol JournalPen: AnyObject, Sendable {
    /// The thread is about to enter native code for this model. `leave` follows.
    func enter(_ entry: ModelEntry, _ activity: Suspect.Activity)
    func leave()
}

/// Notes nothing.
package final class NoJournal: RunJournal, JournalPen {
    package init() {}
    package func pen() -> any JournalPen { self }
    package func enter(_ entry: ModelEntry, _ activity: Suspect.Activity) {}
    package func leave() {}
}
