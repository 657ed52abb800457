// Aliases of versions on the wire, both ways: ModelAliasRequest, ModelAliasResponse, and the properties of a model's
// metadata. The way out is the door's last step, the way in is for tests and tools.

import CMessages
import CProtobufC
import Contract
import NIOCore

extension Question {
    static func alias(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Question {
        try unsafe withMessage(
            Sluice__V1__ModelAliasRequest.self, message, bounds, rules: []
        ) { request throws(MessageFault) in
            let number = unsafe request.action.rawValue
            guard number != 0 else {
                throw MessageFault(.malformed, "a ModelAliasRequest needs an action")
            }
            guard let action = AliasMove.Action(rawValue: number) else {
                throw MessageFault(.unsupported, "action \(number) is unknown")
            }
            return unsafe Question(
                aliasMove: AliasMove(
                    action, alias: text(request.alias), version: text(request.version)))
        }
    }
}

extension AnswerEncoder {
    static func encode(_ change: AliasChange, into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__ModelAliasResponse.self) { message in
            unsafe message.alias = arena.text(change.alias)
            unsafe message.was = arena.text(change.was)
            unsafe message.now = arena.text(change.now)
            unsafe message.proof = Sluice__V1__AliasProof(rawValue: change.proof.rawValue)
            unsafe message.golden_cases = change.goldenCases
        }
        unsafe arena.pack(message, into: &buffer)
    }
}

/// `alias.NAME` is the key of a property that says which version NAME stands for.
private let aliasPrefix = "alias."

extension Arena {
    /// Sorted, so that the same metadata is the same bytes.
    borrowing func properties(
        _ aliases: [String: String]
    ) -> UnsafeMutablePointer<
        UnsafeMutablePointer<Inference__ModelMetadataResponse__PropertiesEntry>?
    >? {
        unsafe list(aliases.sorted { $0.key < $1.key }) { alias in
            unsafe make(Inference__ModelMetadataResponse__PropertiesEntry.self) { entry in
                unsafe entry.key = text(aliasPrefix + alias.key)
                unsafe entry.value = text(alias.value)
            }
        }
    }
}

extension AnswerDecoder {
    /// The aliases among a model's properties; others are passed over.
    static func aliases(
        _ list: UnsafeMutablePointer<
            UnsafeMutablePointer<Inference__ModelMetadataResponse__PropertiesEntry>?
        >?, count: Int
    ) -> [String: String] {
        guard let list = unsafe list else { return [:] }
        var aliases: [String: String] = [:]
        for index in 0..<count {
            guard let entry = unsafe list[index]?.pointee else { continue }
            let key = unsafe text(entry.key)
            guard key.hasPrefix(aliasPrefix) else { continue }
            aliases[String(key.dropFirst(aliasPrefix.count))] = unsafe text(entry.value)
        }
        return aliases
    }

    static func alias(
        _ message: ByteBuffer, _ bounds: MessageBounds
    ) throws(MessageFault) -> Answer {
        try unsafe withMessage(
            Sluice__V1__ModelAliasResponse.self, message, bounds, rules: []
        ) { message throws(MessageFault) in
            guard let proof = unsafe AliasProof(rawValue: message.proof.rawValue) else {
                throw MessageFault(
                    .unsupported, unsafe "a proof \(message.proof.rawValue) is unknown")
            }
            return unsafe .alias(
                AliasChange(
                    alias: text(message.alias), was: text(message.was), now: text(message.now),
                    proof: proof, goldenCases: message.golden_cases))
        }
    }
}
