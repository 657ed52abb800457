// The dimensions of a tensor, held without an allocation: a shape is copied on every call.

/// Up to eight dimensions, outermost first, row-major. -1 stands for a free dimension in a signature
/// and is never valid in a tensor.
package struct Shape: Sendable {
    /// The most dimensions a tensor may have.
    package static let rankMax = 8

    private var storage: InlineArray<8, Int64>
    package private(set) var rank: Int

    package init() {
        storage = InlineArray(repeating: 0)
        rank = 0
    }

    /// The shape with these dimensions, or nil when there are more than ``rankMax``.
    package init?(_ dimensions: some Sequence<Int64>) {
        self.init()
        for dimension in dimensions where !append(dimension) { return nil }
    }

    /// The shape of the first `rank` numbers of `row`, or nil when `rank` is not within 0...8. For kits which
    /// hold rows as C wants them.
    package init?(row: InlineArray<8, Int64>, rank: Int) {
        guard rank >= 0 && rank <= Shape.rankMax else { return nil }
        storage = row
        self.rank = rank
    }

    /// The dimensions, and whatever lies behind them: only the first ``rank`` mean something.
    package var row: InlineArray<8, Int64> { storage }

    /// Adds a dimension at the end; false when the shape is full.
    package mutating func append(_ dimension: Int64) -> Bool {
        guard rank < Shape.rankMax else { return false }
        storage[rank] = dimension
        rank += 1
        return true
    }

    package subscript(index: Int) -> Int64 {
        precondition(index >= 0 && index < rank, "dimension index out of range")
        return storage[index]
    }

    /// The product of the dimensions, or nil when one is negative or the product overflows. A shape
    /// without dimensions is a scalar and has one element.
    package var elementCount: Int? {
        var count: Int64 = 1
        for index in 0..<rank {
            let dimension = storage[index]
            guard dimension >= 0 else { return nil }
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard !overflow else { return nil }
            count = product
        }
        return Int(count)
    }

    package var dimensions: [Int64] { (0..<rank).map { storage[$0] } }
}

extension Shape: Hashable {
    package static func == (left: Shape, right: Shape) -> Bool {
        guard left.rank == right.rank else { return false }
        for index in 0..<left.rank where left.storage[index] != right.storage[index] {
            return false
        }
        return true
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(rank)
        for index in 0..<rank { hasher.combine(storage[index]) }
    }
}

extension Shape: ExpressibleByArrayLiteral, CustomStringConvertible {
    package init(arrayLiteral elements: Int64...) {
        guard let shape = Shape(elements) else {
            preconditionFailure("a shape has at most eight dimensions")
        }
        self = shape
    }

    /// For example `[2,4]`.
    package var description: String {
        "[" + dimensions.map(String.init).joined(separator: ",") + "]"
    }
}
