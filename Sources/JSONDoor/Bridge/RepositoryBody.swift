// The small bodies of the model repository's requests (OIP 4.2): empty, or an object.

package import Contract
package import NIOCore
import OpenInference

package enum RepositoryBody {
    /// `{"ready": true}` of an index: only models in service.
    package static func readyOnly(_ body: ByteBuffer) throws(CallFailure) -> Bool {
        guard var scanner = try scanner(body) else { return false }
        var ready = false
        while let key = try scanner.nextKey() {
            switch key {
            case "ready": ready = try scanner.bool("ready")
            default: try scanner.skip()
            }
        }
        try scanner.finish()
        return ready
    }

    /// A load's body: parameters that would change the model are refused, since the catalogue's files are what is served.
    package static func checkLoad(_ body: ByteBuffer) throws(CallFailure) {
        try parameters(body) { (key, scanner) throws(CallFailure) in
            guard key == "config" || key.hasPrefix("file:") else { return try scanner.skip() }
            guard try !scanner.takesNull() else { return }
            guard try scanner.string("parameters.\(key == "config" ? key : "file:")").isEmpty else {
                throw CallFailure(
                    .unimplemented, .none,
                    "a model is served as its folder in the repository has it: parameters.config and "
                        + "parameters.file: are not supported", notStarted: true)
            }
        }
    }

    /// An unload's body: no model depends on another, so that `unload_dependents` means nothing more.
    package static func checkUnload(_ body: ByteBuffer) throws(CallFailure) {
        try parameters(body) { (key, scanner) throws(CallFailure) in
            switch key {
            case "unload_dependents": _ = try scanner.bool("parameters.unload_dependents")
            default: try scanner.skip()
            }
        }
    }

    /// Calls `take` with each key of `parameters`, the scanner standing before its value.
    private static func parameters(
        _ body: ByteBuffer, take: (String, inout JSONScanner) throws(CallFailure) -> Void
    ) throws(CallFailure) {
        guard var scanner = try scanner(body) else { return }
        while let key = try scanner.nextKey() {
            guard key == "parameters" else {
                try scanner.skip()
                continue
            }
            if try scanner.takesNull() { continue }
            try scanner.beginObject("parameters")
            while let name = try scanner.nextKey() { try take(name, &scanner) }
        }
        try scanner.finish()
    }

    /// Stands within the body's object; nil when there is no body.
    private static func scanner(_ body: ByteBuffer) throws(CallFailure) -> JSONScanner? {
        guard body.readableBytes > 0 else { return nil }
        var scanner = try JSONScanner(body)
        try scanner.beginObject()
        return scanner
    }
}
