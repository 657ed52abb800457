// The SDK's front: a client of one gateway. Calls are in SluiceClient+Calls.swift.

import NIOCore
public import ServiceLifecycle

/// A client of a Sluice gateway.
///
/// One client keeps one connection, over which any number of calls run at once. It connects on the first
/// call, or when told to, and again when the connection is lost. Make one client and share it: every
/// method may be called from any task.
///
/// ```swift
/// let client = try SluiceClient(endpoint: "gateway.example.com:8443")
/// ```
///
/// A client that is no longer needed is ended by ``shutdown()``; ``withSluiceClient(endpoint:configuration:_:)``
/// does that by itself, and so does ``run()`` in a service group.
public final class SluiceClient: Sendable {
    /// The gateway's address.
    public let endpoint: Endpoint
    /// The settings the client was made with.
    public let configuration: Configuration
    let switchboard: Switchboard

    /// Makes a client; it does not connect yet.
    ///
    /// - Throws: ``SluiceError`` with code ``SluiceError/Code/invalidArgument`` when a certificate or key
    ///   of the configuration cannot be used.
    public init(
        endpoint: Endpoint, configuration: Configuration = Configuration()
    ) throws(SluiceError) {
        self.endpoint = endpoint
        self.configuration = configuration
        switchboard = try Switchboard(endpoint, configuration)
    }

    deinit {
        switchboard.post(.shutDown(.now(), nil))
    }

    /// Connects now instead of on the first call, which shows a wrong address, certificate or token at once.
    /// Does nothing when connected.
    ///
    /// - Throws: ``SluiceError``: why there is no connection.
    public func connect() async throws(SluiceError) {
        // The dial has its own timeout and tells more when it is what ends: a back-off before it has to fit, and
        // its answer needs a moment to arrive.
        let timeout =
            configuration.connectTimeout + configuration.reconnect.maximum + .seconds(1)
        _ = try await call(
            nil, deadline: .now() + .nanoseconds(timeout.nanoseconds), onProgress: nil)
    }

    /// Ends the client: takes no more calls, lets those under way finish for up to
    /// ``Configuration/drainTimeout``, then closes the connection. Calls that do not finish in time, and calls
    /// begun afterwards, throw ``SluiceError/Code/cancelled``. Cancelling the task ends the wait for calls.
    public func shutdown() async {
        let deadline = NIODeadline.now() + .nanoseconds(configuration.drainTimeout.nanoseconds)
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                switchboard.post(.shutDown(deadline, continuation))
                if Task.isCancelled { switchboard.post(.shutDown(.now(), nil)) }
            }
        } onCancel: {
            switchboard.post(.shutDown(.now(), nil))
        }
    }
}

extension SluiceClient: Service {
    /// Keeps the client connected, with a pause after each failure, until the service group shuts down; then
    /// does what ``shutdown()`` does. Calls may be made before and without it.
    public func run() async throws {
        switchboard.post(.stayConnected)
        do {
            try await gracefulShutdown()
        } catch {
            await shutdown()
            throw error
        }
        await shutdown()
    }
}

/// Makes a client, hands it to `body` and ends it when `body` returns or throws.
///
/// ```swift
/// let names = try await withSluiceClient(endpoint: "localhost:8443") { client in
///     try await client.index().map(\.name)
/// }
/// ```
///
/// - Throws: what `body` throws, or ``SluiceError`` when the configuration cannot be used.
public func withSluiceClient<Outcome>(
    endpoint: Endpoint, configuration: SluiceClient.Configuration = .init(),
    _ body: (SluiceClient) async throws -> Outcome
) async throws -> Outcome {
    let client = try SluiceClient(endpoint: endpoint, configuration: configuration)
    do {
        let outcome = try await body(client)
        await client.shutdown()
        return outcome
    } catch {
        await client.shutdown()
        throw error
    }
}

// MARK: - The types by their full names

// The class bears its module's name: without these, `SluiceClient.Tensor` would mean nothing where another
// module has a `Tensor` too.

/// A shorter way to say what cannot be said inside of the class, where the nested name would find itself.
public typealias SluiceTensor = Tensor
public typealias SluiceProgress = Progress

extension SluiceClient {
    public typealias Tensor = SluiceTensor
    public typealias Progress = SluiceProgress
}
