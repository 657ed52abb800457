// What the settings want of their surroundings, for `sluice doctor`.

package import Checkup
import Contract
import NIOCore

extension HousePlan {
    package init(_ settings: Settings) {
        self.init()
        connections = settings.limits.connections
        anonymousBytes = settings.memory.anonymous.map { UInt64($0) }
        mappedBytes = settings.memory.mapped.map { UInt64($0) }
        shards = settings.shards.count ?? System.coreCount
        repository = settings.models.repository
        isBucket = settings.models.isBucket
        issuers = settings.auth.issuers.filter { $0.kind != .embedded }.map(\.name)
        secretFiles = HousePlan.secretFiles(settings)
        folders = [("state", settings.state)]
        if isBucket { folders.append(("models.cache.path", settings.cachePath)) }
        ports = [("listen", "\(settings.listen)"), ("admin", "\(settings.admin)")]
    }

    private static func secretFiles(_ settings: Settings) -> [SecretFile] {
        var files: [SecretFile] = []
        if let key = settings.tls.key {
            files.append(SecretFile(setting: "tls.key", path: key))
        } else {
            files.append(
                SecretFile(
                    setting: "tls.key", path: OwnCertificate(settings.state).key,
                    isMadeByGateway: true))
        }
        files += settings.tls.certificates.map {
            SecretFile(setting: "tls.certificates", path: $0.key)
        }
        let bucket = settings.models.bucket
        let named = [
            ("tls.ticket_keys", settings.tls.ticketKeys),
            ("models.s3.access_key_file", bucket.accessKeyFile),
            ("models.s3.secret_key_file", bucket.secretKeyFile),
            ("models.s3.session_token_file", bucket.sessionTokenFile),
        ]
        let keys = settings.auth.issuers.map {
            ("auth.issuers.\($0.name).client_key", $0.clientKey)
        }
        return files
            + (named + keys).compactMap { setting, path in
                path.map { SecretFile(setting: setting, path: $0) }
            }
    }
}

extension Settings {
    /// Where a bucket's models are kept.
    var cachePath: String { models.cache.path ?? state + "/cache" }
}

extension ModelSettings {
    var isBucket: Bool { repository.hasPrefix("s3://") }
}

/// The certificate that the gateway makes when the settings name none.
struct OwnCertificate {
    let certificate: String
    let key: String

    init(_ state: String) {
        certificate = state + "/tls/cert.pem"
        key = state + "/tls/key.pem"
    }
}
