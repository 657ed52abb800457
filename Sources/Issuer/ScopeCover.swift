// What a client may ask for: any part of what it was given.

package import Contract

extension Scope {
    /// True when whoever has this scope loses nothing by having `other` instead.
    package func covers(_ other: Scope) -> Bool {
        switch (self, other) {
        case (.admin, _): true
        case (.modelsAdmin, .modelsRead): true
        case (.infer(let mine), .infer(let theirs)): mine.covers(theirs)
        default: self == other
        }
    }
}

extension ModelPattern {
    /// True when every model that `other` names is named by this one. Compares bytes, as admission does.
    package func covers(_ other: ModelPattern) -> Bool {
        switch (self, other) {
        case (.every, _): true
        case (_, .every): false
        case (.name(let mine), .name(let theirs)): mine == theirs
        case (.name, .prefix): false
        case (.prefix(let stem), .name(let name)), (.prefix(let stem), .prefix(let name)):
            name.text.utf8.starts(with: stem.text.utf8)
        }
    }
}
