// Why bytes are not the message they should be. On the walk: between a door's frames and the call.

package import Contract

/// What is wrong with a message, for a person and for a program.
package struct MessageFault: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Kind: Sendable {
        /// Not a well-formed message of its type.
        case malformed
        /// Well-formed, but a tensor in it contradicts itself.
        case badTensor
        /// Over a limit.
        case tooLarge
        /// Asks for something that does not exist here.
        case unsupported
    }

    package var kind: Kind
    /// For a person; never holds a secret, never more of the input than a name.
    package var message: String

    package init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// The same as a call's failure.
    package var failure: CallFailure {
        switch kind {
        case .malformed: CallFailure(.invalidArgument, .badMessage, message)
        case .badTensor: CallFailure(.invalidArgument, .badTensor, message)
        case .tooLarge: CallFailure(.resourceExhausted, .messageTooLarge, message)
        case .unsupported: CallFailure(.unimplemented, .badMessage, message)
        }
    }

    package var description: String { message }
}

extension MessageFault {
    /// Names at most this many bytes of a name that came from outside.
    static func quote(_ name: String) -> String {
        name.utf8.count <= 64 ? "\"\(name)\"" : "\"\(name.prefix(60))...\""
    }
}
