// Where a bucket is: `s3://BUCKET/PREFIX` and the endpoint's address, turned into hosts and paths.

package import Contract

/// What an operator writes as `models.repository`.
package struct BucketLocation: Sendable, Hashable, CustomStringConvertible {
    package static let scheme = "s3://"

    package let bucket: String
    /// Without slashes at its ends; may be empty.
    package let prefix: String

    /// Nil when the text is no `s3://BUCKET` or `s3://BUCKET/PREFIX`.
    package init?(_ text: String) {
        guard text.hasPrefix(BucketLocation.scheme), text.utf8.count <= 1_024 else { return nil }
        let parts = text.dropFirst(BucketLocation.scheme.count)
            .split(separator: "/", omittingEmptySubsequences: false).map { String($0) }
        guard let bucket = parts.first, BucketLocation.isBucket(bucket) else { return nil }
        var folders = parts.dropFirst()
        while folders.last == "" { folders.removeLast() }
        guard
            folders.allSatisfy({ folder in
                !folder.isEmpty && folder != "." && folder != ".."
                    && folder.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
            })
        else { return nil }
        self.bucket = bucket
        prefix = folders.joined(separator: "/")
    }

    /// Amazon's rules, and the upper case and underscore that others allow.
    private static func isBucket(_ text: String) -> Bool {
        (3...255).contains(text.utf8.count) && text != ".." && !text.hasPrefix(".")
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                    UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// The key of something below the prefix.
    package func key(_ relative: String) -> String {
        prefix.isEmpty ? relative : prefix + "/" + relative
    }

    package var description: String {
        BucketLocation.scheme + bucket + (prefix.isEmpty ? "" : "/" + prefix)
    }
}

/// An endpoint's address: scheme, host and port, and a path in front of the bucket where there is one.
package struct StoreEndpoint: Sendable, Hashable, CustomStringConvertible {
    package let isEncrypted: Bool
    /// With the port when it was given.
    package let host: String
    /// Begins with a slash, or is empty.
    package let path: String

    /// Nil when the text is not like `https://store.example:9000`.
    package init?(_ text: String) {
        guard text.utf8.count <= 2_048, text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            !text.contains("?"), !text.contains("#"), !text.contains("@"), !text.contains("\\"),
            !text.contains("%")
        else { return nil }
        let rest: Substring
        if text.hasPrefix("https://") {
            isEncrypted = true
            rest = text.dropFirst("https://".count)
        } else if text.hasPrefix("http://") {
            isEncrypted = false
            rest = text.dropFirst("http://".count)
        } else {
            return nil
        }
        let host = rest.prefix { $0 != "/" }.lowercased()
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } : host.prefix { $0 != ":" }
        guard !name.isEmpty, name != "[" else { return nil }
        // What the HTTP client leaves out of the header Host must not be signed.
        let ordinary = isEncrypted ? ":443" : ":80"
        self.host = host.hasSuffix(ordinary) ? String(host.dropLast(ordinary.count)) : host
        var path = String(rest.drop { $0 != "/" })
        while path.hasSuffix("/") { path.removeLast() }
        self.path = path
    }

    /// Amazon's own, for a region.
    package static func amazon(region: String) -> StoreEndpoint? {
        StoreEndpoint("https://s3.\(region).amazonaws.com")
    }

    /// Where an object is, or the bucket itself when `key` is empty.
    package func place(
        of key: String, in bucket: String, usesPathStyle: Bool
    ) -> (host: String, path: String) {
        let encodedKey = RequestSignature.encoded(key, keepsSlashes: true)
        guard usesPathStyle else { return ("\(bucket).\(host)", "\(path)/\(encodedKey)") }
        let encodedBucket = RequestSignature.encoded(bucket)
        return (
            host,
            key.isEmpty ? "\(path)/\(encodedBucket)" : "\(path)/\(encodedBucket)/\(encodedKey)"
        )
    }

    package var description: String { "\(scheme)://\(host)\(path)" }

    var scheme: String { isEncrypted ? "https" : "http" }
}

/// How a bucket is reached. Limits and times of the store in one place.
package struct StoreSettings: Sendable, Equatable {
    package var location: BucketLocation
    package var endpoint: StoreEndpoint
    package var region: String
    /// `HOST/BUCKET/KEY` instead of `BUCKET.HOST/KEY`.
    package var usesPathStyle = true
    /// PEM; nil: the system's authorities.
    package var authority: String?
    package var credentials = CredentialPlaces()

    /// To the connection.
    package var connectTimeout = Nanoseconds.seconds(5)
    /// Without a byte from the store.
    package var stallTimeout = Nanoseconds.seconds(10)
    /// A whole answer that is held in memory: a page of a listing, a manifest.
    package var answerTimeout = Nanoseconds.seconds(30)
    package var connectionsMax = 16
    /// Tries in a row that bring nothing, and the wait after the first; it doubles.
    package var triesMax = 4
    package var retryWait = Nanoseconds.milliseconds(100)
    package var retryWaitMax = Nanoseconds.seconds(2)
    /// A page of a listing has at most 1,000 keys of at most 1,024 bytes.
    package var pageBytesMax = 8 << 20
    package var pagesMax = 10_000
    package var errorBytesMax = 64 << 10

    package init(location: BucketLocation, endpoint: StoreEndpoint, region: String) {
        self.location = location
        self.endpoint = endpoint
        self.region = region
    }
}
