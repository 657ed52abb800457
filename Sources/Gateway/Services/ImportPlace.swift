// Where `sluice models import` puts a version: a folder, or the bucket that the settings know how to reach.

package import Contract
import Foundation
import Logging
import NIOCore
import NIOPosix
import Outside
package import Workshop

package enum ImportPlace {
    /// Runs `body` with the target that `place` names, a folder or `s3://BUCKET/PREFIX`. How a bucket is reached (models.s3)
    /// comes from the settings `file` and the environment. Waits for the store: on a thread of its own.
    package static func with<Outcome>(
        _ place: String, settings file: String?, environment: [String: String],
        _ body: (any ImportTarget) throws(GatewayError) -> Outcome
    ) throws(GatewayError) -> Outcome {
        guard place.hasPrefix(BucketLocation.scheme) else {
            return try body(FolderTarget(path: place))
        }
        let settings = try Settings.load(
            file: file, environment: environment, flags: ["models.repository": place])
        let store = try settings.models.openStore(
            environment: environment, group: MultiThreadedEventLoopGroup.singleton,
            logger: Logger(label: "sluice"))
        let outcome: Result<Outcome, GatewayError>
        do throws(GatewayError) {
            outcome = .success(try body(target(store)))
        } catch {
            outcome = .failure(error)
        }
        try waiting("the store does not close") { try await store.close() }
        return try outcome.get()
    }

    private static func target(_ store: ObjectStore) -> BucketTarget {
        let location = store.settings.location
        return BucketTarget(
            place: "\(location)",
            list: { prefix throws(GatewayError) in
                try waiting("\(location) cannot be listed") {
                    try await store.list(prefix: location.key(prefix))
                }
                .map { String($0.key.dropFirst(location.key("").count)) }
            },
            put: { path, key, sha256 throws(GatewayError) in
                try waiting("'\(key)' cannot be stored in \(location)") {
                    try await store.put(file: path, key: location.key(key), sha256: sha256)
                }
            })
    }

    private static func waiting<Value: Sendable>(
        _ what: String, _ ask: @escaping @Sendable () async throws -> Value
    ) throws(GatewayError) -> Value {
        do {
            let loop = MultiThreadedEventLoopGroup.singleton.any()
            return try loop.makeFutureWithTask(ask).wait()
        } catch let error as GatewayError {
            throw error
        } catch let trouble as StoreTrouble {
            throw GatewayError(
                .unavailable, "\(what): \(trouble.why)", mend: "See models.s3 in the settings")
        } catch {
            throw GatewayError(.unavailable, "\(what): \(error)")
        }
    }
}
