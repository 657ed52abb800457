// What a token's scopes allow, parsed once when the token is looked up and judged on every call.

package import Contract

/// The parsed scopes of one caller. Whatever is not granted is denied; a word that is no scope grants
/// nothing.
package struct Grants: Sendable, Equatable {
    /// Rights that do not name a model.
    package struct Rights: OptionSet, Sendable {
        package let rawValue: UInt8
        package init(rawValue: UInt8) { self.rawValue = rawValue }

        /// `models:read`: metadata, readiness, statistics, accounts and index of every model.
        package static let modelsRead = Rights(rawValue: 1)
        /// `models:admin`: load, unload, sleep, pin and unpin; implies `models:read`.
        package static let modelsAdmin = Rights(rawValue: 2)
        /// `tokens:admin`: create, list and revoke tokens of the embedded issuer.
        package static let tokensAdmin = Rights(rawValue: 4)
        /// `admin`: have the settings read again.
        package static let gatewayAdmin = Rights(rawValue: 8)
    }

    /// The most patterns of one token; further ones grant nothing.
    package static let patternsMax = 256

    package private(set) var rights: Rights = []
    /// True with `infer:*` or `admin`.
    package private(set) var infersEverything = false
    private var names: [String] = []
    private var prefixes: [String] = []

    package init() {}

    /// True when at least one model may be used.
    package var infersAnything: Bool {
        infersEverything || !names.isEmpty || !prefixes.isEmpty
    }

    /// Adds what a scope grants; false when there are too many patterns already.
    @discardableResult
    package mutating func add(_ scope: Scope) -> Bool {
        switch scope {
        case .modelsRead: rights.insert(.modelsRead)
        case .modelsAdmin: rights.formUnion([.modelsRead, .modelsAdmin])
        case .tokensAdmin: rights.insert(.tokensAdmin)
        case .admin:
            rights.formUnion([.modelsRead, .modelsAdmin, .tokensAdmin, .gatewayAdmin])
            infersEverything = true
        case .infer(.every): infersEverything = true
        case .infer(let pattern):
            guard names.count + prefixes.count < Grants.patternsMax else { return false }
            if case .name(let name) = pattern { names.append(name.text) }
            if case .prefix(let stem) = pattern { prefixes.append(stem.text) }
        }
        return true
    }

    /// True when the caller may run this model. Compares bytes, not characters: a name that only looks the
    /// same in Unicode is another name. Allocates nothing.
    package func mayInfer(_ model: String) -> Bool {
        if infersEverything { return true }
        let bytes = model.utf8
        for name in names
        where name.utf8.count == bytes.count && name.utf8.elementsEqual(bytes) {
            return true
        }
        for prefix in prefixes where bytes.starts(with: prefix.utf8) {
            return true
        }
        return false
    }

    /// True when the caller may know that this model exists.
    package func maySee(_ model: String) -> Bool {
        rights.contains(.modelsRead) || mayInfer(model)
    }
}

extension Grants {
    /// What the grants say of one call.
    package enum Judgement: Equatable {
        case allowed
        /// The model must look as if it did not exist.
        case hidden
        /// Refused whatever the model is called, so that saying so reveals nothing.
        case missing(scope: String)
    }

    package func judge(_ method: Method, model: String) -> Judgement {
        switch method {
        case .infer, .inferStream:
            if mayInfer(model) { return .allowed }
            return infersAnything ? .hidden : .missing(scope: "infer")
        case .modelMetadata, .modelReady:
            if maySee(model) { return .allowed }
            return infersAnything ? .hidden : .missing(scope: "models:read")
        case .modelStatistics:
            // Without a name it asks for all models: the answer is filtered like the index.
            if model.isEmpty ? infersAnything || rights.contains(.modelsRead) : maySee(model) {
                return .allowed
            }
            return infersAnything ? .hidden : .missing(scope: "models:read")
        case .repositoryIndex:
            return infersAnything || rights.contains(.modelsRead)
                ? .allowed : .missing(scope: "models:read")
        case .modelAccount:
            // What models cost each other is nothing for those who may only call some of them.
            return rights.contains(.modelsRead) ? .allowed : .missing(scope: "models:read")
        case .repositoryLoad, .repositoryUnload, .modelControl, .modelAlias:
            return rights.contains(.modelsAdmin) ? .allowed : .missing(scope: "models:admin")
        case .gatewayControl:
            // Either of its actions; which of them is looked at when the message is read.
            return rights.contains(.tokensAdmin) || rights.contains(.gatewayAdmin)
                ? .allowed : .missing(scope: "admin")
        case .serverMetadata, .serverReady, .healthWatch, .accessCheck:
            return .allowed
        }
    }
}
