// What stands between the catalogue's word on a model and the engine that opens its files: somebody who looks at
// the files themselves. Declared here, filled by the house; the engine of Shards asks.

/// Looks at the files of a version before the engine sees them.
package protocol ModelInspector: Sendable {
    /// Blocks while the files are read: for loader threads. Throws what is wrong with them.
    func inspect(_ entry: ModelEntry) throws(ModelFault) -> any InspectedModel
}

/// Files that were found in order. They stay open as long as the value lives: let it live until the engine has
/// read them.
package protocol InspectedModel: AnyObject, Sendable {
    /// Where the engine opens the model: a path to the very file that was looked at, where the system has such
    /// paths. External data is found beside it.
    var path: String { get }
    /// To be asked when the engine has read the files: throws when one is no longer the one that was looked at.
    func confirm() throws(ModelFault)
}
