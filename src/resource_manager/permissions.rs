//! The data that the caller may use, by the data actions of Azure's roles
//! (learn.microsoft.com/azure/role-based-access-control/role-definitions).

use serde::Deserialize;

use crate::config::RouteKind;

/// The data of a service that the caller may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads and writes.
    Write,
    /// Reads only.
    Read,
    /// Neither.
    None,
    /// Resource Manager does not say.
    Unknown,
}

/// One entry of the permissions call.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Permission {
    data_actions: Vec<String>,
    not_data_actions: Vec<String>,
}

impl Access {
    pub(super) fn of(permissions: &[Permission], resources: &str) -> Self {
        let may = |verb: &str| {
            let action = format!("{resources}/{verb}");
            let covers = |patterns: &[String]| patterns.iter().any(|p| matches(p, &action));
            permissions.iter().any(|permission| {
                covers(&permission.data_actions) && !covers(&permission.not_data_actions)
            })
        };
        match (may("read"), may("write")) {
            (_, true) => Self::Write,
            (true, false) => Self::Read,
            (false, false) => Self::None,
        }
    }
}

/// Azure's built-in roles for the data of a service: one to read, one to read and write.
pub(crate) fn roles(kind: RouteKind) -> Option<(&'static str, &'static str)> {
    match kind {
        RouteKind::Fhir => Some(("FHIR Data Reader", "FHIR Data Contributor")),
        RouteKind::Dicom => Some(("DICOM Data Reader", "DICOM Data Owner")),
        RouteKind::Http => None,
    }
}

/// Whether an action matches a pattern, in which `*` stands for any text. Case does not matter.
fn matches(pattern: &str, action: &str) -> bool {
    let (pattern, action) = (pattern.to_ascii_lowercase(), action.to_ascii_lowercase());
    let mut parts = pattern.split('*');
    let Some(mut rest) = action.strip_prefix(parts.next().unwrap_or_default()) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FHIR: &str = "Microsoft.HealthcareApis/workspaces/fhirservices/resources";

    fn access(data: &[&str], not: &[&str]) -> Access {
        let own = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        let permission = Permission {
            data_actions: own(data),
            not_data_actions: own(not),
        };
        Access::of(&[Permission::default(), permission], FHIR)
    }

    #[test]
    fn data_actions_decide() {
        let read = format!("{FHIR}/read");
        let all = format!("{FHIR}/*");
        for (data, not, expected) in [
            (&["*"][..], &[][..], Access::Write),
            (&[&*all], &[], Access::Write),
            // FHIR Data Contributor has all but some actions.
            (
                &[&*all],
                &["Microsoft.HealthcareApis/workspaces/fhirservices/resources/smart/action"],
                Access::Write,
            ),
            (&[&*read], &[], Access::Read),
            (&["microsoft.healthcareapis/*/read"], &[], Access::Read),
            (
                &["Microsoft.HealthcareApis/workspaces/dicomservices/resources/*"],
                &[],
                Access::None,
            ),
            (&[&*all], &["*/write"], Access::Read),
            (&[], &[], Access::None),
        ] {
            assert_eq!(access(data, not), expected, "{data:?} without {not:?}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, action, expected) in [
            ("a/*", "a/b/c", true),
            ("a/*", "a/", true),
            ("a/*", "b/a/", false),
            ("*/read", "a/read/b/read", true),
            ("*/read", "a/read/b", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "abxb", false),
            ("a*a", "a", false),
            ("A", "a", true),
            ("a", "ab", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, action), expected, "{pattern} {action}");
        }
    }
}
