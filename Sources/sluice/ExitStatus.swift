// How the process ends, in numbers scripts can rely on (DESIGN.md section 5; the numbers are sysexits.h's).

import ArgumentParser
import Contract
import Foundation
import SluiceClient

/// A failure on its way out: one or two lines on standard error, and a status.
struct CommandFailure: Error, CustomStringConvertible {
    enum Status: Int32 {
        case usage = 64
        case data = 65
        case unavailable = 69
        case `internal` = 70
        case tryAgain = 75
        case permission = 77
        case configuration = 78
    }

    var status: Status
    var description: String

    init(_ status: Status, _ description: String) {
        self.status = status
        self.description = description
    }

    init(_ error: GatewayError) {
        let status: Status =
            switch error.kind {
            case .configuration: .configuration
            case .unavailable: .unavailable
            case .data: .data
            case .internal: .internal
            case .permission: .permission
            }
        self.init(status, error.description)
    }

    init(_ error: SluiceError) {
        let status: Status =
            switch error.code {
            case .unauthenticated, .permissionDenied: .permission
            case .unavailable: .unavailable
            case .resourceExhausted, .deadlineExceeded, .aborted, .cancelled: .tryAgain
            case .invalidArgument, .notFound, .failedPrecondition, .outOfRange, .alreadyExists,
                .unimplemented:
                .data
            default: .internal
            }
        self.init(status, error.description)
    }
}

/// Runs a command's body, prints what failed on standard error and ends with the status that says what kind of
/// failure it was.
func reportingFailures(_ body: () async throws -> Void) async throws {
    let failure: CommandFailure
    do {
        try await body()
        return
    } catch let error as CommandFailure {
        failure = error
    } catch let error as GatewayError {
        failure = CommandFailure(error)
    } catch let error as SluiceError {
        failure = CommandFailure(error)
    } catch is CancellationError {
        failure = CommandFailure(.tryAgain, "interrupted")
    } catch {
        if error is ExitCode || error is ValidationError { throw error }
        failure = CommandFailure(.internal, "\(error)")
    }
    printError("sluice: \(failure)")
    throw ExitCode(failure.status.rawValue)
}

/// Prints a line on standard error.
func printError(_ line: String) {
    FileHandle.standardError.write(Data((line + "\n").utf8))
}

/// Prints a value as JSON, keys sorted, so that outputs can be compared.
func printJSON(_ value: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    print(String(decoding: try encoder.encode(value), as: UTF8.self))
}
