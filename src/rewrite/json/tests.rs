mod order;

use super::{super::document::MAX_BUNDLES, *};
use crate::config::ServiceUrl;

const UPSTREAM: &str = "https://ws-fhir.fhir.azurehealthcareapis.com";
const PROXY: &str = "http://localhost:8080/fhir";

fn bases(pairs: &[(&str, &str)]) -> Arc<Bases> {
    let url = |text: &str| ServiceUrl::parse(text).expect("a base URL");
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(from, to)| (url(from), url(to)))
        .collect();
    Arc::new(Bases::new(pairs.iter().map(|(from, to)| (from, to))))
}

fn in_pieces(plan: Plan, bases: &Arc<Bases>, document: &[u8], piece: usize) -> Vec<u8> {
    let rewriter = JsonRewriter::new(plan, Arc::clone(bases));
    by_pieces(rewriter, document, piece)
}

fn by_pieces(mut rewriter: JsonRewriter, document: &[u8], piece: usize) -> Vec<u8> {
    let mut result = Vec::new();
    for chunk in document.chunks(piece) {
        result.extend_from_slice(&rewriter.push(&Bytes::copy_from_slice(chunk)));
    }
    result.extend_from_slice(&rewriter.finish());
    result
}

/// Holds the result against the expected one for all sizes of pieces.
#[track_caller]
fn becomes_with(plan: Plan, bases: &Arc<Bases>, document: &str, expected: &str) {
    for piece in (1..=document.len()).rev() {
        let result = in_pieces(plan, bases, document.as_bytes(), piece);
        assert_eq!(
            String::from_utf8_lossy(&result),
            expected,
            "in pieces of {piece}"
        );
    }
}

/// In `template`, `@` is a base that changes and `%` the same base where it must stay.
#[track_caller]
fn check(plan: Plan, template: &str) {
    let bases = bases(&[(UPSTREAM, PROXY)]);
    let stays = template.replace('%', UPSTREAM);
    becomes_with(
        plan,
        &bases,
        &stays.replace('@', UPSTREAM),
        &stays.replace('@', PROXY),
    );
}

/// A searchset with nothing but one link, whose URL is changed as JSON text.
#[track_caller]
fn url_becomes(url: &str, expected: &str) {
    let bundle = |url: &str| {
        format!(r#"{{"resourceType":"Bundle","type":"searchset","link":[{{"url":"{url}"}}]}}"#)
    };
    becomes_with(
        Plan::FhirAnswer,
        &bases(&[(UPSTREAM, PROXY)]),
        &bundle(url),
        &bundle(expected),
    );
}

#[track_caller]
fn url_stays(url: &str) {
    url_becomes(url, url);
}

#[test]
fn a_search_answers_links_and_full_urls_change() {
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"Bundle","id":"b","meta":{"lastUpdated":"2026-01-01"},"type":"searchset",
        "link":[{"relation":"next","url":"@/Patient?name=x&ct=abc"},{"relation":"self","url":"@"}],
        "total":1,"entry":[{"link":[{"url":"@/x"}],"fullUrl":"@/Patient/1",
        "resource":{"resourceType":"Patient","id":"1"},"search":{"mode":"match"}}]}"#,
    );
}

#[test]
fn a_history_tells_requests_and_answers() {
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"Bundle","type":"history","entry":[
        {"fullUrl":"@/Patient/1","request":{"method":"PUT","url":"Patient/1"},"response":{"status":"200"}},
        {"fullUrl":"@/Patient/1","request":{"method":"PUT","url":"@/Patient/1"},
        "response":{"location":"@/Patient/1/_history/2","outcome":{"url":"%/x"}}}]}"#,
    );
}

#[test]
fn stored_resources_stay_as_they_are() {
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"Bundle","type":"searchset","entry":[{"fullUrl":"@/Patient/1","resource":{
        "resourceType":"Patient","meta":{"source":"%/x","profile":["%/StructureDefinition/p"]},
        "text":{"div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"%/Patient/1\">%</a></div>"},
        "extension":[{"url":"%/ext","valueUrl":"%/v"}],"identifier":[{"system":"%/sid","value":"%"}],
        "photo":[{"url":"%/Binary/1"}],"link":[{"url":"%","other":{"reference":"%/Patient/2"}}],
        "entry":[{"fullUrl":"%/x"}],"url":"%/x","contained":[{"resourceType":"Bundle","type":"searchset",
        "link":[{"url":"%/x"}]}]}},{"fullUrl":"@/Patient/2"}]}"#,
    );
}

#[test]
fn bundles_that_are_stored_data_stay_as_they_are() {
    for kind in [
        "document",
        "message",
        "collection",
        "transaction",
        "batch",
        "subscription-notification",
    ] {
        let template = r#"{"resourceType":"Bundle","type":"KIND","link":[{"url":"%/x"}],
            "entry":[{"fullUrl":"%/Patient/1","request":{"url":"%/Patient"}}]}"#;
        check(Plan::FhirAnswer, &template.replace("KIND", kind));
        let nested = format!(
            r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{}}}],"link":[{{"url":"@"}}]}}"#,
            template.replace("KIND", kind)
        );
        check(Plan::FhirAnswer, &nested);
    }
}

#[test]
fn a_bundle_found_by_a_search_is_stored_data_whatever_its_type() {
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"Bundle","type":"searchset","entry":[{"fullUrl":"@/Bundle/1","resource":
        {"resourceType":"Bundle","type":"searchset","link":[{"url":"%/x"}],"entry":[{"fullUrl":"%/y"}]}}]}"#,
    );
}

#[test]
fn searches_within_a_batch_are_answers_too() {
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"Bundle","type":"batch-response","entry":[
        {"resource":{"resourceType":"Bundle","type":"searchset","link":[{"url":"@/Patient?x"}],
        "entry":[{"fullUrl":"@/Patient/1","resource":{"resourceType":"Patient","url":"%"}}]},
        "response":{"status":"200","location":"@/x"}},
        {"resource":{"resourceType":"Bundle","type":"document","link":[{"url":"%/x"}]}},
        {"resource":{"resourceType":"CapabilityStatement","url":"%/metadata"}},
        {"resource":{"resourceType":"Patient","url":"%/metadata","type":"searchset"}},
        {"response":{"location":"@/Patient/1/_history/1"}}]}"#,
    );
    // Seven within each other, then one too many.
    let open = r#"{"resourceType":"Bundle","type":"batch-response","link":[{"url":"@"}],"entry":[{"resource":"#;
    let close = "}]}";
    let deepest = r#"{"resourceType":"Bundle","type":"batch-response","link":[{"url":"%"}]}"#;
    let template = open.repeat(MAX_BUNDLES) + deepest + &close.repeat(MAX_BUNDLES);
    let bases = bases(&[(UPSTREAM, PROXY)]);
    let stays = template.replace('%', UPSTREAM);
    let result = in_pieces(
        Plan::FhirAnswer,
        &bases,
        stays.replace('@', UPSTREAM).as_bytes(),
        64,
    );
    assert_eq!(String::from_utf8_lossy(&result), stays.replace('@', PROXY));
}

#[test]
fn the_capability_statement_tells_its_own_addresses() {
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"CapabilityStatement","url":"@/metadata","name":"%/x",
        "implementation":{"description":"%","url":"@"},"link":[{"url":"%"}],"instantiates":["%/x"],
        "rest":[{"documentation":"%","operation":[{"name":"export","definition":"@/OperationDefinition/export"}],
        "resource":[{"profile":"%/StructureDefinition/p","searchParam":[{"definition":"%/SearchParameter/x"}],
        "operation":[{"definition":"@/OperationDefinition/y"},
        {"definition":{"reference":"@/OperationDefinition/z","display":"%"}}]}]}]}"#,
    );
}

#[test]
fn the_status_of_an_export_names_files_that_lie_elsewhere() {
    check(
        Plan::FhirAnswer,
        r#"{"transactionTime":"2026-01-01T00:00:00Z","request":"@/$export","requiresAccessToken":false,
        "output":[{"type":"Patient","url":"%/Patient.ndjson"}],"error":[{"url":"%/x"}],"url":"%"}"#,
    );
    check(
        Plan::FhirAnswer,
        r#"{"request":"@/$export","transactionTime":"2026-01-01T00:00:00Z"}"#,
    );
    check(Plan::FhirAnswer, r#"{"request":"%/$export"}"#);
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"Task","transactionTime":"","request":"%/$export"}"#,
    );
}

#[test]
fn other_resources_stay_as_they_are() {
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"StructureDefinition","url":"%/StructureDefinition/x","link":[{"url":"%"}]}"#,
    );
    check(Plan::FhirAnswer, r#"["%",{"url":"%"}]"#);
    check(Plan::FhirAnswer, r#""%""#);
}

#[test]
fn smart_configuration_mixes_endpoints_of_two_services() {
    check(
        Plan::SmartConfiguration,
        r#"{"issuer":"https://login.microsoftonline.com/t/v2.0","token_endpoint":"@/token",
        "introspection_endpoint":"@/connect/introspect","nested":{"x":"%"},"list":["%"]}"#,
    );
}

#[test]
fn an_upload_tells_where_its_instances_are() {
    check(
        Plan::DicomStore,
        r#"{"00081190":{"vr":"UR","Value":["@/studies/1"]},"00081198":{"vr":"SQ","Value":[{"00081190":
        {"vr":"UR","Value":["@/studies/1",null]}}]},"00081199":{"vr":"SQ","Value":[{"00081150":{"vr":"UI",
        "Value":["%"]},"00081190":{"vr":"UR","Value":["@/studies/1/series/2"]}}]},"0040E010":
        {"vr":"UR","Value":["%/x"]}}"#,
    );
}

#[test]
fn operations_of_a_dicom_service_refer_to_themselves() {
    check(
        Plan::DicomOperation,
        r#"{"id":"1","href":"@/operations/1","resources":["@/extendedquerytags/00101010"],
        "results":{"errorHref":"%/errors"},"errorHref":"%/x","errors":{"count":1,"href":"@/e"},
        "operation":{"id":"2","href":"@/operations/2"}}"#,
    );
    check(
        Plan::DicomOperation,
        r#"[{"path":"00101010","errors":{"href":"@/e"},"operation":{"href":"@/o"}},{"href":"@"}]"#,
    );
}

#[test]
fn every_string_of_a_request_refers_to_the_service() {
    let bases = bases(&[
        ("http://localhost:8080/fhir", UPSTREAM),
        ("http://127.0.0.1:8080/fhir", UPSTREAM),
        ("http://localhost:8082", UPSTREAM),
        (
            "http://localhost:8080/dicom",
            "https://ws.dicom.azurehealthcareapis.com/v2",
        ),
    ]);
    becomes_with(
        Plan::Request,
        &bases,
        r#"{"subject":{"reference":"http://localhost:8080/fhir/Patient/1"},"http://localhost:8082/key":
        [["http://127.0.0.1:8080/fhir"," http://localhost:8080/fhir/x",1,{"a":"HTTP://LocalHost:8082?x"}],true],
        "text":"see http://localhost:8080/fhir","x":"http://localhost:8080/dicom/studies/1","y":null,
        "z":"http://localhost:8080/fhirX"}"#,
        r#"{"subject":{"reference":"https://ws-fhir.fhir.azurehealthcareapis.com/Patient/1"},"http://localhost:8082/key":
        [["https://ws-fhir.fhir.azurehealthcareapis.com"," http://localhost:8080/fhir/x",1,{"a":"https://ws-fhir.fhir.azurehealthcareapis.com?x"}],true],
        "text":"see http://localhost:8080/fhir","x":"https://ws.dicom.azurehealthcareapis.com/v2/studies/1","y":null,
        "z":"http://localhost:8080/fhirX"}"#,
    );
    becomes_with(
        Plan::Request,
        &bases,
        r#""http://localhost:8082""#,
        &format!("\"{UPSTREAM}\""),
    );
}

#[test]
fn bases_that_continue_each_other_are_told_apart() {
    let bases = bases(&[
        ("http://localhost", "https://root.example"),
        ("http://localhost/a", "https://a.example"),
        ("http://localhost/a/b", "https://b.example/x"),
    ]);
    becomes_with(
        Plan::Request,
        &bases,
        r#"["http://localhost/","http://localhost/a","http://localhost:80/a/bc","http://localhost/a/b?","http://localhost/b"]"#,
        r#"["https://root.example/","https://a.example","https://a.example/bc","https://b.example/x?","https://root.example/b"]"#,
    );
}

#[test]
fn a_base_ends_at_a_boundary() {
    for rest in [
        "",
        "/",
        "/Patient/1",
        "?x=y",
        "#f",
        "\\/x",
        "\\u002fx",
        "\\u003F",
    ] {
        url_becomes(&format!("{UPSTREAM}{rest}"), &format!("{PROXY}{rest}"));
        let with_port = format!("{UPSTREAM}:443{rest}");
        url_becomes(&with_port, &format!("{PROXY}{rest}"));
    }
    for rest in [
        ".evil.example/",
        "x",
        ":8443/",
        ":443x",
        ":4430",
        ":",
        "@evil.example/",
        "%2f",
        "\\\\",
        " /",
        "é/",
        "\\u00e9",
        "\\ud83d\\ude00/",
        "\\\"",
    ] {
        url_stays(&format!("{UPSTREAM}{rest}"));
    }
}

#[test]
fn a_false_start_is_no_start() {
    for before in [
        "h", "https://", " ", "\\t", "\\u0020", "x", "urn:", "\\\"", "é",
    ] {
        url_stays(&format!("{before}{UPSTREAM}/Patient"));
    }
    url_stays("");
    url_stays("h");
    url_stays(&UPSTREAM[..UPSTREAM.len() - 1]);
    url_stays("http://ws-fhir.fhir.azurehealthcareapis.com/x");
    url_stays("//ws-fhir.fhir.azurehealthcareapis.com/x");
    url_stays("/Patient/1");
}

#[test]
fn a_base_is_recognised_in_any_spelling_and_the_rest_keeps_its_own() {
    let host = &UPSTREAM["https://".len()..];
    url_becomes(
        &format!(
            "HTTPS:\\/\\/{}\\/Patient\\u002f1\\\\\\\"",
            host.to_uppercase()
        ),
        &format!("{PROXY}\\/Patient\\u002f1\\\\\\\""),
    );
    let escaped = UPSTREAM
        .bytes()
        .fold(String::new(), |text, byte| text + &format!("\\u{byte:04X}"));
    url_becomes(
        &format!("{escaped}/é😀\\ud83d\\ude00"),
        &format!("{PROXY}/é😀\\ud83d\\ude00"),
    );
}

#[test]
fn a_path_compares_byte_for_byte() {
    let bases = bases(&[("https://dicom.example/v2/a%20b", "http://localhost")]);
    becomes_with(
        Plan::Request,
        &bases,
        r#"["https://dicom.example/v2/a%20b/x","https://DICOM.example/V2/a%20b/x","https://dicom.example/v2/a b/x"]"#,
        r#"["http://localhost/x","https://DICOM.example/V2/a%20b/x","https://dicom.example/v2/a b/x"]"#,
    );
}

#[test]
fn keys_and_words_may_be_escaped() {
    check(
        Plan::FhirAnswer,
        r#"{"resourceTyp\u0065":"\u0042undle","type":"search\u0073et","l\u0069nk":[{"url":"@/x","ur\u006c2":"%"}],
        "\"link":[{"url":"%"}],"link\u0000":[{"url":"%"}],"linké":[{"url":"%"}]}"#,
    );
}

#[test]
fn arrays_and_objects_are_not_mistaken_for_each_other() {
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"Bundle","type":"searchset","link":{"url":"%"},"entry":[[{"fullUrl":"%"}],"%",
        {"fullUrl":["%"],"link":["%",{"url":{"url":"%"}}]},[],{}],"link":[{"url":"@"}]}"#,
    );
}

#[test]
fn what_is_not_json_passes_from_there_on() {
    for broken in [
        r#"{"url" "%"}"#,
        r#"{url:"%"}"#,
        r#"{"url":'%'}"#,
        r#"{"url":]}"#,
        r#"{"url":}"#,
        r#"{"url":tr"%"}"#,
        r#"{"url":"a"b}"#,
        r#"{"url":"a","#,
        r#"{"url":"a",}"#,
        r#"{"a\q":1}"#,
        r#"{"a\u00g0":1}"#,
        r#"{"url":"a"]"#,
        r"{]",
        r#"{"url":"https:\q"}"#,
        r"{},,",
        r"{} {}",
        ":",
        "}",
    ] {
        check(
            Plan::FhirAnswer,
            &format!(
                r#"{{"resourceType":"Bundle","type":"searchset","link":[{{"url":"@"}},{broken}],"entry":[{{"fullUrl":"%"}}]}}"#
            ),
        );
    }
    // A skipped part is only searched for brackets and strings.
    check(
        Plan::FhirAnswer,
        r#"{"resourceType":"Bundle","type":"searchset","x":[{]},"link":[{"url":"@"}]}"#,
    );
}

#[test]
fn a_document_that_breaks_off_loses_nothing() {
    let document = format!(
        r#"{{"resourceType":"Bundle","link":[{{"url":"{UPSTREAM}/x"}}],"entry":[{{"fullUrl":"{UPSTREAM}/Patient"}}]}}"#
    );
    let bases = bases(&[(UPSTREAM, PROXY)]);
    for end in 0..document.len() {
        becomes_with(Plan::FhirAnswer, &bases, &document[..end], &document[..end]);
    }
}

#[test]
fn a_byte_order_mark_hides_nothing() {
    check(
        Plan::FhirAnswer,
        "\u{feff}{\"resourceType\":\"Bundle\",\"type\":\"searchset\",\"link\":[{\"url\":\"@/a\"}]}",
    );
    check(Plan::Request, "\u{feff}{\"reference\":\"@/Patient/1\"}");
}

#[test]
fn what_follows_the_document_passes() {
    check(Plan::Request, "{\"a\":\"@\"}\n{\"a\":\"%\"}\u{0}\"%\"");
}

#[test]
fn depth_costs_no_more_than_a_bounded_stack() {
    let bases = bases(&[(UPSTREAM, PROXY)]);
    let document = "[".repeat(MAX_DEPTH - 1) + "[\"" + UPSTREAM + "\"";
    let result = in_pieces(Plan::Request, &bases, document.as_bytes(), 4096);
    assert!(result.ends_with(format!("\"{PROXY}\"").as_bytes()));
    let document = "[".repeat(MAX_DEPTH) + "[\"" + UPSTREAM + "\"";
    let result = in_pieces(Plan::Request, &bases, document.as_bytes(), 4096);
    assert!(result == document.as_bytes());
}

#[test]
fn a_chunk_without_changes_is_given_back_uncopied() {
    let bases = bases(&[(UPSTREAM, PROXY)]);
    let mut rewriter = JsonRewriter::new(Plan::FhirAnswer, bases);
    for text in [
        r#"{"resourceType":"Bundle","type":"searchset","entry":[{"resource":{"#,
        r#""a":[1,2],"b":{"c":"https://"#,
        r#"x"}},"fullUrl":"urn:uuid:1"}]}"#,
    ] {
        let chunk = Bytes::from_static(text.as_bytes());
        let result = rewriter.push(&chunk);
        assert_eq!(result.as_ptr(), chunk.as_ptr());
        assert_eq!(result, chunk);
    }
    assert!(rewriter.finish().is_empty());
}
