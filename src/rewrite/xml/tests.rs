use super::*;
use crate::config::ServiceUrl;

const UPSTREAM: &str = "https://fhir.example/r4";
const PROXY: &str = "http://localhost:8080/fhir";

fn bases(from: &str, to: &str) -> Arc<Bases> {
    let url = |text| ServiceUrl::parse(text).expect("a base URL");
    Arc::new(Bases::new([(&url(from), &url(to))]))
}

fn by_pieces(mut rewriter: XmlRewriter, document: &str, piece: usize) -> Vec<u8> {
    let mut result = Vec::new();
    for chunk in document.as_bytes().chunks(piece) {
        result.extend_from_slice(&rewriter.push(&Bytes::copy_from_slice(chunk)));
    }
    result.extend_from_slice(&rewriter.finish());
    result
}

/// Compares the result with the expected one, for all sizes of chunks.
#[track_caller]
fn becomes(plan: Plan, bases: &Arc<Bases>, document: &str, expected: &str) {
    for piece in (1..=document.len()).rev() {
        let rewriter = XmlRewriter::new(plan, Arc::clone(bases));
        let result = by_pieces(rewriter, document, piece);
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
    let stays = template.replace('%', UPSTREAM);
    becomes(
        plan,
        &bases(UPSTREAM, PROXY),
        &stays.replace('@', UPSTREAM),
        &stays.replace('@', PROXY),
    );
}

#[test]
fn links_and_full_urls_of_a_search_response_change() {
    check(
        Plan::FhirResponse,
        r#"<?xml version="1.0" encoding="utf-8"?><!-- <Bundle><type value="document"/> -- > -->
        <Bundle xmlns="http://hl7.org/fhir"><id value="%"/><type value="searchset"/><total value="1"/>
        <link><relation value="next"/><url value="@/Patient?a=b&amp;ct=c"/></link>
        <link><url id='%' value = '@'></url></link>
        <entry><link><url value="@/x"/></link><fullUrl value="@/Patient/1"/><resource>
        <Patient xmlns="http://hl7.org/fhir"><text><div xmlns="http://www.w3.org/1999/xhtml"><br/>
        <a href="%/x" title='<"/>'>%</a><![CDATA[<link><url value="%"/></link> ]] ]]></div></text>
        <extension url="%/e"><valueUrl value="%/v"/></extension><link><url value="%"/></link>
        <identifier><system value="%"/></identifier><fullUrl value="%"/></Patient></resource>
        <search><mode value="match"/></search></entry><entry><request><url value="@/Patient"/></request>
        <response><location value="@/Patient/1/_history/1"/><outcome><X><url value="%"/></X></outcome>
        </response></entry></Bundle><!-- --><Bundle><type value="searchset"/><link><url value="%"/></link></Bundle>"#,
    );
}

#[test]
fn a_prefix_hides_no_name() {
    check(
        Plan::FhirResponse,
        r#"<f:Bundle xmlns:f="http://hl7.org/fhir"><f:type value="searchset"/><a-prefix-longer-than-any-word:link>
        <f:url value="@/x"/><f:url f:value="%"/></a-prefix-longer-than-any-word:link><f:entry><f:fullUrl value="@/Patient/1"/>
        <f:resource><f:Patient><f:link><f:url value="%"/></f:link></f:Patient></f:resource></f:entry></f:Bundle>"#,
    );
    check(
        Plan::Request,
        r#"<f:Patient xmlns:f="http://hl7.org/fhir"><f:text><xhtml:div xmlns:xhtml="http://www.w3.org/1999/xhtml">
        <xhtml:input value="%/x"/>%</xhtml:div></f:text><f:link><f:other><f:reference value="@/Patient/1"/></f:other>
        </f:link></f:Patient>"#,
    );
}

#[test]
fn a_patch_has_values_in_its_text() {
    check(
        Plan::Request,
        r#"<?xml version="1.0"?><p:diff xmlns:p="urn:ietf:params:xml:ns:patch-ops">
        <replace sel="Observation/subject/reference/@value">@/Patient/1</replace>
        <add sel="x" type="@value">
            @/Patient?a=1&amp;organization=@/Organization/1</add><add>@<x/>%<!-- -->%</add><add>&#104;&amp;</add><add>see %</add>
        <add sel="Patient"><text><div>%<a href="%">%</a></div></text><link value="@/x">@</link></add><replace>@</replace></p:diff>"#
            .replace("type=\"@value\"", "type=\"&#64;value\"").replace("/@value", "/x").as_str(),
    );
    check(Plan::Request, "<X><diff>%</diff><y>%</y></X>");
    check(Plan::FhirResponse, "<diff><y>%</y></diff>");
}

#[test]
fn a_document_type_hides_nothing() {
    for kind in [
        "<!DOCTYPE Bundle>",
        "<!DOCTYPE Bundle SYSTEM '[>'>",
        r#"<!DOCTYPE Bundle PUBLIC "-//x//y'" ">" [ ]>"#,
        r#"<!-- > --><?x > ?><!DOCTYPE Bundle [
            <!-- ]> ' <!ENTITY -- > --> %pe; <?x ]> " ?>
            <!ENTITY e "]>'<Bundle><type value='searchset'/>"> <!ENTITY f '">]%'><!ATTLIST x y CDATA "%"><!ELEMENT x (y)>
        ] > <!-- -->"#,
    ] {
        for plan in [Plan::FhirResponse, Plan::Request] {
            check(
                plan,
                &format!(
                    r#"<?xml version="1.0"?>{kind}<Bundle><type value="searchset"/><link><url value="@/a"/><url value="&e;%"/>
                    <url value="&e;/"/></link></Bundle>"#
                ),
            );
        }
    }
    for broken in [
        "<!DOCTYPE x<>",
        "<!doctype x>",
        "<!DOCTYPE x [<a/>]>",
        "<!DOCTYPE x [\">]>",
        "<!DOCTYPE x [<![INCLUDE[]]>]>",
        "<!DOCTYPE x [<!ENTITY <]>",
        "<![CDATA[]]>",
    ] {
        check(
            Plan::Request,
            &format!(r#"{broken}<X><url value="%"/></X>"#),
        );
    }
}

#[test]
fn stored_bundles_stay_as_they_are() {
    for kind in ["document", "collection", "message", "search&#115;et2", ""] {
        let bundle = format!(
            r#"<Bundle><type value="{kind}"/><link><url value="%"/></link><entry><fullUrl value="%"/></entry></Bundle>"#
        );
        check(Plan::FhirResponse, &bundle);
        check(
            Plan::FhirResponse,
            &format!(
                r#"<Bundle><type value="batch-response"/><entry><resource>{bundle}</resource></entry><link><url value="@"/></link></Bundle>"#
            ),
        );
    }
    check(
        Plan::FhirResponse,
        r#"<Bundle><type value="searchset"/><link><url value="@"/></link><entry><resource><Bundle>
        <type value="searchset"/><link><url value="%"/></link></Bundle></resource><fullUrl value="@"/></entry></Bundle>"#,
    );
}

#[test]
fn links_wait_for_a_type_that_follows_them() {
    let template = r#"<Bundle><link><url value="<o>"/></link><entry><fullUrl value="<o>&#47;é"/><resource><Bundle>
        <entry><fullUrl value="<i>"/></entry>INNER<link><url value="<i>"/></link></Bundle></resource></entry><entry>
        <resource><Patient><link><url value="%"/></link><type value="searchset"/></Patient></resource></entry>
        <entry><resource><Bundle><link><url value="%"/></link></Bundle></resource></entry>OUTER
        <link><url value="<o>"/></link></Bundle>"#;
    let named = |kind: &str| {
        if kind.is_empty() {
            String::new()
        } else {
            format!(r#"<type value="{kind}"/><type value="batch-response"/>"#)
        }
    };
    for (outer, inner, outer_mark, inner_mark) in [
        ("batch-response", "searchset", "@", "@"),
        ("transaction-response", "batch-response", "@", "@"),
        ("batch-response", "document", "@", "%"),
        ("batch-response", "", "@", "%"),
        ("history", "searchset", "@", "%"),
        ("message", "batch-response", "%", "%"),
        ("", "searchset", "%", "%"),
    ] {
        let filled = template
            .replace("<o>", outer_mark)
            .replace("<i>", inner_mark)
            .replace("OUTER", &named(outer))
            .replace("INNER", &named(inner));
        check(Plan::FhirResponse, &filled);
    }
}

#[test]
fn rewriting_resumes_when_all_is_known_again() {
    let before =
        r#"<Bundle><type value="batch-response"/><entry><resource><Bundle><link><url value=""#;
    let held = r#"O"/></link><entry><fullUrl value="O"/></entry><type value="searchset"#;
    let after = r#""/><link><url value="@"/></link></Bundle></resource><fullUrl value="@"/></entry><entry><resource>
        <Bundle><link><url value="@"/></link><type value="history"/></Bundle></resource></entry></Bundle>"#;
    let limit = held.replace('O', UPSTREAM).len();
    for (limit, base) in [(limit, PROXY), (limit - 1, UPSTREAM)] {
        let document = format!("{before}{held}{after}").replace(['O', '@'], UPSTREAM);
        let expected = format!("{before}{}{after}", held.replace('O', base)).replace('@', PROXY);
        for piece in (1..=document.len()).rev() {
            let mut rewriter = XmlRewriter::new(Plan::FhirResponse, bases(UPSTREAM, PROXY));
            rewriter.output.hold_at_most(limit);
            let result = by_pieces(rewriter, &document, piece);
            assert_eq!(
                String::from_utf8_lossy(&result),
                expected,
                "in pieces of {piece}, at most {limit}"
            );
        }
    }
}

#[test]
fn searches_within_a_batch_are_responses_too() {
    check(
        Plan::FhirResponse,
        r#"<Bundle><type value='batch-response'/><entry><resource><Bundle><type value="search&#x73;et"/>
        <link><url value="@/Patient"/></link><entry><fullUrl value="@/Patient/1"/><resource><Patient>
        <url value="%"/></Patient></resource></entry></Bundle></resource></entry><entry><resource/>
        <response><location value="@"/></response></entry><entry><resource><CapabilityStatement>
        <url value="%"/></CapabilityStatement></resource><fullUrl value="@"/></entry></Bundle>"#,
    );
}

#[test]
fn the_capability_statement_names_its_own_addresses() {
    check(
        Plan::FhirResponse,
        r#"<CapabilityStatement><url value="@/metadata"/><name value="%"/><implementation><url value="@"/>
        </implementation><rest><operation><definition value="@/x"/></operation><resource><profile value="%"/>
        <searchParam><definition value="%"/></searchParam><operation><definition value="@/y"/></operation>
        </resource></rest></CapabilityStatement>"#,
    );
    check(
        Plan::FhirResponse,
        r#"<StructureDefinition><url value="%"/></StructureDefinition>"#,
    );
}

#[test]
fn every_value_of_a_request_refers_to_the_service() {
    check(
        Plan::Request,
        r#"<Patient xmlns="http://hl7.org/fhir"><text><div><a href="%/x">%</a></div></text>
        <extension url="@/e"><valueUrl value="@/v"/></extension><generalPractitioner>
        <reference value="@/Practitioner/1"/></generalPractitioner><name><family value="%x"/></name></Patient>"#,
    );
}

#[test]
fn a_base_is_recognised_in_any_spelling() {
    let bundle = |url: &str| {
        format!(r#"<Bundle><type value="history"/><link><url value="{url}"/></link></Bundle>"#)
    };
    let escaped = UPSTREAM
        .bytes()
        .fold(String::new(), |text, byte| text + &format!("&#x{byte:x};"));
    for (url, expected) in [
        (
            "https:&#47;&#x2F;FHIR.example:443/r4&#47;x&amp;y",
            Some("&#47;x&amp;y"),
        ),
        (&*escaped, Some("")),
        ("https://fhir.example/r4?x", Some("?x")),
        ("https://fhir.example/r4&#63;", Some("&#63;")),
        ("https://fhir.example/r4&amp;", None),
        ("https://fhir.example/r4&", None),
        ("https://fhir.example/r4&unknown;", None),
        ("https://fhir.example/r4&averyverylongreferencename;/", None),
        ("https://fhir.example/r4&#x+2f;", None),
        ("https://fhir.example/r4&#xe9;", None),
        ("https://fhir.example/r4é", None),
        ("https://fhir.example/r45", None),
        ("hhttps://fhir.example/r4", None),
        ("https://https://fhir.example/r4", None),
        (" https://fhir.example/r4", None),
        ("", None),
    ] {
        let wanted = expected.map_or(url.to_owned(), |rest| format!("{PROXY}{rest}"));
        becomes(
            Plan::FhirResponse,
            &bases(UPSTREAM, PROXY),
            &bundle(url),
            &bundle(&wanted),
        );
    }
    becomes(
        Plan::FhirResponse,
        &bases("https://fhir.example/a'b&c", "http://localhost/d'e&f"),
        &bundle("https://fhir.example/a'b&amp;c/x"),
        &bundle("http://localhost/d&apos;e&amp;f/x"),
    );
}

#[test]
fn what_is_not_xml_passes_from_there_on() {
    for broken in [
        "<!DOCTYPE x>",
        "<!-x>",
        "<>",
        "< a/>",
        "<a =\"%\"/>",
        "<a b c=\"%\"/>",
        "<a b=%>",
        "<a/ >",
        "<a b<c>",
        "<a <b/>",
    ] {
        check(
            Plan::FhirResponse,
            &format!(
                r#"<Bundle><type value="searchset"/><link><url value="@"/></link>{broken}<link><url value="%"/></link></Bundle>"#
            ),
        );
    }
    let document = format!(r#"<Bundle><type value="history"/><link><url value="{UPSTREAM}"#);
    for end in 0..=document.len() {
        let cut = &document[..end];
        becomes(Plan::FhirResponse, &bases(UPSTREAM, PROXY), cut, cut);
    }
}

#[test]
fn depth_costs_no_more_than_a_bounded_stack() {
    let nested = |depth: usize, base: &str| "<a>".repeat(depth) + "<a value=\"" + base + "\"/>";
    for (depth, base) in [(MAX_DEPTH - 2, PROXY), (MAX_DEPTH - 1, UPSTREAM)] {
        let mut rewriter = XmlRewriter::new(Plan::Request, bases(UPSTREAM, PROXY));
        let result = rewriter.push(&nested(depth, UPSTREAM).into());
        assert!(result == nested(depth, base), "{depth}");
    }
}
