// What the tests of OpenInference share: a seeded random source, documents from text, failures as text.

import Contract
import NIOCore
import OpenInference
import Testing

/// A small reproducible generator (SplitMix64).
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }
    mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }

    mutating func text(_ lengthMax: Int = 12) -> String {
        let alphabet = Array("abcXYZ019._-/ é€😀\"\\\n\u{0}\u{7F}")
        return String((0..<below(lengthMax + 1)).map { _ in alphabet[below(alphabet.count)] })
    }
}

/// How often a random test goes round: the debug build is some fifty times slower.
func rounds(debug: Int, release: Int) -> Int {
    #if DEBUG
        debug
    #else
        release
    #endif
}

func decoded(
    _ text: String, binary: [UInt8] = [], headerLength: Int? = nil,
    limits: DocumentLimits = DocumentLimits()
) throws -> InferenceDocument {
    // Something is in the buffer before, as in a connection's.
    var body = ByteBuffer(string: "??" + text)
    body.moveReaderIndex(forwardBy: 2)
    body.writeBytes(binary)
    let length = headerLength ?? (binary.isEmpty ? nil : text.utf8.count)
    return try InferenceDocument.decode(body, headerLength: length, limits: limits)
}

/// The failure of a document that must not be taken.
func failure(
    _ text: String, binary: [UInt8] = [], headerLength: Int? = nil,
    limits: DocumentLimits = DocumentLimits(), location: SourceLocation = #_sourceLocation
) -> CallFailure? {
    do {
        let document = try decoded(
            text, binary: binary, headerLength: headerLength, limits: limits)
        Issue.record("taken: \(document)", sourceLocation: location)
    } catch let failure as CallFailure {
        return failure
    } catch {
        Issue.record("\(error)", sourceLocation: location)
    }
    return nil
}

/// A document of one input.
func one(_ datatype: String, _ shape: String, _ data: String, more: String = "") -> String {
    #"{"inputs":[{"name":"x","datatype":"\#(datatype)","shape":\#(shape),"data":\#(data)\#(more)}]}"#
}

/// The bytes of a document's first input.
func bytes(_ text: String) throws -> [UInt8] {
    let document = try decoded(text)
    return Array(try #require(document.request.inputs.first).bytes.readableBytesView)
}

/// The answer's JSON and what follows it.
func encoded(
    _ outputs: [Tensor], form: AnswerForm = AnswerForm(), id: String = ""
) throws -> (json: String, binary: [UInt8], length: Int?) {
    let answer = try InferenceAnswer.encode(
        InferenceReply(model: "m", version: "1", id: id, outputs: outputs), for: form)
    let all = answer.pieces.flatMap { Array($0.readableBytesView) }
    #expect(all.count == answer.byteCount)
    let length = answer.headerLength ?? all.count
    return (
        String(decoding: all[..<length], as: UTF8.self), Array(all[length...]), answer.headerLength
    )
}

func tensor(
    _ datatype: ElementType, _ shape: Shape, _ bytes: [UInt8], name: String = "y"
) -> Tensor {
    Tensor(name: name, datatype: datatype, shape: shape, bytes: ByteBuffer(bytes: bytes))
}
