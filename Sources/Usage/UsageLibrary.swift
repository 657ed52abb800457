// Which SQLite the ledgers are written with, for those who look after a house.

package import Contract
private import GRDB

package enum UsageLibrary {
    /// For example `3.40.1`. Blocks. Throws INTERNAL.
    package static func version() throws(GatewayError) -> String {
        do {
            let queue = try DatabaseQueue()
            let version = try queue.read { try String.fetchOne($0, sql: "SELECT sqlite_version()") }
            return version ?? ""
        } catch {
            throw GatewayError(.internal, "SQLite does not work: \(error)")
        }
    }
}
