// What a caller's plan has left, as metadata of its reply: the fields of draft-ietf-httpapi-ratelimit-headers, so that a proxy
// can hand them on as they are.

import Contract
import Messages

enum RateLimitFields {
    static let limit = "ratelimit"
    static let policy = "ratelimit-policy"

    /// `ratelimit: "calls";r=50;t=30` and `ratelimit-policy: "calls";q=100;w=60`: structured fields (RFC 9651), each a list of
    /// one item. A name is `[a-z-]+`, so that nothing in it needs a backslash.
    static func entries(_ allowance: Allowance) -> [MetadataEntry] {
        let name = "\"\(allowance.name)\""
        return [
            MetadataEntry(
                key: limit, value: "\(name);r=\(allowance.remaining);t=\(allowance.resetSeconds)"),
            MetadataEntry(
                key: policy, value: "\(name);q=\(allowance.limit);w=\(allowance.windowSeconds)"),
        ]
    }
}
