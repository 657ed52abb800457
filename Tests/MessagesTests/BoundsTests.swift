// What the scanner keeps from protobuf-c: depth, counts, lengths, tags, text; and the arena's budget.

import CMessages
import CProtobufC
import Contract
import Messages
import NIOCore
import Testing

@Suite struct BoundsTests {
    private func refusal(
        _ limits: Limits = Limits(), _ fill: (inout RawMessage) -> Void
    ) -> CallFailure? {
        InferenceBody(RawMessage.make(fill), limits: limits).refusal()
    }

    private func refusal(_ hex: String) -> CallFailure? { InferenceBody(bytes(hex)).refusal() }

    @Test func brokenBytes() {
        for (hex, word) in [
            ("0A", "length"), ("0A05 6D", "length"), ("0A FFFFFFFF0F 00", "length"),
            ("0A FFFFFFFFFFFFFFFFFF01", "length"), ("0A FFFFFFFFFFFFFFFFFF7F 00", "length"),
            ("00 00", "tag"), ("02 00", "tag"), ("FFFFFFFFFFFF01 00", "tag"), ("80", "tag"),
            ("FF FF FF FF 1F 00", "tag"), ("08 01", "type of model_name"),
            ("38 01", "raw contents"),
            ("0E 00", "wire type"), ("0F 00", "wire type"), ("0B 0C", "group"), ("0C", "group"),
            ("78 FFFFFFFFFFFFFFFFFFFF01", "number"), ("79 00000000000000", "64-bit"),
            ("7D 000000", "32-bit"), ("2A 03 1A 01 80", "shape"), ("2A 02 1D 00", "32-bit"),
            ("2A 05 1D 00000000", "type of shape"),
        ] {
            let failure = refusal(hex)
            #expect(failure?.code == .invalidArgument, "\(hex): \(String(describing: failure))")
            #expect(failure?.message.contains(word) == true, "\(hex): \(failure?.message ?? "")")
        }
    }

    @Test func textIsUTF8WithoutNUL() {
        for hex in [
            "0A 01 80", "1A 03 61 00 62", "2A 04 0A 02 C3 28", "32 03 0A 01 FF", "0A 01 00",
        ] {
            let failure = refusal(hex)
            #expect(failure?.code == .invalidArgument)
            #expect(failure?.message.contains("UTF-8") == true, "\(hex)")
        }
        #expect(refusal("0A 02 C3A9") == nil)
    }

    @Test func depth() {
        // A parameter of an input lies three messages deep.
        var limits = Limits()
        func nested(_ depth: Int) -> CallFailure? {
            limits.nestingDepth = depth
            return refusal(limits) { message in
                message.message(5) { input in
                    input.text(2, "FP32")
                    input.number(3, 0)
                    input.message(4) { entry in
                        entry.text(1, "k")
                        entry.message(2) { $0.number(2, 1) }
                    }
                }
            }
        }
        #expect(nested(4) == nil)
        #expect(nested(3)?.message.contains("deeper than 3") == true)
        #expect(nested(1)?.code == .resourceExhausted)
    }

    /// 100,000 messages in one another: only as deep as the types go is looked into.
    @Test func depthBomb() {
        var bomb: [UInt8] = []
        for _ in 0..<1_000 {
            var outer = RawMessage()
            outer.delimited(5, bomb)
            bomb = outer.bytes
        }
        #expect(InferenceBody(embedded(bomb)).refusal()?.code == .invalidArgument)
    }

    @Test func counts() {
        let inputs = refusal { message in
            for _ in 0..<257 { message.message(5) { $0.text(2, "FP32") } }
        }
        #expect(inputs?.code == .resourceExhausted)
        #expect(inputs?.message.contains("257 inputs (limits.tensors_per_message)") == true)
        let outputs = refusal { message in
            for _ in 0..<257 { message.message(6) { _ in } }
        }
        #expect(outputs?.message.contains("257 outputs") == true)
        let raws = refusal { message in
            for _ in 0..<257 { message.delimited(7, []) }
        }
        #expect(raws?.message.contains("raw contents") == true)
        let parameters = refusal { message in
            for _ in 0..<257 { message.message(4) { $0.text(1, "k") } }
        }
        #expect(parameters?.message.contains("257 parameters") == true)
        // Over all inputs together, not of each.
        let spread = refusal { message in
            for _ in 0..<10 {
                message.message(5) { input in
                    for _ in 0..<26 { input.message(4) { $0.text(1, "k") } }
                }
            }
        }
        #expect(spread?.message.contains("257 parameters") == true)
        let unknown = refusal { message in
            for _ in 0..<1_025 { message.number(99, 1) }
        }
        #expect(unknown?.message.contains("unknown fields") == true)
    }

    @Test func dimensionsAreCountedPackedToo() {
        let packed = refusal { message in
            message.message(5) { $0.delimited(3, [UInt8](repeating: 1, count: 1_000_000)) }
        }
        #expect(packed?.message.contains("1000000 dimensions") == true)
    }

    @Test func singularMessageTwice() {
        let twice = refusal { message in
            message.message(5) { input in
                input.text(2, "FP32")
                input.message(5) { $0.delimited(6, [0, 0, 0, 0]) }
                input.message(5) { $0.delimited(6, [0, 0, 0, 0]) }
            }
        }
        #expect(twice?.message.contains("contents twice") == true)
    }

    @Test func wholeMessage() {
        var limits = Limits()
        limits.messageBytes = 100
        let failure = refusal(limits) { $0.text(1, String(repeating: "m", count: 200)) }
        #expect(failure?.code == .resourceExhausted)
        #expect(failure?.message.contains("limits.message") == true)
        let question = InferenceBody(
            method: .modelReady,
            message: RawMessage.make { $0.text(1, String(repeating: "m", count: 200)) },
            limits: limits)
        #expect {
            try question.question()
        } throws: { ($0 as? CallFailure)?.code == .resourceExhausted }
    }

    /// protobuf-c keeps 48 bytes for each field it meets: a message of nothing but tiny fields is stopped by
    /// the arena, not by the heap.
    @Test func manyTinyFieldsMeetTheArena() {
        var limits = Limits()
        limits.messageBytes = 1 << 20
        let message = RawMessage.make { message in
            message.message(5) { input in
                input.text(2, "BYTES")
                input.number(3, 400_000)
                input.message(5) { contents in
                    for _ in 0..<400_000 { contents.delimited(8, []) }
                }
            }
        }
        let failure = InferenceBody(message, limits: limits).refusal()
        #expect(failure?.code == .resourceExhausted)
        #expect(failure?.message.contains("more memory") == true)
    }

    @Test func arenaKeepsItsBudget() throws {
        let arena = try unsafe #require(unsafe CProtobufC_arena_make(100_000))
        defer { unsafe CProtobufC_arena_free(arena) }
        var random = Seeded(5)
        var pieces: [(Int, Int)] = []
        var total = 0
        while true {
            let size = random.oneIn(10) ? random.below(20_000) : random.below(300)
            guard let piece = unsafe CProtobufC_arena_allocate(arena, size) else { break }
            let start = Int(bitPattern: piece)
            #expect(start % 16 == 0)
            unsafe piece.initializeMemory(as: UInt8.self, repeating: 1, count: size)
            pieces.append((start, start + size))
            total += size
        }
        #expect(unsafe arena.pointee.exhausted != 0)
        #expect(total <= 101_024)
        #expect(total > 50_000)
        pieces.sort { $0.0 < $1.0 }
        for (left, right) in zip(pieces, pieces.dropFirst()) { #expect(left.1 <= right.0) }
        #expect(unsafe CProtobufC_arena_allocate(arena, Int.max) == nil)
        #expect(unsafe CProtobufC_arena_allocate(arena, -1) == nil)
    }
}
