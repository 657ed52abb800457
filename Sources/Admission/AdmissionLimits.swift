// The bounds of Admission, in one place. Each is a setting.

package import Contract

package struct AdmissionLimits: Sendable, Equatable {
    // How long an answer is believed
    /// When the answer did not say how long the token is valid.
    package var unknownExpiryTime = Nanoseconds.seconds(10)
    /// How long "inactive" is believed.
    package var negativeTime = Nanoseconds.seconds(5)
    /// How long a failed look-up answers the same token without asking again: an issuer that refuses
    /// connections at once must not be asked on every call, yet is found again as soon as it is back.
    package var failureTime = Nanoseconds.milliseconds(250)

    // How much is remembered
    package var activeBytes = 64 << 20
    package var inactiveBytes = 8 << 20

    // How much is asked
    /// Look-ups of unknown tokens from one address; nil: as many as come.
    package var lookupsPerAddress: Rate? = Rate(20, per: .seconds(1), burst: 100)
    /// Look-ups of unknown tokens, all together; nil: as many as come.
    package var lookupsInAll: Rate? = Rate(500, per: .seconds(1))
    /// Addresses that are told apart.
    package var lookupAddresses = 16_384
    /// One look-up, from its start to its answer.
    package var lookupTime = Nanoseconds.seconds(2)
    /// Look-ups at a time.
    package var lookups = 64
    /// Of these, kept free for tokens which were active before, so that a flood of unknown tokens cannot keep
    /// known callers from being renewed.
    package var lookupsForKnown = 16
    /// Look-ups waiting for their turn, for unknown and for known tokens each.
    package var queuedLookups = 1_024
    /// Callers waiting for an answer, all together.
    package var waiters = 16_384

    // How much may run
    /// Calls in progress, all together.
    package var calls = 65_536
    /// Calls in progress of one client (issuer and client id together).
    package var callsPerClient = 8_192
    /// Clients that are told apart; beyond it new ones share one account.
    package var clients = 16_384
    /// Clients and models that are told apart together, for plans and the ledger; beyond it they are one.
    package var clientModels = 65_536

    package var tokenBytes = Limits().tokenBytes

    package init() {}
}
