// Why the engine could not start, load a model or run it: ONNX Runtime's status turned into a value.

/// A failure of the engine. Texts are for people: they come from ONNX Runtime, name models' inputs and files, and
/// are at most ``textMax`` characters long.
package enum EngineFailure: Error, Sendable, Equatable {
    /// The library was not found or is not ONNX Runtime; the text says where it was looked for and what installs it.
    case libraryMissing(String)
    /// The library is older than the header this gateway was built with.
    case versionTooOld(String)
    /// The model could not be loaded: no such file, damaged, an unknown operator, or the engine could not start.
    case loadFailed(String)
    /// The inputs do not fit the model: the caller's mistake.
    case invalidInput(String)
    /// The model failed while it ran.
    case runFailed(String)
    /// The run was ended by its ``RunTerminator``.
    case terminated
    /// A valid model that asks for what this gateway does not do; the text names it and the mend.
    case unsupported(String)

    package static let textMax = 600

    /// The sentence without the kind; for `terminated` a fixed one.
    package var text: String {
        switch self {
        case .libraryMissing(let text), .versionTooOld(let text), .loadFailed(let text),
            .invalidInput(let text), .runFailed(let text), .unsupported(let text):
            text
        case .terminated: "the run was terminated"
        }
    }
}

extension EngineFailure: CustomStringConvertible {
    package var description: String { text }
}
