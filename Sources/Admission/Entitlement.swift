// What one rule of the policy, or without a policy the token's scopes, gives a caller. Judged on every call.

package import Contract

/// Models by name and by the beginning of names. Compares bytes, not characters: a name that only looks the same in Unicode
/// is another name.
package struct ModelPatterns: Sendable, Equatable {
    package private(set) var everything = false
    private var names: [String] = []
    private var prefixes: [String] = []

    package init() {}

    package init(_ patterns: [ModelPattern]) {
        for pattern in patterns { insert(pattern) }
    }

    package static let every = ModelPatterns([.every])

    package var isEmpty: Bool { !everything && names.isEmpty && prefixes.isEmpty }
    package var count: Int { names.count + prefixes.count }

    package mutating func insert(_ pattern: ModelPattern) {
        switch pattern {
        case .every: everything = true
        case .name(let name): names.append(name.text)
        case .prefix(let stem): prefixes.append(stem.text)
        }
    }

    /// Allocates nothing.
    package func contains(_ model: String) -> Bool {
        if everything { return true }
        let bytes = model.utf8
        for name in names where name.utf8.count == bytes.count && name.utf8.elementsEqual(bytes) {
            return true
        }
        for prefix in prefixes where bytes.starts(with: prefix.utf8) { return true }
        return false
    }

    /// Bytes outside the value itself.
    var byteCount: Int { (names + prefixes).reduce(0) { $0 + 32 + $1.utf8.count } }
}

/// Rights, the models they are for, and the plan of calls that use them.
package struct Entitlement: Sendable, Equatable {
    /// Rights that do not name a model.
    package struct Rights: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// `models:read`: metadata, readiness, statistics, accounts and index.
        package static let modelsRead = Rights(rawValue: 1)
        /// `models:admin`: load, unload, sleep, pin and unpin; implies `models:read`.
        package static let modelsAdmin = Rights(rawValue: 2)
        /// `tokens:admin`: have answers about tokens forgotten.
        package static let tokensAdmin = Rights(rawValue: 4)
        /// `admin`: have the settings read again.
        package static let gatewayAdmin = Rights(rawValue: 8)
    }

    /// The most patterns of one token; further ones grant nothing.
    package static let patternsMax = 256

    /// The rule's name; empty without a policy.
    package var rule = ""
    /// The plan's name; empty: the default.
    package var plan = ""
    /// The models all of its rights are for.
    package var models = ModelPatterns.every
    package private(set) var rights: Rights = []
    /// With the scope `admin`: lists of owners do not bind it.
    package private(set) var isAdmin = false
    private var infers = ModelPatterns()

    package init() {}

    package init(_ scopes: [Scope]) {
        for scope in scopes { add(scope) }
    }

    package var infersAnything: Bool { !infers.isEmpty }
    package var infersEverything: Bool { infers.everything && models.everything }

    /// Adds what a scope grants; false when there are too many patterns already.
    @discardableResult
    package mutating func add(_ scope: Scope) -> Bool {
        switch scope {
        case .modelsRead: rights.insert(.modelsRead)
        case .modelsAdmin: rights.formUnion([.modelsRead, .modelsAdmin])
        case .tokensAdmin: rights.insert(.tokensAdmin)
        case .admin:
            rights.formUnion([.modelsRead, .modelsAdmin, .tokensAdmin, .gatewayAdmin])
            isAdmin = true
            infers.insert(.every)
        case .infer(let pattern):
            guard infers.count < Entitlement.patternsMax else { return false }
            infers.insert(pattern)
        }
        return true
    }

    package func mayInfer(_ model: String) -> Bool {
        infers.contains(model) && models.contains(model)
    }

    package func mayRead(_ model: String) -> Bool {
        rights.contains(.modelsRead) && models.contains(model)
    }

    package func maySee(_ model: String) -> Bool { mayRead(model) || mayInfer(model) }

    enum Opinion { case allowed, hidden, missing(String) }

    func opinion(_ method: Method, model: String) -> Opinion {
        switch method {
        case .infer, .inferStream:
            if mayInfer(model) { return .allowed }
            return infersAnything ? .hidden : .missing("infer")
        case .modelMetadata, .modelReady:
            if maySee(model) { return .allowed }
            return seesAnything ? .hidden : .missing("models:read")
        case .modelStatistics:
            // Without a name it asks for all models: the answer is filtered like the index.
            if model.isEmpty ? seesAnything : maySee(model) { return .allowed }
            return seesAnything ? .hidden : .missing("models:read")
        case .repositoryIndex: return seesAnything ? .allowed : .missing("models:read")
        case .modelAccount:
            // What models cost each other is nothing for those who may only call some of them.
            guard rights.contains(.modelsRead) else { return .missing("models:read") }
            return model.isEmpty || models.contains(model) ? .allowed : .hidden
        case .repositoryLoad, .repositoryUnload, .modelControl, .modelAlias:
            guard rights.contains(.modelsAdmin) else { return .missing("models:admin") }
            if model.isEmpty { return models.everything ? .allowed : .missing("models:admin") }
            return models.contains(model) ? .allowed : .hidden
        case .gatewayControl:
            // Either of its actions; which of them is looked at when the message is read.
            return rights.isDisjoint(with: [.tokensAdmin, .gatewayAdmin])
                ? .missing("admin") : .allowed
        case .serverMetadata, .serverReady, .healthWatch, .accessCheck: return .allowed
        }
    }

    private var seesAnything: Bool { infersAnything || rights.contains(.modelsRead) }

    var byteCount: Int {
        MemoryLayout<Entitlement>.stride + infers.byteCount + rule.utf8.count + plan.utf8.count
    }
}
