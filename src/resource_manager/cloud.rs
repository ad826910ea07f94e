//! The clouds of Azure, each with a Resource Manager of its own.

use crate::config::Audience;

/// One cloud.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cloud {
    /// The host of Entra's authority.
    authority: &'static str,
    /// The host of Resource Manager.
    pub(super) host: &'static str,
    /// The domain of Azure Health Data Services.
    pub(super) services: &'static str,
}

/// The public cloud comes first, since it is the default.
/// Source: learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure and
/// learn.microsoft.com/azure/china/resources-developer-guide.
const CLOUDS: [Cloud; 3] = [
    Cloud {
        authority: "login.microsoftonline.com",
        host: "management.azure.com",
        services: "azurehealthcareapis.com",
    },
    Cloud {
        authority: "login.microsoftonline.us",
        host: "management.usgovcloudapi.net",
        services: "azurehealthcareapis.us",
    },
    Cloud {
        authority: "login.partner.microsoftonline.cn",
        host: "management.chinacloudapi.cn",
        services: "azurehealthcareapis.cn",
    },
];

impl Cloud {
    /// The cloud of an authority's URL. Without one, and for an authority that no cloud has, the
    /// public cloud.
    pub(crate) fn of_authority(url: Option<&str>) -> &'static Self {
        let is_its = |cloud: &&Self| url.is_some_and(|url| url.contains(cloud.authority));
        CLOUDS.iter().find(is_its).unwrap_or(&CLOUDS[0])
    }

    /// The cloud of a service's domain.
    pub(crate) fn of_domain(domain: &str) -> Option<&'static Self> {
        CLOUDS.iter().find(|cloud| cloud.services == domain)
    }

    /// The audience of Resource Manager's tokens.
    pub(crate) fn audience(&self) -> Audience {
        let audience = Audience::parse(&format!("https://{}", self.host));
        audience.expect("a host is valid in an audience")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authority_or_the_domain_names_the_cloud() {
        let host = |authority| Cloud::of_authority(authority).host;
        assert_eq!(host(None), "management.azure.com");
        assert_eq!(
            host(Some("https://login.microsoftonline.us/")),
            "management.usgovcloudapi.net"
        );
        assert_eq!(host(Some("http://127.0.0.1:9")), "management.azure.com");
        let china = Cloud::of_domain("azurehealthcareapis.cn").expect("a cloud");
        assert_eq!(
            china.audience().as_str(),
            "https://management.chinacloudapi.cn"
        );
        assert_eq!(Cloud::of_domain("example.com"), None);
    }
}
