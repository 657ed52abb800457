// Every limit of the house, in one place. Each is a setting; docs/operating.md lists them.

/// The limits a caller can meet, with their defaults (PROTOCOL.md, last section).
package struct Limits: Sendable, Equatable {
    // A connection
    /// From the TCP connection to the end of the TLS handshake.
    package var handshakeTime = Nanoseconds.seconds(10)
    /// From the end of the handshake to the peer's whole HELLO.
    package var helloTime = Nanoseconds.seconds(5)
    package var helloBytes = 4_096
    /// Between two parts of one message.
    package var stallTime = Nanoseconds.seconds(30)
    /// A connection without calls and without frames for this long is closed.
    package var idleTime = Nanoseconds.seconds(600)
    package var pingIntervalMinimum = Nanoseconds.seconds(10)
    /// PING, AUTH, CANCEL and empty frames allowed in one burst before the connection is told to calm down;
    /// refilled at the same number per 10 s.
    package var controlFrameBurst = 1_024
    package var connectionsPerAddress = 256
    /// TLS handshakes that may begin in a second from one address, four times as many at once; 0: any number.
    package var handshakesPerAddress = 256
    /// TLS handshakes under way; beyond that the oldest gives way to the newest.
    package var handshakes = 4_096
    package var connections = 20_000
    package var callsPerConnection = 256
    /// Bytes of unfinished messages and undelivered answers one connection may hold.
    package var bufferedBytes = 64 << 20

    // A frame and a message
    package var headerBytes = 16 << 10
    package var metadataBytes = 8 << 10
    package var metadataEntries = 64
    package var frameBytes = 256 << 10
    package var messageBytes = 64 << 20
    package var tensorsPerMessage = 256
    package var parametersPerMessage = 256
    package var nestingDepth = 16
    package var tokenBytes = 16 << 10

    // A call
    package var deadlineDefault = Nanoseconds.seconds(60)
    package var deadlineMaximum = Nanoseconds.seconds(3_600)
    /// How long a stopping gateway waits for calls to finish.
    package var drainTime = Nanoseconds.seconds(30)

    package init() {}
}
