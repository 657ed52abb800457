// The shapes of a run's outputs, told before it runs: then the engine writes them straight into the answer's buffer
// instead of into memory of its own that is copied and freed. Saves 0.6 us of a tiny model's 4, and a large
// output's copy.

import Contract
import Synchronization

/// What a model's outputs will look like, learnt from its signature and from the runs so far.
///
/// An output can be told when it is of numbers and all its dimensions are fixed, but for the first, which may be the
/// batch: the first dimension of the first input. That is a guess until a run has shown it, and a later run may show
/// it wrong: the engine checks every shape and fails, and then the run is made again without the forecast.
///
/// Thread rule: any thread; what is learnt is two sets of bits.
final class OutputForecast: Sendable {
    private let signature: Signature
    // Bit i for output i. An output that is in both is never told.
    private let shown = Atomic<UInt64>(0)
    private let wrong = Atomic<UInt64>(0)

    init(_ signature: Signature) { self.signature = signature }

    /// True when every output asked for can be told.
    func tells(_ outputs: [Int]) -> Bool {
        let told = shown.load(ordering: .relaxed) & ~wrong.load(ordering: .relaxed)
        return outputs.allSatisfy { $0 < UInt64.bitWidth && told & (1 << UInt64($0)) != 0 }
    }

    /// The shape output `index` will have, or nil when nobody can say.
    func shape(of index: Int, for inputs: [Tensor]) -> Shape? {
        guard index < UInt64.bitWidth, signature.outputs[index].datatype != .bytes else {
            return nil
        }
        let declared = signature.outputs[index].shape
        // Rank 0 is a scalar or a shape the model does not say.
        guard declared.rank > 0 else { return nil }
        var shape = Shape()
        for position in 0..<declared.rank {
            var dimension = declared[position]
            if dimension < 0 {
                guard position == 0, let first = inputs.first, first.shape.rank > 0 else {
                    return nil
                }
                dimension = first.shape[0]
            }
            _ = shape.append(dimension)
        }
        return shape
    }

    /// Compares what could have been told with what a run has given. `afterFailure` says that the same run has just
    /// failed with the forecast: then its outputs are never told again.
    func learn(_ tensors: [Tensor], _ outputs: [Int], from inputs: [Tensor], afterFailure: Bool) {
        for (position, index) in outputs.enumerated() where index < UInt64.bitWidth {
            let bit: UInt64 = 1 << UInt64(index)
            if afterFailure {
                wrong.bitwiseOr(bit, ordering: .relaxed)
                continue
            }
            guard shown.load(ordering: .relaxed) & bit == 0,
                wrong.load(ordering: .relaxed) & bit == 0,
                let shape = shape(of: index, for: inputs)
            else { continue }
            if shape == tensors[position].shape
                && tensors[position].datatype == signature.outputs[index].datatype
            {
                shown.bitwiseOr(bit, ordering: .relaxed)
            } else {
                wrong.bitwiseOr(bit, ordering: .relaxed)
            }
        }
    }
}
