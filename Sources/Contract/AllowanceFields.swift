// What a caller's plan has left, in the words of draft-ietf-httpapi-ratelimit-headers: fields of an HTTP answer, and metadata of
// the binary protocol's reply, so that a proxy can hand them on as they are.

extension Allowance {
    /// `ratelimit: "calls";r=50;t=30` and `ratelimit-policy: "calls";q=100;w=60`: structured fields (RFC 9651), each a list of
    /// one item. A name is `[a-z-]+`, so that nothing in it needs a backslash.
    package var fields: [(name: String, value: String)] {
        [
            ("ratelimit", "\"\(name)\";r=\(remaining);t=\(resetSeconds)"),
            ("ratelimit-policy", "\"\(name)\";q=\(limit);w=\(windowSeconds)"),
        ]
    }
}
