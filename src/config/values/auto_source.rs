//! The sources that `auto` can try, by the names that Azure's own libraries use.

use super::ValueError;

/// One of the credentials that `auto` tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutoSource {
    /// An application that `AZURE_*` variables name.
    Environment,
    /// The identity of a pod.
    WorkloadIdentity,
    /// The managed identity of this machine or app.
    ManagedIdentity,
    /// The user who is signed in to `az`.
    AzureCli,
    /// The user who is signed in to Azure `PowerShell`.
    AzurePowerShell,
    /// The user who is signed in to `azd`.
    AzureDeveloperCli,
}

impl AutoSource {
    /// The sources in the order of `DefaultAzureCredential`: deployed identities, then the tools that a
    /// developer signs in to.
    pub(in crate::config) const ALL: &'static [Self] = &[
        Self::Environment,
        Self::WorkloadIdentity,
        Self::ManagedIdentity,
        Self::AzureCli,
        Self::AzurePowerShell,
        Self::AzureDeveloperCli,
    ];
    /// The number of sources at the start of `ALL` that are deployed identities.
    const DEPLOYED: usize = 3;

    /// The sources that a value of `AZURE_TOKEN_CREDENTIALS` selects: `prod`, `dev`, or one by its name
    /// (learn.microsoft.com/dotnet/azure/sdk/authentication/credential-chains).
    pub fn select(text: &str) -> Result<&'static [Self], ValueError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("prod") {
            return Ok(&Self::ALL[..Self::DEPLOYED]);
        }
        if text.eq_ignore_ascii_case("dev") {
            return Ok(&Self::ALL[Self::DEPLOYED..]);
        }
        let named = |source: &Self| source.name().eq_ignore_ascii_case(text);
        match Self::ALL.iter().position(named) {
            Some(index) => Ok(&Self::ALL[index..=index]),
            None => Err(ValueError::new(
                format!(
                    "`{}` is not a credential that `auto` tries",
                    text.escape_debug()
                ),
                format!(
                    "set it to dev, prod or one of {}, or unset it",
                    Self::ALL
                        .iter()
                        .map(|source| source.name())
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            )),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Environment => "EnvironmentCredential",
            Self::WorkloadIdentity => "WorkloadIdentityCredential",
            Self::ManagedIdentity => "ManagedIdentityCredential",
            Self::AzureCli => "AzureCliCredential",
            Self::AzurePowerShell => "AzurePowerShellCredential",
            Self::AzureDeveloperCli => "AzureDeveloperCliCredential",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AutoSource::*, *};

    #[test]
    fn values_are_those_of_azures_libraries() {
        for (text, expected) in [
            ("dev", &[AzureCli, AzurePowerShell, AzureDeveloperCli][..]),
            ("Prod", &[Environment, WorkloadIdentity, ManagedIdentity]),
            (" azureclicredential\n", &[AzureCli]),
            ("EnvironmentCredential", &[Environment]),
            ("WorkloadIdentityCredential", &[WorkloadIdentity]),
            ("ManagedIdentityCredential", &[ManagedIdentity]),
            ("AzurePowerShellCredential", &[AzurePowerShell]),
            ("AZUREDEVELOPERCLICREDENTIAL", &[AzureDeveloperCli]),
        ] {
            assert_eq!(AutoSource::select(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn any_other_value_is_told_those_there_are() {
        for text in ["azure-cli", "VisualStudioCodeCredential", "dev,prod", "all"] {
            let error = AutoSource::select(text).expect_err(text);
            assert!(error.message.contains(text), "{error}");
            for value in [
                "dev",
                "prod",
                "EnvironmentCredential",
                "AzureDeveloperCliCredential",
            ] {
                assert!(error.remedy.contains(value), "{value}: {error}");
            }
        }
    }
}
