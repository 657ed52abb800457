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
    /// What can be told of one output.
    struct Rule: Sendable {
        let kind: TensorKind
        let rank: Int
        /// The dimensions, where the first may be free.
        let row: InlineArray<8, Int64>
        let isLedByBatch: Bool
        /// Bytes of the output, or of one step of its first dimension when that is the batch.
        let byteCount: Int

        /// The dimensions for a batch.
        func row(batch: Int64) -> InlineArray<8, Int64> {
            var row = row
            if isLedByBatch { row[0] = batch }
            return row
        }

        /// The bytes for a batch, or nil when there is no such number.
        func byteCount(batch: Int64) -> Int? {
            guard isLedByBatch else { return byteCount }
            let (count, overflow) = byteCount.multipliedReportingOverflow(by: Int(batch))
            return overflow || count < 0 ? nil : count
        }
    }

    /// One for each output; nil for one that can never be told.
    let rules: [Rule?]
    // Bit i for output i. An output that is in both is not told any more.
    private let shown = Atomic<UInt64>(0)
    private let wrong = Atomic<UInt64>(0)

    init(_ signature: Signature) {
        rules = signature.outputs.enumerated().map { index, specification in
            index < UInt64.bitWidth ? Rule(specification) : nil
        }
    }

    /// The first dimension of the first input, -1 when there is none.
    static func batch(of inputs: [Tensor]) -> Int64 {
        guard !inputs.isEmpty, inputs[0].shape.rank > 0 else { return -1 }
        return inputs[0].shape[0]
    }

    /// True when every output asked for can be told for this batch.
    func tells(_ outputs: [Int], batch: Int64) -> Bool {
        guard batch >= 0 else { return false }
        let told = shown.load(ordering: .relaxed) & ~wrong.load(ordering: .relaxed)
        for index in outputs where index >= UInt64.bitWidth || told & (1 << UInt64(index)) == 0 {
            return false
        }
        return true
    }

    /// Compares what could have been told with what a run has given. `afterFailure` says that the same run has just
    /// failed with the forecast: then its outputs are never told again.
    func learn(_ tensors: [Tensor], _ outputs: [Int], batch: Int64, afterFailure: Bool) {
        for (position, index) in outputs.enumerated() {
            guard batch >= 0, let rule = rules[index] else { continue }
            let bit: UInt64 = 1 << UInt64(index)
            let known = shown.load(ordering: .relaxed) | wrong.load(ordering: .relaxed)
            if afterFailure {
                wrong.bitwiseOr(bit, ordering: .relaxed)
            } else if known & bit == 0 {
                let isRight =
                    Shape(row: rule.row(batch: batch), rank: rule.rank) == tensors[position].shape
                    && tensors[position].datatype == rule.kind.datatype
                if isRight {
                    shown.bitwiseOr(bit, ordering: .relaxed)
                } else {
                    wrong.bitwiseOr(bit, ordering: .relaxed)
                }
            }
        }
    }
}

extension OutputForecast.Rule {
    /// The rule for an output as the model declares it, or nil when its shape cannot be told.
    fileprivate init?(_ specification: TensorSpecification) {
        let kind = TensorKind(specification.datatype)
        let shape = specification.shape
        // Rank 0 is a scalar, or a shape the model does not say.
        guard kind.width > 0, shape.rank > 0 else { return nil }
        let isLedByBatch = shape[0] < 0
        var byteCount = kind.width
        for position in (isLedByBatch ? 1 : 0)..<shape.rank {
            guard shape[position] >= 0,
                case let (product, overflow) = byteCount.multipliedReportingOverflow(
                    by: Int(shape[position])), !overflow
            else { return nil }
            byteCount = product
        }
        self.init(
            kind: kind, rank: shape.rank, row: shape.row, isLedByBatch: isLedByBatch,
            byteCount: byteCount)
    }
}
