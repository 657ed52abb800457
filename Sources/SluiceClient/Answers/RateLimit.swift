// What the caller's plan has left, as the gateway said with its answer.

/// The tightest limit of the caller's plan (draft-ietf-httpapi-ratelimit-headers).
public struct RateLimit: Sendable, Hashable {
    /// The limit's name: `calls`, `day` or `month`, each with `model-` before it when it is a model's. New names may come.
    public let name: String
    /// What is allowed in ``window``.
    public let limit: Int
    public let window: Duration
    /// What is left after this call. Right after a rest it may be more than ``limit``, when the plan allows bursts.
    public let remaining: Int
    /// Until everything is there again.
    public let reset: Duration

    public init(name: String, limit: Int, window: Duration, remaining: Int, reset: Duration) {
        self.name = name
        self.limit = limit
        self.window = window
        self.remaining = remaining
        self.reset = reset
    }

    /// From the metadata `ratelimit` and `ratelimit-policy`; nil unless both are of one limit and in order.
    package init?(limit: String, policy: String) {
        guard let left = RateLimit.item(limit), let all = RateLimit.item(policy),
            left.name == all.name, let remaining = left.numbers["r"],
            let reset = left.numbers["t"], let quota = all.numbers["q"],
            let window = all.numbers["w"]
        else { return nil }
        self.init(
            name: all.name, limit: quota, window: .seconds(window), remaining: remaining,
            reset: .seconds(reset))
    }

    /// `"name";a=1;b=2`, the part of RFC 9651 that these fields need. Parameters of other kinds are left out.
    private static func item(_ text: String) -> (name: String, numbers: [String: Int])? {
        guard text.utf8.count <= 256 else { return nil }
        let parts = text.split(separator: ";", omittingEmptySubsequences: false)
        guard let quoted = parts.first, quoted.count >= 2, quoted.first == "\"",
            quoted.last == "\""
        else { return nil }
        var numbers: [String: Int] = [:]
        for part in parts.dropFirst() {
            guard let equals = part.firstIndex(of: "=") else { continue }
            let key = part[..<equals].drop { $0 == " " }
            guard let number = Int(part[part.index(after: equals)...]), number >= 0 else {
                continue
            }
            numbers[String(key)] = number
        }
        return (String(quoted.dropFirst().dropLast()), numbers)
    }
}
