// Small files in the state folder that are whole or not there, whatever ends the process.

import Contract
import Files

/// One file of the state folder. Blocks: not on an event loop.
final class StateFile: Sendable {
    let name: String
    /// As the operator gave it, for messages.
    private let state: String
    private let folder: Folder

    init(_ name: String, state: String) throws(GatewayError) {
        self.name = name
        self.state = state
        do throws(FileFault) {
            folder = try Folder(path: state)
        } catch {
            throw GatewayError(
                .configuration, "the state folder '\(state)' cannot be opened: \(error.reason)")
        }
    }

    var path: String { "\(state)/\(name)" }

    /// What was written last and can be understood; nil when nothing was. A file that cannot be believed ends the start:
    /// what it said would be lost by the next writing.
    func read<Value>(
        byteCountMax: Int, _ decode: ([UInt8]) throws -> Value
    ) throws(GatewayError) -> Value? {
        let reason: String
        do {
            guard let bytes = try folder.content(of: name, byteCountMax: byteCountMax) else {
                return nil
            }
            return try decode(bytes)
        } catch let error as FileFault {
            reason = error.reason
        } catch {
            reason = "\(error)"
        }
        throw GatewayError(
            .configuration, "'\(path)' cannot be read: \(reason)",
            mend: "Put it right, or move it away: what it says is forgotten then")
    }

    func replace(with bytes: [UInt8]) throws(FileFault) {
        try folder.replace(name, with: bytes)
    }
}
