// Checks as values, and how they are run: all at the same time, each with a deadline, so that none waits for another.

/// One thing to look at.
package struct Check: Sendable {
    package let name: String
    /// For the finding of a look that brought nothing.
    let wanted: String
    let look: @Sendable (any Surroundings) async throws -> [Finding]

    init(
        _ name: String, wanted: String,
        look: @escaping @Sendable (any Surroundings) async throws -> [Finding]
    ) {
        self.name = name
        self.wanted = wanted
        self.look = look
    }

    /// Its findings; that it was late is one. Never throws, never hangs when the surroundings' waits can be cancelled.
    package func findings(
        in surroundings: any Surroundings, within deadline: Duration
    ) async -> [Finding] {
        await withTaskGroup(of: [Finding].self) { group in
            group.addTask { await found(in: surroundings) }
            group.addTask {
                do {
                    // The deadline of the look beside it.
                    try await Task.sleep(for: deadline)
                } catch {
                    // The look was faster, and this is not looked at.
                    return []
                }
                return [
                    Finding(
                        name, .fail, found: "no answer within \(deadline)", wanted: wanted,
                        mend: "Look why it hangs (a network file system, a firewall that drops "
                            + "packets), or give more time by --deadline")
                ]
            }
            let first = await group.next() ?? []
            group.cancelAll()
            return first
        }
    }

    private func found(in surroundings: any Surroundings) async -> [Finding] {
        do {
            return try await look(surroundings)
        } catch let trouble as CheckTrouble {
            return [Finding(name, .fail, found: trouble.why, wanted: wanted, mend: trouble.mend)]
        } catch {
            return [Finding(name, .fail, found: "\(error)", wanted: wanted)]
        }
    }

    /// All of them at once; the findings stand in the order of the checks.
    package static func run(
        _ checks: [Check], in surroundings: any Surroundings, within deadline: Duration
    ) async -> [Finding] {
        await withTaskGroup(of: (Int, [Finding]).self) { group in
            for (index, check) in checks.enumerated() {
                group.addTask {
                    (index, await check.findings(in: surroundings, within: deadline))
                }
            }
            var findings = Array(repeating: [Finding](), count: checks.count)
            for await (index, found) in group { findings[index] = found }
            return findings.flatMap(\.self)
        }
    }

    /// Everything that a house with these wishes depends on.
    package static func all(_ plan: HousePlan) -> [Check] {
        Library.allCases.map(library)
            + [openFiles(plan), descriptors, memory(plan), processors(plan), clock]
            + [certificate]
            + plan.secretFiles.map(secretFile)
            + plan.issuers.map(issuer)
            + [plan.isBucket ? store(plan) : models(plan)]
            + plan.folders.map { space($0.setting, $0.path) }
            + plan.ports.map { port($0.setting, $0.place) }
            + [stateFolder]
    }
}
