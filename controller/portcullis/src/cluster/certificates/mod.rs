//! The serving certificate, kept in a Secret that the replicas share: `authority` makes and renews it, `keeper`
//! reads and writes the Secret.

mod authority;
mod keeper;

pub(super) use keeper::Keeper;

use jiff::SignedDuration;

/// Where the certificate is kept, and for how long each is valid.
#[derive(Debug, Clone)]
pub struct CertificateSecret {
    /// The Secret's name.
    pub name: String,
    /// A certificate's; its authority's is four times as long. Both are renewed after two thirds.
    pub lifetime: SignedDuration,
}
