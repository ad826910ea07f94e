//! Texts that users paste in place of a service's URL, and the URL that they mean.

use super::ValueError;

/// The marks that word processors and chat programs put around a text, and those that a shell or
/// TOML would have removed.
const QUOTES: [char; 10] = [
    '"', '\'', '`', '\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{ab}', '\u{bb}',
];

/// The hosts of the Azure portal: public cloud, US Government, China.
const PORTALS: [&str; 3] = ["portal.azure.com", "portal.azure.us", "portal.azure.cn"];

/// Recognizes a pasted text that is not a URL of a service. The error never repeats the text, which
/// may contain an account's name.
pub(super) fn recognize(text: &str) -> Option<ValueError> {
    let bare = text.trim_matches(QUOTES);
    if bare.len() < text.len() {
        return Some(ValueError::new(
            "the URL has quotation marks around it",
            "remove them: a word processor or a chat program may have changed them",
        ));
    }
    let lower = text.to_ascii_lowercase();
    if let Some(rest) = lower.strip_prefix("https://")
        && let Some(portal) = PORTALS.iter().find(|portal| rest.starts_with(**portal))
    {
        return Some(ValueError::new(
            format!("this is a page of the Azure portal ({portal}), not the URL of a service"),
            meant(&lower),
        ));
    }
    if lower.starts_with("/subscriptions/") {
        return Some(ValueError::new(
            "this is an Azure resource ID, not a URL",
            meant(&lower),
        ));
    }
    let (scheme, rest) = lower.split_once(":/")?;
    if matches!(scheme, "https" | "http") && !rest.starts_with('/') && !rest.contains('@') {
        return Some(ValueError::new(
            format!("the URL has one slash after `{scheme}:`, and needs two"),
            format!("write {scheme}://{}", &text[text.len() - rest.len()..]),
        ));
    }
    None
}

/// The remedy for a text that contains a resource ID of Azure Resource Manager.
fn meant(text: &str) -> String {
    url_of_resource(text).map_or_else(
        || {
            "write the URL that the portal shows as FHIR metadata endpoint or as Service URL, for example \
             https://WS-FHIR.fhir.azurehealthcareapis.com"
                .to_owned()
        },
        |url| format!("write {url}"),
    )
}

/// The URL of the service that a resource ID names (learn.microsoft.com/azure/healthcare-apis).
fn url_of_resource(text: &str) -> Option<String> {
    let (_, id) = text.split_once("/providers/microsoft.healthcareapis/")?;
    let mut segments = id.split('/');
    let mut name = || {
        let end = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
        let name = segments.next()?.split(end).next()?;
        (!name.is_empty()).then_some(name)
    };
    match name()? {
        "services" => Some(format!("https://{}.azurehealthcareapis.com", name()?)),
        "workspaces" => {
            let workspace = name()?;
            let kind = match name()? {
                "fhirservices" => "fhir",
                "dicomservices" => "dicom",
                _ => return None,
            };
            let service = name()?;
            Some(format!(
                "https://{workspace}-{service}.{kind}.azurehealthcareapis.com"
            ))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_url_that_is_meant() {
        const ID: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg/providers/\
                          Microsoft.HealthcareApis";
        for (text, remedy) in [
            (
                format!("{ID}/workspaces/WS/fhirservices/Records"),
                "write https://ws-records.fhir.azurehealthcareapis.com",
            ),
            (
                format!("{ID}/workspaces/ws/dicomservices/images/"),
                "write https://ws-images.dicom.azurehealthcareapis.com",
            ),
            (
                format!("{ID}/services/old"),
                "write https://old.azurehealthcareapis.com",
            ),
            (
                format!("{ID}/workspaces/ws"),
                "write the URL that the portal shows",
            ),
            (
                format!(
                    "https://portal.azure.com/#@contoso.com/resource{ID}/workspaces/ws/fhirservices/records/overview"
                ),
                "write https://ws-records.fhir.azurehealthcareapis.com",
            ),
            (
                "https://portal.azure.com/#home".to_owned(),
                "write the URL that the portal shows",
            ),
            (
                "https:/ws-fhir.fhir.azurehealthcareapis.com".to_owned(),
                "write https://ws-fhir.fhir.azurehealthcareapis.com",
            ),
            (
                "\u{201c}https://ws-fhir.fhir.azurehealthcareapis.com\u{201d}".to_owned(),
                "remove them",
            ),
        ] {
            let error = recognize(&text).unwrap_or_else(|| panic!("{text}"));
            assert!(error.remedy.starts_with(remedy), "{text}: {error:?}");
        }
        for text in [
            "https://ws-fhir.fhir.azurehealthcareapis.com",
            "http://localhost:1/fhir",
            "https:/user:password@host",
            "ws-fhir.fhir.azurehealthcareapis.com",
            "",
        ] {
            assert!(recognize(text).is_none(), "{text}");
        }
    }
}
