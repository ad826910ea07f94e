//! Secrets of the configuration, read at each use.

use secrecy::SecretString;

use crate::{
    config::SecretRef,
    credentials::{CredentialError, Reason},
};

pub(super) async fn read(reference: &SecretRef) -> Result<SecretString, CredentialError> {
    reference.read().await.map_err(|error| {
        CredentialError::new(
            Reason::NeedsAction,
            error.to_string(),
            "Provide the secret there.",
        )
    })
}
