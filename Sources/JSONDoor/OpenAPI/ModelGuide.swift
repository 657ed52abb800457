// What this room asks the house about models beyond what the walk answers: signatures, golden cases and labels. Whether a caller may
// know of a model is judged by the walk, before.

package import Contract
package import NIOCore

/// A model as the API's description shows it: its version in service.
package struct ModelCard: Sendable {
    package var name: String
    package var version: String
    package var signature: Signature
    /// nil: the manifest has no golden case, or none that JSON can carry.
    package var example: ModelExample?

    package init(name: String, version: String, signature: Signature, example: ModelExample?) {
        self.name = name
        self.version = version
        self.signature = signature
        self.example = example
    }
}

/// A document and its tag (RFC 9110 section 8.8.3).
package struct TaggedText: Sendable {
    package let bytes: ByteBuffer
    /// In its quotes.
    package let tag: String

    package init(_ bytes: ByteBuffer) {
        self.bytes = bytes
        // FNV-1a of 64 bits: nobody gains from two documents with one tag.
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in bytes.readableBytesView {
            hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3
        }
        tag = "\"" + String(hash, radix: 16) + "\""
    }
}

/// Filled in by the house. Asked on an event loop, which it does not block.
package protocol ModelGuide: Sendable {
    /// Counts the catalogue's changes.
    var generation: UInt64 { get }
    /// The first golden case of one version.
    ///
    /// - Parameters:
    ///   - version: its number.
    ///   - done: once, on `loop`, possibly at once. NOT_FOUND when there is none or it is too large, UNAVAILABLE when too many
    ///     ask at once.
    func example(
        of model: String, version: String, on loop: any EventLoop,
        done: @escaping (Result<ModelExample, CallFailure>) -> Void)
    /// The names of the classes of a version's outputs, by output (docs/manifest.md, `labels`); empty when there are none, or
    /// the version has gone. Also asked on other threads.
    func labels(of model: String, version: String) -> [String: [String]]
    /// Has `write` called, away from the event loop, with the cards of those of these models that can be called.
    ///
    /// - Parameter done: once, on `loop`. UNAVAILABLE when too many ask at once.
    func cards(
        _ names: [String], on loop: any EventLoop,
        write: @escaping @Sendable ([ModelCard]) -> TaggedText,
        done: @escaping (Result<TaggedText, CallFailure>) -> Void)
}
