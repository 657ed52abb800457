// The header messages of sluice/1 as values: what they have in common. On the walk: beside each frame.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

/// A message of `proto/sluice/v1/sluice.proto`. Strings are taken apart by a bounded reader first and must be
/// UTF-8 without NUL; unknown fields are skipped.
package protocol HeaderMessage: Sendable, Equatable {
    /// - Parameters:
    ///   - buffer: the whole message, from its reader index to its end.
    ///   - limits: what the message may hold.
    init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault)
    /// Appends the message. A text is cut at its first NUL, should it have one.
    func encode(into buffer: inout ByteBuffer)
}

/// A key and its value; the key may come more than once.
package struct MetadataEntry: Sendable, Hashable {
    package var key: String
    package var value: String

    package init(key: String, value: String) {
        self.key = key
        self.value = value
    }
}

/// Scans and unpacks a header message and gives it to `read`.
func unpack<Message: CMessage, Value>(
    _ type: Message.Type, from buffer: ByteBuffer, limits: Limits, rules: [CountRule] = [],
    _ read: (Message) throws(MessageFault) -> Value
) throws(MessageFault) -> Value {
    guard buffer.readableBytes <= limits.headerBytes else {
        throw MessageFault(
            .tooLarge,
            "a header of \(buffer.readableBytes) bytes: at most \(limits.headerBytes) are allowed "
                + "(limits.header)")
    }
    var scanner = BoundingScanner(depthMax: limits.nestingDepth, rules: rules)
    try unsafe scanner.scan(buffer.readableBytesUInt8Span, as: Message.descriptor)
    // Unpacked, a header takes a small multiple of its bytes unless it was made to hurt.
    let arena = Arena(budget: 16 * limits.headerBytes)
    return try unsafe buffer.withUnsafeReadableBytes { bytes throws(MessageFault) in
        try unsafe arena.withUnpacked(type, bytes, read)
    }
}

typealias MetadataList = UnsafeMutablePointer<UnsafeMutablePointer<Sluice__V1__Metadata>?>

/// The rule that bounds a message's metadata before it is unpacked.
func metadataRule<Parent: CMessage>(
    _ parent: Parent.Type, field: UInt32, limits: Limits
) -> CountRule {
    unsafe CountRule(
        parent: Parent.descriptor, field: field, maximum: limits.metadataEntries, scope: .message,
        what: "metadata entries (limits.metadata_entries)")
}

/// Reads metadata and checks its size.
func metadata(
    _ list: MetadataList?, count: Int, limits: Limits
) throws(MessageFault) -> [MetadataEntry] {
    guard let list = unsafe list, count > 0 else { return [] }
    var entries: [MetadataEntry] = []
    entries.reserveCapacity(count)
    var size = 0
    for index in 0..<count {
        guard let entry = unsafe list[index] else { continue }
        let pair = unsafe MetadataEntry(
            key: text(entry.pointee.key), value: text(entry.pointee.value))
        size += pair.key.utf8.count + pair.value.utf8.count
        entries.append(pair)
    }
    guard size <= limits.metadataBytes else {
        throw MessageFault(
            .tooLarge,
            "\(size) bytes of metadata: at most \(limits.metadataBytes) are allowed "
                + "(limits.metadata)")
    }
    return entries
}

extension Arena {
    borrowing func metadata(_ entries: [MetadataEntry]) -> MetadataList? {
        unsafe list(entries) { entry in
            unsafe make(Sluice__V1__Metadata.self) { message in
                unsafe message.key = text(entry.key)
                unsafe message.value = text(entry.value)
            }
        }
    }

    borrowing func secret(_ secret: Secret?) -> UnsafeMutablePointer<CChar> {
        guard let secret else { return unsafe text("") }
        return unsafe secret.reveal { bytes in unsafe text(String(decoding: bytes, as: UTF8.self)) }
    }
}

/// A token as a secret; nil when there is none.
func secret(
    _ string: UnsafePointer<CChar>?, limits: Limits
) throws(MessageFault) -> Secret? {
    let token = unsafe text(string)
    guard token.utf8.count <= limits.tokenBytes else {
        throw MessageFault(
            .tooLarge,
            "a token of \(token.utf8.count) bytes: at most \(limits.tokenBytes) are allowed "
                + "(limits.token)")
    }
    return token.isEmpty ? nil : Secret(token)
}

/// A short text for logs, refused when it is longer than the protocol says.
func note(
    _ string: UnsafePointer<CChar>?, _ what: String, bytesMax: Int = 128
) throws(MessageFault) -> String {
    let note = unsafe text(string)
    guard note.utf8.count <= bytesMax else {
        throw MessageFault(
            .tooLarge,
            "\(what) of \(note.utf8.count) bytes: at most \(bytesMax) are allowed")
    }
    return note
}

extension Nanoseconds {
    /// Milliseconds for a 32-bit field: rounded up, so that a wait is never too short, and saturating.
    var wireMilliseconds: UInt32 {
        UInt32(clamping: count / 1_000_000 + (count % 1_000_000 == 0 ? 0 : 1))
    }
}
