// One thing that is wrong in the settings.

/// What is wrong, where, and what would be right. Never holds a secret.
package struct SettingsFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// For example `limits.message`; empty for the file as a whole.
    package var key: String
    /// `line 12`, `SLUICE_LIMITS_MESSAGE` or `--listen`; empty when it is nowhere in particular.
    package var place: String
    /// The rest of the sentence that begins with the key.
    package var message: String

    package init(key: String, place: String, message: String) {
        self.key = key
        self.place = place
        self.message = message
    }

    package var description: String {
        let head = place.isEmpty ? key : key.isEmpty ? place : "\(key) (\(place))"
        return head.isEmpty ? message : "\(head): \(message)"
    }
}
