// The version of the gateway, as metadata, HELLO and the command line show it.

package enum Version {
    package static let text = "0.1.0"
}
