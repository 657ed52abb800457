// How calls and connections end by time, by drain and by stop, as conversations.

import BinaryDoor
import Contract
import Testing

@Suite struct TranscriptEndTests {
    @Test("A stalled message ends its call; one past its deadline too")
    func stalled() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 MORE 1 of 30
            -> CALL 2 MORE 1 of 30
            time 20000
            -> DATA 2 MORE 1
            time 9999
            time 1
            <- REPLY 1 END DEADLINE_EXCEEDED MESSAGE_STALLED
            time 15000
            -> DATA 2 MORE 1
            time 15000
            <- REPLY 2 END DEADLINE_EXCEEDED DEADLINE_PAST
            -> DATA 1 END 29
            -> CALL 3 END 0
            begin 3 (0)
            """)
    }

    @Test("An idle connection is closed, one at work is not")
    func idle() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 0
            begin 1 (0)
            time 600000
            time 600000
            finish 1
            <- REPLY 1 END OK
            time 599999
            time 1
            <- GOAWAY timeout: no frame for 600 s
            close
            """)
    }

    @Test("A peer that reads nothing is closed")
    func blocked() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 0
            begin 1 (0)
            blocked
            time 29999
            blocked
            time 1
            <- GOAWAY timeout: nothing was read for 30 s
            close
            """)
    }

    @Test("Drain: open no more, last call, finish, close")
    func drain() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 0
            begin 1 (0)
            drain 30000
            <- GOAWAY open no more
            <- PING
            -> CALL 2 END 0
            begin 2 (0)
            -> PROBE
            <- GOAWAY last 2
            -> CALL 3 END 0
            <- REPLY 3 END UNAVAILABLE DRAINING
            finish 1
            <- REPLY 1 END OK
            finish 2 working
            <- REPLY 2 END OK
            close
            """)
    }

    @Test("Drain with a client that does not answer, and with calls that do not end")
    func drainTimes() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 0
            begin 1 (0)
            -> CALL 2 MORE 1 of 9
            drain 20000
            <- GOAWAY open no more
            <- PING
            time 999
            time 1
            <- GOAWAY last 2
            time 18999
            time 1
            <- REPLY 1 END UNAVAILABLE STOPPING
            <- REPLY 2 END UNAVAILABLE STOPPING
            close
            """)
        try check(
            """
            drain 20000
            <- GOAWAY noError: the gateway is stopping
            close
            """)
        try check(
            """
            -> HELLO
            <- HELLO
            drain 20000
            <- GOAWAY open no more
            <- PING
            -> PROBE
            <- GOAWAY last 0
            close
            """)
    }

    @Test("A stop answers what is open")
    func stop() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 0
            begin 1 (0)
            -> CALL 2 MORE 5 of 10
            -> CALL 3 END 0
            begin 3 (0)
            finish 3 working
            <- REPLY 3 END OK
            stop
            <- REPLY 1 END UNAVAILABLE STOPPING
            <- REPLY 2 END UNAVAILABLE STOPPING
            close
            """)
    }

    @Test("The client's GOAWAY: finish, then close; no call after it")
    func clientGoesAway() throws {
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 0
            begin 1 (0)
            -> GOAWAY
            finish 1
            <- REPLY 1 END OK
            close
            """)
        try check(
            """
            -> HELLO
            <- HELLO
            -> CALL 1 END 0
            begin 1 (0)
            -> GOAWAY
            -> CALL 2 END 0
            <- GOAWAY protocol: call 2 was opened after GOAWAY
            close
            """)
    }
}
