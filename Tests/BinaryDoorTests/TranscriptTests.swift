// What the machine does, as conversations.

import BinaryDoor
import Contract
import Testing

@Suite struct TranscriptTests {
    @Test("Unary calls, answered in any order")
    func unary() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 10
            begin 1 (10)
            -> CALL 5 END 0
            begin 5 (0)
            finish 5
            <- REPLY 5 END OK
            finish 1
            <- REPLY 1 END OK
            """)
    }

    @Test("A message in parts; parts of two calls take turns")
    func parts() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 MORE 10 of 30
            -> CALL 2 MORE 5 of 8
            -> DATA 1 MORE 10
            -> DATA 2 END 3
            begin 2 (8)
            -> DATA 1 END 10
            begin 1 (30)
            finish 1
            <- REPLY 1 END OK
            """)
    }

    @Test("The client's END may come by itself")
    func lateEnd() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 4
            begin 1 (4)
            -> DATA 1 END 0
            finish 1
            <- REPLY 1 END OK
            -> CALL 2 MORE 4 of 6
            -> DATA 2 2
            begin 2 (6)
            finish 2
            <- REPLY 2 END OK
            -> DATA 2 END 0
            """)
    }

    @Test("A second message ends the call, not the connection")
    func secondMessage() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 4
            begin 1 (4)
            -> DATA 1 4
            overrule 1 INVALID_ARGUMENT
            -> DATA 1 END 4
            -> CALL 2 END 0
            begin 2 (0)
            """)
    }

    @Test("Parts after END end the connection")
    func afterEnd() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 4
            begin 1 (4)
            -> DATA 1 END 4
            <- GOAWAY protocol: DATA for call 1 after its END
            close
            -> CALL 2 END 0
            """)
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 4
            begin 1 (4)
            finish 1
            <- REPLY 1 END OK
            -> DATA 1 MORE 4
            <- GOAWAY protocol: DATA for call 1 after its END
            close
            """)
    }

    @Test("A message over a limit ends its call; its parts are skipped")
    func tooLarge() throws {
        var limits = Limits()
        limits.messageBytes = 100
        limits.bufferedBytes = 150
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 MORE 10 of 101
            <- REPLY 1 END RESOURCE_EXHAUSTED MESSAGE_TOO_LARGE
            -> DATA 1 MORE 60
            -> CALL 2 MORE 10 of 100
            -> CALL 3 MORE 10 of 51
            <- REPLY 3 END RESOURCE_EXHAUSTED BUFFER_FULL
            -> DATA 1 END 31
            -> CALL 4 MORE 10 of 50
            -> DATA 2 END 90
            begin 2 (100)
            -> DATA 1 END 1
            <- GOAWAY protocol: DATA for call 1 after its END
            close
            """, limits: limits)
    }

    @Test("Parts that do not add up end the call")
    func sums() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 MORE 10 of 12
            -> DATA 1 MORE 3
            <- REPLY 1 END INVALID_ARGUMENT BAD_MESSAGE
            -> DATA 1 END 3
            -> CALL 2 MORE 10 of 12
            -> DATA 2 END 1
            <- REPLY 2 END INVALID_ARGUMENT BAD_MESSAGE
            -> CALL 3 MORE 10 of 0
            <- REPLY 3 END INVALID_ARGUMENT BAD_MESSAGE
            -> DATA 3 END 10
            -> CALL 4 END 0
            begin 4 (0)
            """)
    }

    @Test("One call too many ends that call only; a slot is free when the work has ended")
    func tooMany() throws {
        var limits = Limits()
        limits.callsPerConnection = 2
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 0
            begin 1 (0)
            -> CALL 2 END 0
            begin 2 (0)
            -> CALL 3 END 0
            <- REPLY 3 END RESOURCE_EXHAUSTED TOO_MANY_CALLS
            -> CALL 4 MORE 5 of 9
            <- REPLY 4 END RESOURCE_EXHAUSTED TOO_MANY_CALLS
            -> DATA 4 END 4
            -> CANCEL 2
            cancel 2
            finish 2 working
            <- REPLY 2 END OK
            -> CALL 5 END 0
            <- REPLY 5 END RESOURCE_EXHAUSTED TOO_MANY_CALLS
            ended 2
            -> CALL 6 END 0
            begin 6 (0)
            """, limits: limits)
    }

    @Test("CANCEL before, during and after the work, twice, and of an answered call")
    func cancel() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 MORE 10 of 30
            -> CANCEL 1
            <- REPLY 1 END CANCELLED CANCELLED_BY_CALLER
            -> CALL 2 END 0
            begin 2 (0)
            -> CANCEL 2
            cancel 2
            -> CANCEL 2
            finish 2 working
            <- REPLY 2 END OK
            -> CANCEL 2
            drop 2
            ended 2
            -> CANCEL 2
            drop 2
            -> CANCEL 3
            <- GOAWAY protocol: CANCEL for call 3, which was never opened
            close
            """)
    }

    @Test("CANCEL ends the client's half too")
    func dataAfterCancel() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 MORE 10 of 30
            -> CANCEL 1
            <- REPLY 1 END CANCELLED CANCELLED_BY_CALLER
            -> DATA 1 END 20
            <- GOAWAY protocol: DATA for call 1 after its END
            close
            """)
    }

    @Test("PING comes back, too often it is only counted, then the connection ends")
    func ping() throws {
        var limits = Limits()
        limits.controlFrameBurst = 3
        try check(
            """
            -> HELLO
            <- HELLO
            -> PING 1
            <- PING ACK
            -> PING 2
            -> PING 3
            time 10000
            -> PING 4
            <- PING ACK
            -> PING 5
            -> PING ACK 5
            -> EXT
            -> PING 6
            <- GOAWAY calmDown: more than 3 control frames at once, refilled in 10 s (limits.control_frames)
            close
            """, limits: limits)
    }

    @Test("The control budget is refilled over time")
    func refill() throws {
        var limits = Limits()
        limits.controlFrameBurst = 2
        try check(
            """
            -> HELLO
            <- HELLO
            -> EXT
            -> EXT
            time 5000
            -> EXT
            time 4999
            -> EXT
            <- GOAWAY calmDown: more than 2 control frames at once, refilled in 10 s (limits.control_frames)
            close
            """, limits: limits)
    }

    @Test("Empty parts are counted")
    func emptyParts() throws {
        var limits = Limits()
        limits.controlFrameBurst = 2
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 MORE 1 of 30
            -> DATA 1 MORE 0
            -> DATA 1 MORE 0
            -> DATA 1 MORE 0
            <- GOAWAY calmDown: more than 2 control frames at once, refilled in 10 s (limits.control_frames)
            close
            """, limits: limits)
    }

    @Test("AUTH one at a time")
    func auth() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> AUTH
            authenticate
            -> AUTH
            <- GOAWAY protocol: AUTH came before the answer to the token before it
            close
            """)
    }

    @Test("HELLO is due in five seconds, once, in a version known here")
    func hello() throws {
        try check(
            """
            time 4999
            time 1
            <- GOAWAY timeout: no HELLO within 5 s
            close
            -> HELLO
            """)
        try check(
            """
            -> HELLO
            <- HELLO
            time 5000
            -> HELLO
            <- GOAWAY protocol: HELLO came twice
            close
            """)
        try check(
            """
            -> HELLO 1
            <- GOAWAY protocol: minor version 1 is above 0, the highest here
            close
            """)
        try check(
            """
            -> CALL 1 END 0
            <- GOAWAY protocol: the first frame must be HELLO, not CALL
            close
            """)
    }
}

/// Plays a conversation: what the machine says is what stands there.
func check(
    _ script: String, limits: Limits = Limits(), at location: SourceLocation = #_sourceLocation
) throws {
    #expect(try Transcript.run(script, limits: limits) == script, sourceLocation: location)
}
