// HELLO and AUTH: what both sides of a connection say of themselves. On the walk: before the first call.

import CMessages
import CProtobufC
package import Contract
package import NIOCore

/// The client's first frame.
package struct ClientHello: HeaderMessage {
    /// The lowest and highest minor version of `sluice/1` the client speaks.
    package var minorMinimum: UInt32
    package var minorMaximum: UInt32
    /// For logs; at most 128 bytes.
    package var userAgent: String
    /// Nil when the client sent none.
    package var token: Secret?
    /// The largest frame the client wants, in bytes; 0 for the server's default.
    package var requestedFrameBytes: UInt32
    /// In milliseconds; 0 for the server's default.
    package var requestedIdleMilliseconds: UInt32

    package init(
        minorMinimum: UInt32 = 0, minorMaximum: UInt32 = 0, userAgent: String = "",
        token: Secret? = nil, requestedFrameBytes: UInt32 = 0,
        requestedIdleMilliseconds: UInt32 = 0
    ) {
        self.minorMinimum = minorMinimum
        self.minorMaximum = minorMaximum
        self.userAgent = userAgent
        self.token = token
        self.requestedFrameBytes = requestedFrameBytes
        self.requestedIdleMilliseconds = requestedIdleMilliseconds
    }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        self = try unsafe unpack(Sluice__V1__ClientHello.self, from: buffer, limits: limits) {
            message throws(MessageFault) in
            let requested = unsafe message.requested?.pointee
            return try unsafe ClientHello(
                minorMinimum: message.minor_min, minorMaximum: message.minor_max,
                userAgent: note(message.user_agent, "a user agent"),
                token: secret(message.token, limits: limits),
                requestedFrameBytes: requested?.max_frame ?? 0,
                requestedIdleMilliseconds: requested?.idle_timeout_ms ?? 0)
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__ClientHello.self) { message in
            unsafe message.minor_min = minorMinimum
            unsafe message.minor_max = minorMaximum
            unsafe message.user_agent = arena.text(userAgent)
            unsafe message.token = arena.secret(token)
            guard requestedFrameBytes != 0 || requestedIdleMilliseconds != 0 else { return }
            unsafe message.requested = arena.make(Sluice__V1__RequestedSettings.self) { requested in
                unsafe requested.max_frame = requestedFrameBytes
                unsafe requested.idle_timeout_ms = requestedIdleMilliseconds
            }
        }
        unsafe arena.pack(message, into: &buffer)
    }

    package static func == (left: ClientHello, right: ClientHello) -> Bool {
        left.minorMinimum == right.minorMinimum && left.minorMaximum == right.minorMaximum
            && left.userAgent == right.userAgent && equal(left.token, right.token)
            && left.requestedFrameBytes == right.requestedFrameBytes
            && left.requestedIdleMilliseconds == right.requestedIdleMilliseconds
    }
}

/// The server's first frame: what is in force on this connection.
package struct ServerHello: HeaderMessage {
    package var minor: UInt32 = 0
    package var frameBytes: UInt32 = 0
    package var messageBytes: UInt64 = 0
    package var headerBytes: UInt32 = 0
    package var concurrentCalls: UInt32 = 0
    package var pingIntervalMilliseconds: UInt32 = 0
    package var idleMilliseconds: UInt32 = 0
    package var deadlineDefaultMilliseconds: UInt32 = 0
    package var deadlineMaximumMilliseconds: UInt32 = 0
    /// For logs on both sides; at most 128 bytes.
    package var connectionID = ""
    /// Nil when the client sent no token.
    package var auth: AuthResult?
    /// Name and version of the server; at most 128 bytes.
    package var server = ""

    package init() {}

    /// What a connection under `limits` says of itself; identification is the caller's to fill in.
    package init(_ limits: Limits) {
        frameBytes = UInt32(clamping: limits.frameBytes)
        messageBytes = UInt64(clamping: limits.messageBytes)
        headerBytes = UInt32(clamping: limits.headerBytes)
        concurrentCalls = UInt32(clamping: limits.callsPerConnection)
        pingIntervalMilliseconds = limits.pingIntervalMinimum.wireMilliseconds
        idleMilliseconds = limits.idleTime.wireMilliseconds
        deadlineDefaultMilliseconds = limits.deadlineDefault.wireMilliseconds
        deadlineMaximumMilliseconds = limits.deadlineMaximum.wireMilliseconds
    }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        let rule = unsafe metadataRule(Sluice__V1__Status.self, field: 4, limits: limits)
        self = try unsafe unpack(
            Sluice__V1__ServerHello.self, from: buffer, limits: limits, rules: [rule]
        ) { message throws(MessageFault) in
            var hello = ServerHello()
            unsafe hello.minor = message.minor
            unsafe hello.frameBytes = message.max_frame
            unsafe hello.messageBytes = message.max_message
            unsafe hello.headerBytes = message.max_header
            unsafe hello.concurrentCalls = message.max_concurrent_calls
            unsafe hello.pingIntervalMilliseconds = message.min_ping_interval_ms
            unsafe hello.idleMilliseconds = message.idle_timeout_ms
            unsafe hello.deadlineDefaultMilliseconds = message.default_deadline_ms
            unsafe hello.deadlineMaximumMilliseconds = message.max_deadline_ms
            hello.connectionID = try unsafe note(message.connection_id, "a connection id")
            if let auth = unsafe message.auth {
                hello.auth = try unsafe AuthResult(auth.pointee, limits: limits)
            }
            hello.server = try unsafe note(message.server, "a server name")
            return hello
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__ServerHello.self) { message in
            unsafe message.minor = minor
            unsafe message.max_frame = frameBytes
            unsafe message.max_message = messageBytes
            unsafe message.max_header = headerBytes
            unsafe message.max_concurrent_calls = concurrentCalls
            unsafe message.min_ping_interval_ms = pingIntervalMilliseconds
            unsafe message.idle_timeout_ms = idleMilliseconds
            unsafe message.default_deadline_ms = deadlineDefaultMilliseconds
            unsafe message.max_deadline_ms = deadlineMaximumMilliseconds
            unsafe message.connection_id = arena.text(connectionID)
            if let auth { unsafe message.auth = auth.make(in: arena) }
            unsafe message.server = arena.text(server)
        }
        unsafe arena.pack(message, into: &buffer)
    }
}

/// What became of a token.
package struct AuthResult: HeaderMessage {
    /// Nil when the token was accepted.
    package var status: StatusMessage?
    /// How long the token stays valid, in milliseconds; 0 when unknown.
    package var expiresInMilliseconds: UInt64

    package init(status: StatusMessage? = nil, expiresInMilliseconds: UInt64 = 0) {
        self.status = status
        self.expiresInMilliseconds = expiresInMilliseconds
    }

    /// The walk's answer to a token (`CallerSession.authenticate`).
    package init(_ result: Result<Nanoseconds?, CallFailure>) {
        switch result {
        case .success(let validFor): self.init(expiresInMilliseconds: validFor?.milliseconds ?? 0)
        case .failure(let failure): self.init(status: StatusMessage(failure))
        }
    }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        let rule = unsafe metadataRule(Sluice__V1__Status.self, field: 4, limits: limits)
        self = try unsafe unpack(
            Sluice__V1__AuthResult.self, from: buffer, limits: limits, rules: [rule]
        ) { message throws(MessageFault) in try unsafe AuthResult(message, limits: limits) }
    }

    fileprivate init(_ message: Sluice__V1__AuthResult, limits: Limits) throws(MessageFault) {
        if let status = unsafe message.status {
            self.status = try unsafe StatusMessage(status.pointee, limits: limits)
        }
        unsafe expiresInMilliseconds = message.expires_in_ms
    }

    fileprivate func make(in arena: borrowing Arena) -> UnsafeMutablePointer<Sluice__V1__AuthResult>
    {
        unsafe arena.make(Sluice__V1__AuthResult.self) { message in
            if let status { unsafe message.status = status.make(in: arena) }
            unsafe message.expires_in_ms = expiresInMilliseconds
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        unsafe arena.pack(make(in: arena), into: &buffer)
    }
}

/// Replaces the connection's identity for later calls.
package struct AuthUpdate: HeaderMessage {
    /// Nil when the client sent none: it gives its identity up.
    package var token: Secret?

    package init(token: Secret?) { self.token = token }

    package init(decoding buffer: ByteBuffer, limits: Limits) throws(MessageFault) {
        self = try unsafe unpack(Sluice__V1__AuthUpdate.self, from: buffer, limits: limits) {
            message throws(MessageFault) in
            try unsafe AuthUpdate(token: secret(message.token, limits: limits))
        }
    }

    package func encode(into buffer: inout ByteBuffer) {
        let arena = Arena(budget: .max)
        let message = unsafe arena.make(Sluice__V1__AuthUpdate.self) { message in
            unsafe message.token = arena.secret(token)
        }
        unsafe arena.pack(message, into: &buffer)
    }

    package static func == (left: AuthUpdate, right: AuthUpdate) -> Bool {
        equal(left.token, right.token)
    }
}

/// Whether two secrets are the same, in time that depends on their lengths only.
func equal(_ left: Secret?, _ right: Secret?) -> Bool {
    switch (left, right) {
    case (nil, nil): true
    case (let left?, let right?): left.matches(right)
    default: false
    }
}
