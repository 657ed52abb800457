// What the tests of this kit share: the models of Tests/Fixtures/models, one environment, tensors from numbers.

import Contract
import Foundation
import NIOCore
import OnnxRuntime
import Synchronization
import Testing

/// All suites of the kit, one test at a time: some measure the process's memory or change its environment.
@Suite("OnnxRuntime", .serialized)
enum OnnxRuntimeTests {}

/// The engine of the tests, started once, or why it could not be.
private let started: Result<OnnxEnvironment, EngineFailure> = {
    do throws(EngineFailure) {
        return .success(try OnnxEnvironment())
    } catch {
        return .failure(error)
    }
}()

func engine() throws -> OnnxEnvironment { try started.get() }

func fixture(_ name: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/models/\(name)").path
}

func session(
    _ name: String, _ options: OnnxSessionOptions = OnnxSessionOptions()
) throws -> OnnxSession {
    try OnnxSession(path: fixture("\(name).onnx"), environment: try engine(), options: options)
}

/// A tensor whose elements are the bytes of `values`.
func tensor<Number: FixedWidthInteger>(
    _ name: String, _ datatype: ElementType, _ shape: Shape, _ values: [Number]
) -> Tensor {
    var bytes = ByteBuffer()
    for value in values { bytes.writeInteger(value, endianness: .little) }
    return Tensor(name: name, datatype: datatype, shape: shape, bytes: bytes)
}

func tensor(_ name: String, _ shape: Shape, _ values: [Float]) -> Tensor {
    tensor(name, .fp32, shape, values.map(\.bitPattern))
}

func tensor(_ name: String, _ shape: Shape, _ texts: [[UInt8]]) -> Tensor {
    var bytes = ByteBuffer()
    for text in texts {
        bytes.writeInteger(UInt32(text.count), endianness: .little)
        bytes.writeBytes(text)
    }
    return Tensor(name: name, datatype: .bytes, shape: shape, bytes: bytes)
}

extension Tensor {
    /// The elements of an integer tensor.
    func integers<Number: FixedWidthInteger>(_: Number.Type) -> [Number] {
        var bytes = bytes
        var values: [Number] = []
        while let value = bytes.readInteger(endianness: .little, as: Number.self) {
            values.append(value)
        }
        return values
    }

    var floats: [Float] { integers(UInt32.self).map(Float.init(bitPattern:)) }

    /// The elements of a BYTES tensor, or nil when it is not well formed.
    var texts: [[UInt8]]? {
        var bytes = bytes
        var texts: [[UInt8]] = []
        while bytes.readableBytes > 0 {
            guard let length = bytes.readInteger(endianness: .little, as: UInt32.self),
                let text = bytes.readBytes(length: Int(length))
            else { return nil }
            texts.append(text)
        }
        return texts
    }

    /// The same tensor with its bytes `distance` bytes behind where they were, in the middle of other bytes.
    func shifted(by distance: Int) -> Tensor {
        var buffer = ByteBuffer()
        buffer.writeRepeatingByte(0xAA, count: distance)
        var own = bytes
        buffer.writeBuffer(&own)
        buffer.writeRepeatingByte(0xBB, count: 9)
        var copy = self
        copy.bytes = buffer.getSlice(at: distance, length: bytes.readableBytes) ?? ByteBuffer()
        return copy
    }
}

/// A generator whose seed can be printed (splitmix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// The failure `body` throws; nil when it throws none.
func failure<Value>(_ body: () throws(EngineFailure) -> Value) -> EngineFailure? {
    do throws(EngineFailure) {
        _ = try body()
        return nil
    } catch {
        return error
    }
}

/// Collects the engine's log.
final class LogLines: Sendable {
    private let lines = Mutex<[EngineLogLine]>([])
    var all: [EngineLogLine] { lines.withLock { $0 } }
    func append(_ line: EngineLogLine) { lines.withLock { $0.append(line) } }
}
