// A named array of numbers or strings with a shape: what goes into a model and what comes out.

import NIOCore

/// A named, typed, shaped array: an input or an output of a model.
///
/// Elements are row-major: the last dimension runs fastest. A tensor holds its elements as the wire
/// wants them, so that sending one copies it once.
///
/// ```swift
/// let flowers = try Tensor("X", shape: [2, 4], [5.1, 3.5, 1.4, 0.2, 6.7, 3.0, 5.2, 2.3] as [Float])
/// let cities = try Tensor("city", ["Bonn", "Mainz"])
/// ```
public struct Tensor: Sendable, Hashable {
    public let name: String
    public let datatype: Datatype
    /// Each dimension 0 or more; empty for a single value.
    public let shape: [Int]
    /// The elements as raw contents.
    let contents: ByteBuffer

    /// A tensor of `values`.
    ///
    /// - Parameters:
    ///   - shape: what the values fill exactly; without it they are one row.
    /// - Throws: ``SluiceError`` with code ``SluiceError/Code/invalidArgument`` when they do not.
    public init<Element: TensorElement>(
        _ name: String, shape: [Int]? = nil, _ values: [Element]
    ) throws(SluiceError) {
        let shape = shape ?? [values.count]
        let count = try Self.elementCount(of: shape, name: name)
        guard count == values.count else {
            throw Self.bad(
                name, "shape \(shape) holds \(count) elements, but there are \(values.count).")
        }
        var contents = ByteBuffer()
        Element.write(values, to: &contents)
        self.init(name: name, datatype: Element.datatype, shape: shape, contents: contents)
    }

    /// A matrix: rows of equal length.
    ///
    /// - Throws: ``SluiceError`` with code ``SluiceError/Code/invalidArgument`` when a row is longer or
    ///   shorter than the first.
    public init<Element: TensorElement>(
        _ name: String, rows: [[Element]]
    ) throws(SluiceError) {
        let width = rows.first?.count ?? 0
        if let index = rows.firstIndex(where: { $0.count != width }) {
            throw Self.bad(
                name, "row \(index) has \(rows[index].count) elements, row 0 has \(width).")
        }
        try self.init(name, shape: [rows.count, width], Array(rows.joined()))
    }

    /// A tensor of raw contents: little-endian, row-major, unpadded; each element of
    /// ``Datatype/bytes`` a 32-bit length and its bytes.
    ///
    /// - Throws: ``SluiceError`` with code ``SluiceError/Code/invalidArgument`` when the bytes do not fill
    ///   the shape exactly.
    public init(
        _ name: String, datatype: Datatype, shape: [Int], rawContents: some Sequence<UInt8>
    ) throws(SluiceError) {
        try self.init(
            checking: name, datatype: datatype, shape: shape,
            contents: ByteBuffer(bytes: rawContents))
    }

    init(
        checking name: String, datatype: Datatype, shape: [Int], contents: ByteBuffer
    ) throws(SluiceError) {
        let count = try Self.elementCount(of: shape, name: name)
        if let size = datatype.elementBytes {
            let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
            guard !overflow, bytes == contents.readableBytes else {
                throw Self.bad(
                    name,
                    """
                    shape \(shape) of \(datatype) takes \(overflow ? "too many" : "\(bytes)") \
                    bytes, but there are \(contents.readableBytes).
                    """)
            }
        } else if datatype == .bytes {
            guard Self.countElements(of: contents) == count else {
                throw Self.bad(name, "the contents are not \(count) elements of BYTES.")
            }
        }
        self.init(name: name, datatype: datatype, shape: shape, contents: contents)
    }

    private init(name: String, datatype: Datatype, shape: [Int], contents: ByteBuffer) {
        self.name = name
        self.datatype = datatype
        self.shape = shape
        self.contents = contents
    }

    /// How many elements there are.
    public var count: Int { shape.reduce(1, *) }

    /// The elements as the wire has them: little-endian, row-major, unpadded.
    public var rawContents: [UInt8] { [UInt8](contents.readableBytesView) }

    /// The same elements under another name, for an output that becomes an input.
    public func renamed(_ name: String) -> Tensor {
        Tensor(name: name, datatype: datatype, shape: shape, contents: contents)
    }
}

// MARK: - Reading back

extension Tensor {
    /// The elements, row-major.
    ///
    /// ```swift
    /// let labels = try inference.output("label").values(as: Int64.self)
    /// ```
    ///
    /// - Throws: ``SluiceError`` with code ``SluiceError/Code/invalidArgument`` when the tensor holds
    ///   elements of another type: nothing is converted silently.
    public func values<Element: TensorElement>(
        as type: Element.Type = Element.self
    ) throws(SluiceError) -> [Element] {
        guard datatype == Element.datatype else {
            throw Self.bad(
                name, "its elements are \(datatype), not \(Element.datatype) (\(Element.self)).")
        }
        guard let values = Element.read(count, from: contents) else {
            throw Self.bad(name, "its elements cannot be read as \(Element.self).")
        }
        return values
    }

    /// The elements of a tensor of shape `[rows, columns]`, row by row.
    ///
    /// - Throws: ``SluiceError`` when the tensor has another rank or type.
    public func rows<Element: TensorElement>(
        as type: Element.Type = Element.self
    ) throws(SluiceError) -> [[Element]] {
        guard shape.count == 2 else {
            throw Self.bad(name, "its shape \(shape) is not that of a matrix.")
        }
        let all = try values(as: type)
        let width = shape[1]
        return (0..<shape[0]).map { Array(all[($0 * width)..<(($0 + 1) * width)]) }
    }

    /// The elements of a tensor of ``Datatype/bytes`` that are UTF-8.
    public func strings() throws(SluiceError) -> [String] { try values(as: String.self) }

    /// The elements of a tensor of ``Datatype/bytes``.
    public func blobs() throws(SluiceError) -> [[UInt8]] { try values(as: [UInt8].self) }
}

extension Tensor: CustomStringConvertible {
    /// Name, type and shape; not the elements.
    public var description: String { "\(name): \(datatype) \(shape)" }
}

// MARK: - Checks

extension Tensor {
    static func elementCount(of shape: [Int], name: String) throws(SluiceError) -> Int {
        var count = 1
        for dimension in shape {
            guard dimension >= 0 else {
                throw bad(name, "shape \(shape) has a negative dimension.")
            }
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            guard !overflow else { throw bad(name, "shape \(shape) holds too many elements.") }
            count = product
        }
        return count
    }

    /// How many elements of BYTES the contents are, or nil when the last is cut off.
    private static func countElements(of contents: ByteBuffer) -> Int? {
        var rest = contents
        var count = 0
        while rest.readableBytes > 0 {
            guard let length = rest.readInteger(endianness: .little, as: UInt32.self),
                rest.readableBytes >= Int(length)
            else { return nil }
            rest.moveReaderIndex(forwardBy: Int(length))
            count += 1
        }
        return count
    }

    private static func bad(_ name: String, _ message: String) -> SluiceError {
        SluiceError(.invalidArgument, reason: Reason.badTensor, "Tensor '\(name)': \(message)")
    }
}
