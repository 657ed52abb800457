// `auth.policy` and its neighbours in the settings: what they become in Admission.

package import Admission
package import Contract

extension AuthenticationSettings {
    /// Everything that decides who may do what. Throws CONFIGURATION for a scope that does not exist.
    package func policy() throws(GatewayError) -> AccessPolicy {
        AccessPolicy(scopes: try ScopePolicy(foreign: scopes))
    }
}
