//! Explains a 401: the claim of the token that does not suit the service.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;

use super::{
    Outcome,
    caller::Caller,
    challenge::{Blame, Challenge},
    token::second,
};
use crate::{
    config::{self, DICOM_AUDIENCE, RouteKind, SignIn},
    resource_manager::Resource,
    upstream,
};

/// The clock skew that services commonly tolerate.
const TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Compares a refused token with the route, the challenge and the clocks.
pub(super) fn explain(seen: &str, headers: &HeaderMap, caller: &Caller<'_>) -> Outcome {
    let challenge = Challenge::read(headers);
    let (why, remedy) = wrong_time(&challenge, headers, caller)
        .or_else(|| wrong_tenant(&challenge, caller))
        .or_else(|| wrong_audience(&challenge, caller))
        .unwrap_or_else(|| otherwise(&challenge, caller));
    Outcome::failed(format!("{seen}: {why}"), remedy)
}

type Explained = Option<(String, String)>;

/// Compares the token's times with the clocks. This comes first, since by a wrong clock any token
/// may look expired or valid.
fn wrong_time(challenge: &Challenge, headers: &HeaderMap, caller: &Caller<'_>) -> Explained {
    if !challenge.may_mean(Blame::Time) {
        return None;
    }
    clocks_differ(headers, caller.now)
        .or_else(|| expired(caller))
        .or_else(|| {
            challenge.blames?;
            Some((
                "the service says that the token is not valid at this time".to_owned(),
                "Check this machine's clock and time zone, and get a new token.".to_owned(),
            ))
        })
}

fn expired(caller: &Caller<'_>) -> Explained {
    let seconds = caller.claims.expires_on?;
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    (end <= caller.now).then(|| {
        (
            format!("the token expired at {}", second(end)),
            format!(
                "Get a new token. {} If the token is new, correct this machine's clock, which shows \
                 {}.",
                renewal(caller),
                second(caller.now)
            ),
        )
    })
}

fn renewal(caller: &Caller<'_>) -> String {
    let sign_in = config::kind(caller.kind).and_then(|kind| kind.sign_in.command(None));
    sign_in.map_or_else(
        || {
            format!(
                "Renew it at the source of the credential {}.",
                caller.route.credential
            )
        },
        |command| format!("Run `{command}`."),
    )
}

fn clocks_differ(headers: &HeaderMap, now: SystemTime) -> Explained {
    let (apart, word) = match upstream::date(headers)?.duration_since(now) {
        Ok(behind) => (behind, "behind"),
        Err(error) => (error.duration(), "ahead of"),
    };
    (apart > TOLERANCE).then(|| {
        (
            format!(
                "this machine's clock is {} min {word} the service's",
                apart.as_secs() / 60
            ),
            "Set the clock. On Linux, run: timedatectl set-ntp true".to_owned(),
        )
    })
}

fn wrong_tenant(challenge: &Challenge, caller: &Caller<'_>) -> Explained {
    let held = caller.claims.tenant.as_deref()?;
    let wanted = challenge.tenant.as_ref()?;
    if held.eq_ignore_ascii_case(wanted.as_str()) {
        return None;
    }
    let (name, kind) = (&caller.route.credential, caller.kind);
    let key = if caller.is_auto {
        format!("Write [credentials.{name}.{kind}] with tenant = \"{wanted}\" instead of auto")
    } else {
        format!("Set tenant = \"{wanted}\" in [credentials.{name}.{kind}]")
    };
    let sign_in = config::kind(kind).map(|kind| &kind.sign_in);
    let remedy = match sign_in {
        Some(sign_in @ SignIn::Command { .. }) => {
            let command = sign_in.command(Some(wanted)).unwrap_or_default();
            format!("{key}, and run: {command}")
        }
        Some(SignIn::Prompt) => format!("{key}."),
        Some(SignIn::Application) => format!("{key}, and use an application of that tenant."),
        Some(SignIn::Machine) => format!(
            "A managed identity gets tokens of its own tenant only. Use an application of tenant \
             {wanted}."
        ),
        // `environment` is a source of `auto` that is not a kind by itself.
        None if kind == "environment" => {
            format!("Set AZURE_TENANT_ID to {wanted}, and use an application of that tenant.")
        }
        Some(SignIn::Elsewhere) | None => format!("Get a token that tenant {wanted} issued."),
    };
    Some((
        format!("tenant {held} issued the token, but the service trusts tenant {wanted}"),
        remedy,
    ))
}

fn wrong_audience(challenge: &Challenge, caller: &Caller<'_>) -> Explained {
    if !challenge.may_mean(Blame::Audience) {
        return None;
    }
    let route = caller.route;
    let configured = route.audience.as_ref()?.as_str();
    let held = &caller.claims.audiences;
    let differs = !held.is_empty() && !held.iter().any(|audience| audience == configured);
    if differs {
        return Some((
            format!(
                "the token is for {}, but the route's audience is {configured}",
                held.join(" ")
            ),
            format!(
                "Get a token for {configured} from the source of the credential {}, or correct \
                 `audience` in [routes.{}].",
                route.credential, route.name
            ),
        ));
    }
    let usual = match route.kind {
        RouteKind::Fhir => Some(route.upstream.origin()),
        RouteKind::Dicom => Some(DICOM_AUDIENCE.to_owned()),
        RouteKind::Http => None,
    };
    let usual = usual.filter(|usual| usual != configured);
    if challenge.blames.is_none() && usual.is_none() {
        return None;
    }
    let name = &route.name;
    let first = usual.map_or_else(String::new, |usual| {
        format!(
            "Remove `audience` from [routes.{name}] to use the default, {usual}. If the service \
             refuses that audience, too: "
        )
    });
    let set =
        format!("Set `audience` in [routes.{name}] to the service's own audience, byte for byte");
    let remedy = match Resource::of(&route.upstream, route.kind) {
        Some(resource) => format!("{first}{set}. {}", resource.audience_command("it")),
        None => format!("{first}{set}. The service's owner knows it."),
    };
    Some((
        format!("the service does not accept the audience {configured}"),
        remedy,
    ))
}

fn otherwise(challenge: &Challenge, caller: &Caller<'_>) -> (String, String) {
    let look_up = Resource::of(&caller.route.upstream, caller.route.kind).map_or_else(
        || "Ask the service's owner which authority and audience it trusts.".to_owned(),
        |resource| {
            format!(
                "Compare authority and audience with those of the service. {}",
                resource.audience_command("them")
            )
        },
    );
    let issuer = caller.claims.tenant.as_deref().map_or_else(
        || "the token's issuer".to_owned(),
        |tenant| format!("tenant {tenant}, which issued the token"),
    );
    let why = match challenge.blames {
        Some(Blame::Issuer) => format!("the service does not trust {issuer}"),
        Some(Blame::Signature) => {
            "the service cannot verify the token's signature, since the token comes from another cloud \
             or issuer"
                .to_owned()
        }
        _ => "the service refused the token, although its audience, tenant and expiry look right".to_owned(),
    };
    (why, look_up)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, header};

    use super::*;
    use crate::{
        config::{Overrides, load},
        credentials::Claims,
    };

    const HERE: &str = "11111111-1111-4111-8111-111111111111";
    const THERE: &str = "22222222-2222-4222-8222-222222222222";
    const AUDIENCE: &str = "https://ws-fhir.fhir.azurehealthcareapis.com";
    const NOW: u64 = 1_900_000_000;

    fn refused(change: impl FnOnce(&mut Claims), challenge: &str, date: Option<&str>) -> Outcome {
        let flags = Overrides {
            fhir: Some(AUDIENCE.to_owned()),
            ..Overrides::default()
        };
        let config = load(&flags, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
        let mut claims = Claims {
            tenant: Some(HERE.to_owned()),
            expires_on: Some(NOW + 3000),
            audiences: vec![AUDIENCE.to_owned()],
            ..Claims::default()
        };
        change(&mut claims);
        let mut headers = HeaderMap::new();
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_str(challenge).expect("a header"),
        );
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_str(date).expect("a header"));
        }
        let caller = Caller {
            route: &config.routes[0],
            kind: "azure-cli",
            is_auto: true,
            claims: &claims,
            is_closed: false,
            now: UNIX_EPOCH + Duration::from_secs(NOW),
        };
        explain("GET /", &headers, &caller)
    }

    fn challenge(tenant: &str, description: &str) -> String {
        format!(
            "Bearer authorization_uri=\"https://login.microsoftonline.com/{tenant}\", \
             error=\"invalid_token\", error_description=\"{description}\""
        )
    }

    // 1900000000 is Sun, 17 Mar 2030 17:46:40 GMT.
    const SAME: Option<&str> = Some("Sun, 17 Mar 2030 17:46:41 GMT");
    const HOUR_LATER: Option<&str> = Some("Sun, 17 Mar 2030 18:46:40 GMT");
    const HALF_AN_HOUR_AGO: Option<&str> = Some("Sun, 17 Mar 2030 17:16:40 GMT");
    const INVALID_AUDIENCE: &str = "The audience 'https://x' is invalid";
    const AS_IS: fn(&mut Claims) = |_| ();
    const OPAQUE: fn(&mut Claims) = |claims| *claims = Claims::default();
    const PAST: fn(&mut Claims) = |claims| claims.expires_on = Some(NOW - 1);
    const FOR_ANOTHER: fn(&mut Claims) = |claims| claims.audiences = vec!["https://x".to_owned()];

    /// The claims of the token; the tenant, description and date of the response; the expected texts.
    type Case = (
        fn(&mut Claims),
        (&'static str, &'static str),
        Option<&'static str>,
        &'static str,
        &'static str,
    );

    #[rustfmt::skip]
    const CASES: &[Case] = &[
        (PAST, (HERE, ""), SAME, "the token expired at 2030-03-17T17:46:39Z", "az login"),
        (AS_IS, (HERE, ""), HOUR_LATER, "clock is 60 min behind the service's", "Set the clock"),
        (PAST, (HERE, ""), HALF_AN_HOUR_AGO, "clock is 30 min ahead of the", "Set the clock"),
        (AS_IS, (HERE, INVALID_AUDIENCE), HOUR_LATER, "does not accept the audience", "Set `aud"),
        (FOR_ANOTHER, (HERE, "The issuer is invalid"), SAME, "does not trust tenant 1111", "auth"),
        (AS_IS, (HERE, ""), HALF_AN_HOUR_AGO, "clock is 30 min ahead of the", "Set the clock"),
        (AS_IS, (HERE, "The token expired at 'x'"), None, "not valid at this time", "clock"),
        (AS_IS, (THERE, INVALID_AUDIENCE), SAME, "trusts tenant 2222", "az login --tenant 2222"),
        (FOR_ANOTHER, (HERE, ""), SAME, "is for https://x, but the route's", "Get a token for"),
        (AS_IS, (HERE, INVALID_AUDIENCE), SAME, "does not accept the audience", "az resource show"),
        (OPAQUE, (HERE, INVALID_AUDIENCE), SAME, "does not accept the audience", "Set `audience`"),
        (AS_IS, (HERE, "The issuer is invalid"), SAME, "does not trust tenant 1111", "authority"),
        (AS_IS, (HERE, "The signature is invalid"), SAME, "signature", "authority"),
        (AS_IS, ("common", "no"), SAME, "look right", "authority"),
        (AS_IS, ("", ""), None, "look right", "authority"),
        (OPAQUE, ("", ""), None, "look right", "authority"),
    ];

    #[test]
    fn finds_what_does_not_suit() {
        for (change, (tenant, description), date, why, remedy) in CASES {
            let outcome = refused(change, &challenge(tenant, description), *date);
            let found = outcome.remedy.expect("a remedy");
            assert!(outcome.detail.contains(why), "{why}: {}", outcome.detail);
            assert!(found.contains(remedy), "{remedy}: {found}");
        }
        let outcome = refused(AS_IS, "Negotiate", None);
        assert!(outcome.detail.contains("look right"), "{}", outcome.detail);
    }

    #[test]
    fn does_not_repeat_what_a_service_says() {
        let quoting = challenge(HERE, "The audience in ey.hunter2.sig is invalid");
        let outcome = refused(|_| (), &quoting, None);
        assert!(!format!("{outcome:?}").contains("hunter2"));
    }
}
