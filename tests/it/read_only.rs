//! A route with `read_only = true`: the requests it lets through change nothing at the service,
//! however they are spelled.

use crate::support::{Setup, Stage, client};

async fn stage() -> Stage {
    Setup::new()
        .with("routes.fhir", "read_only = true")
        .with("routes.dicom", "read_only = true")
        .start()
        .await
}

const FORM: (&str, &str) = (
    "Content-Type",
    "application/x-www-form-urlencoded; charset=UTF-8",
);

#[tokio::test]
async fn searches_by_post_have_their_three_forms_and_a_form() {
    let stage = stage().await;
    for (path, content_type, passes) in [
        ("/fhir/Patient/_search", FORM, true),
        ("/fhir/_search", FORM, true),
        ("/fhir/Patient/%5Fsearch", FORM, true),
        ("/fhir/Patient/p-1/Observation/_search", FORM, true),
        (
            "/fhir/Patient/_search",
            ("Content-Type", "application/fhir+json"),
            false,
        ),
        ("/fhir/Patient/_search", ("Accept", "*/*"), false),
        ("/fhir/$import/_search", FORM, false),
        ("/fhir/%24import/_search", FORM, false),
        ("/fhir/$reindex/_search", FORM, false),
        ("/fhir/Patient/$purge-history/_search", FORM, false),
        ("/fhir/Patient/1/_search", FORM, false),
        ("/fhir/Patient/_search/", FORM, false),
        ("/fhir/a/b/c/d/_search", FORM, false),
        ("/fhir/Patient", FORM, false),
        ("/dicom/v2/studies/_search", FORM, false),
    ] {
        let before = stage.upstream_hits();
        let answer =
            client::request(stage.address(), "POST", path, &[content_type], b"name=a").await;
        assert_eq!(
            stage.upstream_hits() > before,
            passes,
            "{path} {content_type:?}"
        );
        assert_eq!(answer.status == 403, !passes, "{path} {content_type:?}");
    }
}

#[tokio::test]
async fn operations_pass_only_if_they_are_known_to_read() {
    let stage = stage().await;
    for (path, passes) in [
        ("/fhir/Patient/p-1/$everything", true),
        ("/fhir/ValueSet/$expand?url=a", true),
        ("/fhir/$versions", true),
        ("/fhir/Patient?_count=1", true),
        ("/fhir/_operations/export/1", true),
        ("/fhir/$export", false),
        ("/fhir/%24export", false),
        ("/fhir/%24%65xport", false),
        ("/fhir/%2524export", false),
        ("/fhir/Patient?_method=DELETE", false),
        ("/fhir/Patient?a=b&X-HTTP-Method-Override=DELETE", false),
        ("/fhir/Patient?x%5Fhttp_method=PUT", false),
        ("/fhir/Patient?name=_method", true),
        ("/fhir/$export;a=b", false),
        ("/fhir/Patient/$export", false),
        ("/fhir/Group/1/$export", false),
        ("/fhir/$reindex", false),
        ("/fhir/Patient/1/$reindex", false),
        ("/fhir/$bulk-delete", false),
        ("/fhir/Patient/$Everything", false),
        ("/dicom/v2/studies", true),
    ] {
        for method in ["GET", "HEAD"] {
            let before = stage.upstream_hits();
            let answer = client::request(stage.address(), method, path, &[], b"").await;
            assert_eq!(stage.upstream_hits() > before, passes, "{method} {path}");
            assert_eq!(answer.status == 403, !passes, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn headers_that_stand_for_another_method_or_url_are_refused_here_and_dropped_elsewhere() {
    let read_only = stage().await;
    let other = Stage::start().await;
    for name in [
        "X-HTTP-Method",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "X-Original-Method",
        "X-Original-URL",
        "X-Original-URI",
        "X-Rewrite-URL",
        "X-Override-URL",
        "X_HTTP_Method_Override",
        "x-http_method-override",
        "X_Original_URL",
        "x_rewrite_url",
        "X-MS-Original-URL",
        "X-Envoy-Original-Path",
        "X-Original-Host",
        "X-Request-URI",
        "X-Path-Override",
        "X-Rewrite-Path",
        "X-Waws-Unencoded-Url",
        "X-HTTP-DestinationURL",
        "Method-Override",
        "_method",
    ] {
        let headers = [(name, "/Patient/$purge-history"), ("X-Kept_Too", "1")];
        let answer =
            client::request(read_only.address(), "GET", "/fhir/Patient", &headers, b"").await;
        assert_eq!(answer.status, 403, "{name}");
        let answer = client::request(other.address(), "GET", "/fhir/Patient", &headers, b"").await;
        assert_eq!(answer.status, 200, "{name}");
        let seen = other.forwarded().headers;
        assert!(!seen.contains_key(name), "{name}");
        assert!(seen.contains_key("x-kept_too"));
    }
    assert_eq!(read_only.upstream_hits(), 0);
}

#[tokio::test]
async fn what_proxies_tell_each_other_is_dropped_in_every_spelling() {
    let stage = Stage::start().await;
    for name in [
        "X_Forwarded_Host",
        "x-forwarded_proto",
        "Proxy_Authorization",
    ] {
        let answer = client::request(
            stage.address(),
            "GET",
            "/fhir/Patient",
            &[(name, "evil")],
            b"",
        )
        .await;
        assert_eq!(answer.status, 200);
        let seen = stage.forwarded().headers;
        assert!(!seen.contains_key(name), "{name}");
    }
}
