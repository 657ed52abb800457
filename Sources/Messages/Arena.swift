// The memory protobuf-c works in: one arena a message, bounded, gone when the message has been read.

// protobuf-c.h is part of both modules, and which one Swift takes a name from is chance: import both.
import CMessages
import CProtobufC
import NIOCore

/// What protoc-c generates for a message, as far as generic code needs it.
protocol CMessage {
    var base: ProtobufCMessage { get }
    /// Sets the type and every field's default.
    static func initialise(_ message: UnsafeMutablePointer<Self>)
}

extension CMessage {
    /// The type's description, which the generated code keeps for the life of the process.
    static var descriptor: UnsafePointer<ProtobufCMessageDescriptor> {
        unsafe withUnsafeTemporaryAllocation(of: Self.self, capacity: 1) { room in
            guard let message = room.baseAddress else {
                preconditionFailure("one element of a temporary allocation has an address")
            }
            unsafe initialise(message)
            return unsafe message.pointee.base.descriptor
        }
    }
}

/// Owns an arena of C memory. Everything taken from it dies with it, so pointers stay inside the function that
/// owns the arena. One thread at a time.
@safe struct Arena: ~Copyable {
    private let arena: UnsafeMutablePointer<CProtobufC_Arena>

    /// - Parameter budget: heap bytes it may take beyond its first block of about 1 KiB.
    init(budget: Int) {
        guard let arena = unsafe CProtobufC_arena_make(budget) else {
            preconditionFailure("out of memory")
        }
        unsafe self.arena = arena
    }

    deinit { unsafe CProtobufC_arena_free(arena) }

    /// Unpacks `bytes`, which the bounding scanner has passed, and gives the message to `read`.
    borrowing func withUnpacked<Message: CMessage, Value>(
        _ type: Message.Type, _ bytes: UnsafeRawBufferPointer,
        _ read: (Message) throws(MessageFault) -> Value
    ) throws(MessageFault) -> Value {
        let unpacked = unsafe protobuf_c_message_unpack(
            Message.descriptor, &arena.pointee.allocator, bytes.count,
            bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        guard let unpacked = unsafe unpacked else {
            guard unsafe arena.pointee.exhausted == 0 else {
                throw MessageFault(.tooLarge, "the message takes more memory than a message may")
            }
            throw MessageFault(.malformed, "the message is not well-formed protobuf")
        }
        let message = unsafe UnsafeMutableRawPointer(unpacked)
            .assumingMemoryBound(to: Message.self)
        return try unsafe read(message.pointee)
    }

    /// A new message with default fields.
    borrowing func make<Message: CMessage>(
        _ type: Message.Type, _ fill: (inout Message) -> Void
    ) -> UnsafeMutablePointer<Message> {
        let message = unsafe take(of: Message.self, count: 1)
        unsafe Message.initialise(message)
        unsafe fill(&message.pointee)
        return unsafe message
    }

    /// A C string. Ends at the text's first NUL, should it have one.
    borrowing func text(_ text: String) -> UnsafeMutablePointer<CChar> {
        let count = text.utf8.count
        let room = unsafe take(of: CChar.self, count: count + 1)
        unsafe UnsafeMutableRawBufferPointer(start: room, count: count).copyBytes(from: text.utf8)
        unsafe room[count] = 0
        return unsafe room
    }

    borrowing func bytes(_ bytes: [UInt8]) -> ProtobufCBinaryData {
        guard !bytes.isEmpty else { return unsafe ProtobufCBinaryData() }
        let room = unsafe take(of: UInt8.self, count: bytes.count)
        unsafe UnsafeMutableRawBufferPointer(start: room, count: bytes.count)
            .copyBytes(from: bytes)
        return unsafe ProtobufCBinaryData(len: bytes.count, data: room)
    }

    /// An array of one element for each of `values`; nil when there are none.
    borrowing func list<Value, Element>(
        _ values: [Value], _ element: (Value) -> Element
    ) -> UnsafeMutablePointer<Element>? {
        guard !values.isEmpty else { return nil }
        let room = unsafe take(of: Element.self, count: values.count)
        for index in values.indices {
            unsafe (room + index).initialize(to: element(values[index]))
        }
        return unsafe room
    }

    /// Appends the packed message to `buffer`.
    borrowing func pack<Message: CMessage>(
        _ message: UnsafeMutablePointer<Message>, into buffer: inout ByteBuffer
    ) {
        let base = unsafe UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self)
        let count = unsafe protobuf_c_message_get_packed_size(base)
        guard count > 0 else { return }
        unsafe buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { room in
            unsafe protobuf_c_message_pack(
                base, room.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
    }

    /// How many bytes ``pack(_:into:)`` appends.
    borrowing func byteCount<Message: CMessage>(
        of message: UnsafeMutablePointer<Message>
    ) -> Int {
        unsafe protobuf_c_message_get_packed_size(
            UnsafeRawPointer(message).assumingMemoryBound(to: ProtobufCMessage.self))
    }

    /// Only for encoding our own values: running out of memory there is the machine's end, not a fault.
    private borrowing func take<Value>(
        of type: Value.Type, count: Int
    ) -> UnsafeMutablePointer<Value> {
        let size = MemoryLayout<Value>.stride * count
        guard let room = unsafe CProtobufC_arena_allocate(arena, size) else {
            preconditionFailure("out of memory")
        }
        return unsafe room.bindMemory(to: Value.self, capacity: count)
    }
}

/// The text of a C string that the scanner has found to be valid UTF-8.
func text(_ string: UnsafePointer<CChar>?) -> String {
    guard let string = unsafe string else { return "" }
    return unsafe String(cString: string)
}
