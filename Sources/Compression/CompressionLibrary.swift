// Which library the kit runs on, for those who look after a house.

private import CZlib

package enum CompressionLibrary {
    /// For example `1.2.13`: of the library that is loaded, whatever it was built against.
    package static var version: String {
        // A constant of the library.
        guard let text = unsafe zlibVersion() else { return "" }
        return unsafe String(cString: text)
    }
}
