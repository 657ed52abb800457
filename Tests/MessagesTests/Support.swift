// What the tests of Messages share: bytes from hex, a seeded random source, random values of every message.

import Contract
import Messages
import NIOCore
import Testing

/// Bytes from hex digits; anything else is skipped. The buffer is a slice out of the middle of a larger one, so
/// that an index that forgets the reader index shows.
func bytes(_ hex: String) -> ByteBuffer {
    let digits = hex.compactMap(\.hexDigitValue)
    var plain: [UInt8] = []
    for index in stride(from: 0, to: digits.count - 1, by: 2) {
        plain.append(UInt8(digits[index] << 4 | digits[index + 1]))
    }
    return embedded(plain)
}

/// The bytes as the readable part of a larger buffer.
func embedded(_ plain: [UInt8]) -> ByteBuffer {
    var buffer = ByteBuffer(repeating: 0xEE, count: 7)
    buffer.writeBytes(plain)
    buffer.writeRepeatingByte(0xEE, count: 7)
    buffer.moveReaderIndex(forwardBy: 7)
    buffer.moveWriterIndex(to: buffer.writerIndex - 7)
    return buffer
}

func array(_ buffer: ByteBuffer) -> [UInt8] { Array(buffer.readableBytesView) }

func encoded(_ write: (inout ByteBuffer) -> Void) -> ByteBuffer {
    // Something is in the buffer before, as in a frame.
    var buffer = ByteBuffer(repeating: 0xAA, count: 3)
    write(&buffer)
    buffer.moveReaderIndex(forwardBy: 3)
    return buffer
}

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
    mutating func chance() -> Bool { next() & 1 == 0 }
    mutating func oneIn(_ count: Int) -> Bool { below(count) == 0 }

    /// Small and large numbers alike, zero often.
    mutating func number() -> UInt64 {
        switch below(4) {
        case 0: 0
        case 1: UInt64(below(200))
        default: next() >> UInt64(below(64))
        }
    }

    mutating func number32() -> UInt32 { UInt32(truncatingIfNeeded: number()) }

    mutating func text(_ lengthMax: Int = 24) -> String {
        let alphabet = Array("abcXYZ019._-/ é€😀")
        return String((0..<below(lengthMax + 1)).map { _ in alphabet[below(alphabet.count)] })
    }

    mutating func metadata() -> [MetadataEntry] {
        (0..<(oneIn(3) ? below(5) : 0)).map { _ in MetadataEntry(key: text(), value: text()) }
    }

    mutating func secret() -> Secret? { chance() ? nil : Secret("token-\(next())") }

    mutating func status() -> StatusMessage {
        StatusMessage(
            code: StatusCode(rawValue: UInt32(below(17))) ?? .unknown, message: text(60),
            reason: text(), details: metadata(), notStarted: chance(),
            retryAfterMilliseconds: number32())
    }

    mutating func timing() -> Timing {
        var timing = Timing()
        timing.admission = .microseconds(number() >> 12)
        timing.queue = .microseconds(number() >> 12)
        timing.load = .microseconds(number() >> 12)
        timing.run = .microseconds(number() >> 12)
        timing.batch = number32()
        timing.cold = chance()
        return timing
    }

    mutating func trace() -> TraceContext? {
        chance() ? nil : TraceContext((0..<25).map { _ in UInt8(truncatingIfNeeded: next()) })
    }

    mutating func callHeader() -> CallHeader {
        var header = CallHeader(
            method: Method.allCases[below(Method.allCases.count)], model: text(),
            modelVersion: text(4), timeoutMicroseconds: number(), trace: trace(),
            messageLength: number(), attempt: number32(), priority: number32(),
            wantsProgress: chance())
        if oneIn(3) {
            header.metadata = metadata()
            header.idempotencyKey = text()
            header.token = secret()
        }
        return header
    }

    mutating func shape() -> Shape {
        Shape((0..<below(9)).map { _ in Int64(below(4)) }) ?? []
    }

    mutating func tensor(_ index: Int) -> Tensor {
        let payload = (0..<below(40)).map { _ in UInt8(truncatingIfNeeded: next()) }
        return Tensor(
            name: "\(index):" + text(),
            datatype: ElementType.allCases[below(ElementType.allCases.count)], shape: shape(),
            bytes: ByteBuffer(bytes: payload))
    }

    mutating func tensors(_ countMax: Int = 5) -> [Tensor] {
        (0..<below(countMax + 1)).map { tensor($0) }
    }

    mutating func request() -> InferenceRequest {
        InferenceRequest(
            model: text(), version: text(3), id: text(), inputs: tensors(oneIn(8) ? 20 : 4),
            outputs: (0..<below(4)).map { _ in text() })
    }

    mutating func reply() -> InferenceReply {
        InferenceReply(model: text(), version: text(3), id: text(), outputs: tensors())
    }

    mutating func specification() -> TensorSpecification {
        TensorSpecification(
            name: text(), datatype: ElementType.allCases[below(ElementType.allCases.count)],
            shape: Shape((0..<below(9)).map { _ in Int64(below(5)) - 1 }) ?? [])
    }

    mutating func countedTime() -> CountedTime {
        CountedTime(count: number(), nanoseconds: number())
    }

    /// An answer to `method`.
    mutating func answer(to method: Method) -> Answer {
        switch method {
        case .infer, .inferStream: return .inference(reply())
        case .modelMetadata:
            return .modelMetadata(
                ModelMetadata(
                    name: text(), versions: (0..<below(4)).map { _ in text() }, platform: text(),
                    signature: Signature(
                        inputs: (0..<below(4)).map { _ in specification() },
                        outputs: (0..<below(4)).map { _ in specification() }),
                    aliases: Dictionary(
                        uniqueKeysWithValues: (0..<below(4)).map { ("alias-\($0)", text(4)) })))
        case .modelReady: return .modelReady(chance())
        case .serverReady: return .serverReady(chance())
        case .serverMetadata:
            return .serverMetadata(
                ServerMetadata(
                    name: text(), version: text(), extensions: (0..<below(4)).map { _ in text() }))
        case .repositoryIndex:
            return .index(
                (0..<below(6)).map { _ in
                    IndexEntry(name: text(), version: text(), state: text(), reason: text())
                })
        case .repositoryLoad, .repositoryUnload: return .done
        case .modelStatistics:
            return .statistics(
                (0..<below(4)).map { _ in
                    var statistics = ModelStatistics(name: text(), version: text())
                    statistics.lastInference = number()
                    statistics.inferences = number()
                    statistics.executions = number()
                    statistics.success = countedTime()
                    statistics.failure = countedTime()
                    statistics.queue = countedTime()
                    statistics.run = countedTime()
                    return statistics
                })
        case .healthWatch: return .health(chance())
        case .modelControl: return .done
        case .modelAccount:
            return .account(fleetAccount(), (0..<below(5)).map { _ in modelAccount() })
        case .modelAlias:
            let proofs = AliasProof.allCases
            return .alias(
                AliasChange(
                    alias: text(), was: text(4), now: text(4), proof: proofs[below(proofs.count)],
                    goldenCases: UInt32(below(1 << 20))))
        case .gatewayControl:
            guard chance() else { return .gateway(.purged(number() | 1)) }
            return .gateway(
                .reloaded(
                    (0..<below(5)).map { _ in
                        SettingChange(key: text(), was: text(), now: text(40))
                    }))
        case .accessCheck:
            return .access(
                AccessReport(
                    allowed: chance(), rule: text(), plan: text(), why: text(80), issuer: text(),
                    client: text(), subject: text(), scopes: (0..<below(4)).map { _ in text() }))
        }
    }

    mutating func order() -> GatewayOrder {
        switch below(5) {
        case 0: GatewayOrder(.reload)
        case 1: GatewayOrder(.purgeTokens)
        case 2: GatewayOrder(.purgeTokens, subject: text(9))
        case 3: GatewayOrder(.purgeTokens, client: text(9))
        default: GatewayOrder(.purgeTokens, token: Secret("t" + text(9)))
        }
    }

    /// Milliseconds, as the wire has them; nil is "never".
    private mutating func past() -> Nanoseconds? {
        let milliseconds = number() >> 21
        return milliseconds == 0 ? nil : .milliseconds(milliseconds)
    }

    private mutating func share() -> Double { Double(next() >> 11) / Double(1 << 53) }

    mutating func modelAccount() -> ModelAccount {
        let states = ModelAccount.State.allCases
        var account = ModelAccount(
            name: text(), version: text(4), state: states[below(states.count)])
        account.isPinned = chance()
        account.anonymousBytes = number()
        account.mappedBytes = number()
        account.loadPeakBytes = number()
        account.unreturnedBytes = number()
        account.loadTime = .microseconds(number() >> 12)
        account.awakeFor = past()
        account.sinceLastCall = past()
        account.callsSinceWake = number()
        account.loads = number()
        account.evictions = number()
        account.demand = chance() ? 0 : share() * 1e6
        account.score = chance() ? 0 : share() * 1e-9
        account.sinceEviction = past()
        account.evictedFor = text()
        account.failure = text(60)
        account.aliases = (0..<below(4)).map { _ in text() }
        account.trial = text(60)
        account.isQuarantined = chance()
        account.strikes = UInt32(below(1 << 20))
        account.isMapped = chance()
        account.promotedFor = past()
        account.promotedBytes = number()
        account.promotionSaving = share()
        account.isKeptWarm = chance()
        account.idleMax = past() ?? .zero
        account.promotionNote = text()
        account.calls = number()
        account.failedCalls = number()
        account.coldCalls = number()
        account.waiting = UInt32(below(1 << 20))
        account.waking = share()
        if below(4) == 0 {
            account.latency.first = below(100)
            account.latency.counts = (0..<below(6)).map { _ in number() }
        }
        return account
    }

    mutating func fleetAccount() -> FleetAccount {
        var account = FleetAccount()
        account.anonymousBudget = number()
        account.anonymousUsed = number()
        account.mappedBudget = number()
        account.mappedUsed = number()
        account.calls = number()
        account.coldCalls = number()
        account.loadsLastHour = number()
        account.loadsWarn = number()
        account.uptime = past()
        account.queued = UInt32(below(1 << 20))
        account.running = UInt32(below(1 << 20))
        account.missCurve = (0..<below(5)).map { _ in
            MissPoint(extraBytes: number(), coldShare: share())
        }
        return account
    }
}

/// A message as wire bytes, for saying what no encoder here would.
struct RawMessage {
    private(set) var bytes: [UInt8] = []

    mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func tag(_ field: Int, _ wireType: Int) { varint(UInt64(field << 3 | wireType)) }

    mutating func number(_ field: Int, _ value: UInt64) {
        tag(field, 0)
        varint(value)
    }

    mutating func delimited(_ field: Int, _ value: [UInt8]) {
        tag(field, 2)
        varint(UInt64(value.count))
        bytes += value
    }

    mutating func text(_ field: Int, _ value: String) { delimited(field, Array(value.utf8)) }

    mutating func message(_ field: Int, _ fill: (inout RawMessage) -> Void) {
        var inner = RawMessage()
        fill(&inner)
        delimited(field, inner.bytes)
    }

    static func make(_ fill: (inout RawMessage) -> Void) -> ByteBuffer {
        var message = RawMessage()
        fill(&message)
        return embedded(message.bytes)
    }
}

extension InferenceBody {
    /// A body of an INFER call under the default limits.
    init(_ message: ByteBuffer, limits: Limits = Limits()) {
        self.init(method: .infer, message: message, limits: limits)
    }

    /// Why the request is refused.
    func refusal() -> CallFailure? {
        do {
            _ = try inferenceRequest()
            return nil
        } catch {
            return error
        }
    }
}
