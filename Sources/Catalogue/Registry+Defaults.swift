// What a call that names no version would get, of every model at once.

import Contract

extension Registry {
    /// One version of each model in service, in no order that means anything.
    package var defaults: [ModelEntry] {
        var chosen: [ModelEntry] = []
        for name in Set(entries.map(\.name)) {
            do throws(CallFailure) {
                chosen.append(try select(name: name, version: ""))
            } catch {
                // Out of service or broken: nobody gets it.
                continue
            }
        }
        return chosen
    }
}
