// What the settings want of the surroundings, as far as checks compare it.

package struct HousePlan: Sendable {
    package struct SecretFile: Sendable, Equatable {
        /// The setting that names it.
        package var setting: String
        package var path: String
        /// It may be missing: the gateway makes it.
        package var isMadeByGateway: Bool

        package init(setting: String, path: String, isMadeByGateway: Bool = false) {
            self.setting = setting
            self.path = path
            self.isMadeByGateway = isMadeByGateway
        }
    }

    /// `limits.connections`.
    package var connections = 20_000
    /// `memory.anonymous` and `memory.mapped`; nil: half of what is allowed, each.
    package var anonymousBytes: UInt64?
    package var mappedBytes: UInt64?
    /// `shards.count`; nil: one a processor.
    package var shards: Int?
    package var repository = "./models"
    /// The models come from a bucket.
    package var isBucket = false
    /// Issuers that are not the gateway itself, by name.
    package var issuers: [String] = []
    package var secretFiles: [SecretFile] = []
    /// Folders that are written to, by setting.
    package var folders: [(setting: String, path: String)] = []
    /// `listen` and `admin`.
    package var ports: [(setting: String, place: String)] = []

    package init() {}
}
