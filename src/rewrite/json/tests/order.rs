//! FHIR leaves the order of members open: the members that decide about a link may follow it.

use super::{super::super::sink::MAX_HELD, *};

/// Puts the words in the place of their names.
fn fill(template: &str, words: &[(&str, &str)]) -> String {
    words
        .iter()
        .fold(template.to_owned(), |text, (name, word)| {
            text.replace(name, word)
        })
}

#[test]
fn links_wait_for_what_decides_about_them() {
    let body = r#""link":[{"url":"@/a"}],"id":"é","entry":[{"fullUrl":"@/b"},{"fullUrl":"c"}]"#;
    let after = r#","total":2,"link":[{"url":"@/d"}]"#;
    for order in [
        r#"{BODY,"resourceType":"Bundle","type":"searchset"AFTER}"#,
        r#"{BODY,"type":"searchset","resourceType":"Bundle"AFTER}"#,
        r#"{"resourceType":"Bundle",BODY,"type":"searchset"AFTER}"#,
        r#"{"type":"searchset",BODY,"resourceType":"Bundle"AFTER}"#,
        r#"{"url":"%/x","request":"%",BODY,"type":"searchset","resourceType":"Bundle"AFTER}"#,
        r#"{"resourceType":"Bundle",BODY,"resourceType":"Patient","type":"searchset"AFTER}"#,
        r#"{"resourceType":"Bundle",BODY,"transactionTime":"2026","type":"searchset"AFTER}"#,
        r#"{"type":{"text":"document"},BODY,"type":"searchset","resourceType":"Bundle"AFTER}"#,
    ] {
        check(
            Plan::FhirResponse,
            &fill(order, &[("BODY", body), ("AFTER", after)]),
        );
    }
    let stays = body.replace('@', "%");
    for order in [
        r#"{BODY,"resourceType":"Bundle","type":"document"AFTER}"#,
        r#"{"resourceType":"Bundle",BODY,"type":"document"AFTER}"#,
        r#"{"resourceType":"Bundle",BODYAFTER}"#,
        r#"{BODY,"resourceType":"Patient"AFTER}"#,
        r"{BODYAFTER}",
        r"{BODYAFTER",
        r#"{BODY,"resourceType":"Patient","resourceType":"Bundle","type":"searchset"AFTER}"#,
        r#"{BODY,"type":"document","type":"searchset","resourceType":"Bundle"AFTER}"#,
    ] {
        let after = after.replace('@', "%");
        check(
            Plan::FhirResponse,
            &fill(order, &[("BODY", &stays), ("AFTER", &after)]),
        );
    }
}

#[test]
fn a_response_within_a_batch_waits_for_both_bundles() {
    // `<o>` and `<i>` are the bases of the outer bundle's links and of the inner one's.
    let orders = [
        r#"{OUTER,"link":[{"url":"<o>"}],"entry":[{"resource":{INNER,"link":[{"url":"<i>"}],"entry":[{"fullUrl":"<i>/1"}]}},{"fullUrl":"<o>/2"}]}"#,
        r#"{"entry":[{"response":{"location":"<o>"},"resource":{INNER,"link":[{"url":"<i>"}]},"fullUrl":"<o>"}],OUTER,"link":[{"url":"<o>"}]}"#,
        r#"{OUTER,"entry":[{"fullUrl":"<o>","resource":{"link":[{"url":"<i>"}],"entry":[{"fullUrl":"<i>"}],INNER}},{"fullUrl":"<o>"}]}"#,
        r#"{"entry":[{"resource":{"entry":[{"fullUrl":"<i>"}],INNER,"link":[{"url":"<i>"}]},"fullUrl":"<o>"},{"resource":{"url":"%","resourceType":"Patient"}}],"link":[{"url":"<o>"}],OUTER}"#,
    ];
    let responses = [
        r#""resourceType":"Bundle","type":"batch-response""#,
        r#""type":"transaction-response","resourceType":"Bundle""#,
    ];
    let matches = [
        r#""resourceType":"Bundle","type":"searchset""#,
        r#""type":"history","resourceType":"Bundle""#,
    ];
    let data = [
        r#""resourceType":"Bundle","type":"document""#,
        r#""type":"collection","resourceType":"Bundle""#,
        r#""resourceType":"Bundle""#,
        r#""type":"batch-response","resourceType":"Patient""#,
        r#""resourceType":"CapabilityStatement","type":"batch-response""#,
        r#""type":"batch-response""#,
        r#""transactionTime":"2026""#,
    ];
    let all = || responses.iter().chain(&matches).chain(&data);
    for order in orders {
        for outer in all() {
            for inner in all() {
                let outer_changes = !data.contains(outer);
                let inner_changes = responses.contains(outer) && !data.contains(inner);
                let mark = |changes| if changes { "@" } else { "%" };
                let filled = fill(
                    order,
                    &[
                        ("<o>", mark(outer_changes)),
                        ("<i>", mark(inner_changes)),
                        ("OUTER", outer),
                        ("INNER", inner),
                    ],
                );
                check(Plan::FhirResponse, &filled);
            }
        }
    }
}

#[test]
fn a_link_three_bundles_deep_waits_for_all_of_them() {
    let template = r#"{"entry":[{"resource":{"entry":[{"resource":{"link":[{"url":"<i>"}],THIRD}}],"link":[{"url":"<m>"}],SECOND}}],"link":[{"url":"<o>"}],OUTER}"#;
    let bundle = |kind: &str| format!(r#""type":"{kind}","resourceType":"Bundle""#);
    for (outer, middle, innermost, marks) in [
        ("batch-response", "batch-response", "searchset", "@@@"),
        ("batch-response", "batch-response", "document", "@@%"),
        ("batch-response", "searchset", "searchset", "@@%"),
        ("batch-response", "message", "searchset", "@%%"),
        ("searchset", "batch-response", "searchset", "@%%"),
        ("document", "batch-response", "batch-response", "%%%"),
    ] {
        let filled = fill(
            template,
            &[
                ("<o>", &marks[..1]),
                ("<m>", &marks[1..2]),
                ("<i>", &marks[2..]),
                ("OUTER", &bundle(outer)),
                ("SECOND", &bundle(middle)),
                ("THIRD", &bundle(innermost)),
            ],
        );
        check(Plan::FhirResponse, &filled);
    }
}

#[test]
fn bundles_too_deep_stay_in_any_order() {
    let open = r#"{"link":[{"url":"@"}],"entry":[{"resource":"#;
    let close = r#"}],"type":"batch-response","resourceType":"Bundle"}"#;
    let deepest = r#"{"link":[{"url":"%"}],"type":"batch-response","resourceType":"Bundle"}"#;
    check(
        Plan::FhirResponse,
        &(open.repeat(MAX_BUNDLES) + deepest + &close.repeat(MAX_BUNDLES)),
    );
}

#[test]
fn a_capability_statement_may_come_in_any_order() {
    check(
        Plan::FhirResponse,
        r#"{"url":"@","rest":[{"resource":[{"operation":[{"definition":"@"}]}]}],"link":[{"url":"%"}],
        "entry":[{"fullUrl":"%","resource":{"type":"searchset","resourceType":"Bundle","link":[{"url":"%"}]}}],
        "resourceType":"CapabilityStatement","implementation":{"url":"@"}}"#,
    );
}

/// Compares the result with the expected one, as [`check`] does, with at most `limit` bytes held
/// back.
#[track_caller]
fn check_within(limit: usize, template: &str) {
    let bases = bases(&[(UPSTREAM, PROXY)]);
    let stays = template.replace('%', UPSTREAM);
    let (document, expected) = (stays.replace('@', UPSTREAM), stays.replace('@', PROXY));
    for piece in (1..=document.len()).rev() {
        let mut rewriter = JsonRewriter::new(Plan::FhirResponse, Arc::clone(&bases));
        rewriter.output.hold_at_most(limit);
        let result = by_pieces(rewriter, document.as_bytes(), piece);
        assert_eq!(
            String::from_utf8_lossy(&result),
            expected,
            "in pieces of {piece}, at most {limit}"
        );
    }
}

#[test]
fn what_is_kept_back_is_limited_to_the_byte() {
    let before = r#"{"resourceType":"Bundle","link":[{"url":""#;
    let held = r#"O/a"}],"id":"x","type":"searchset"#;
    let after = r#"","entry":[{"fullUrl":"@/b"}]}"#;
    let limit = held.replace('O', UPSTREAM).len();
    for (limit, mark) in [(limit + 1, "@"), (limit, "@"), (limit - 1, "%"), (0, "%")] {
        let held = held.replace('O', mark);
        check_within(limit, &format!("{before}{held}{after}"));
    }
    // A link that waits longer than the one after it takes that with it.
    let held = r#"%/a"}],"id":"x","entry":[{"fullUrl":"%/b"}],"type":"searchset"#;
    check_within(
        limit,
        &format!(r#"{before}{held}","link":[{{"url":"@"}}]}}"#),
    );
}

#[test]
fn rewriting_resumes_when_all_is_known_again() {
    let filling = "x".repeat(300);
    let nested = |mark: &str, filling: &str| {
        format!(
            r#"{{"resource":{{"link":[{{"url":"{mark}"}}],"id":"{filling}","type":"searchset","resourceType":"Bundle","entry":[{{"fullUrl":"@"}}]}}}}"#
        )
    };
    let (long, short) = (nested("%", &filling), nested("@", ""));
    check_within(
        200,
        &format!(
            r#"{{"resourceType":"Bundle","type":"batch-response","entry":[{short},{long},{short},
            {{"fullUrl":"@","resource":{{"link":[{{"url":"%"}}],"id":"{filling}"}}}},{short}]}}"#
        ),
    );
    // Nothing changes while the outer bundle's type is unknown, everything afterwards.
    let unchanged = [&*short, &*long, &*short].join(",").replace('@', "%");
    check_within(
        200,
        &format!(
            r#"{{"link":[{{"url":"%"}}],"entry":[{unchanged}],"resourceType":"Bundle","type":"batch-response",
            "link":[{{"url":"@"}}],"entry":[{short},{long},{short}]}}"#
        ),
    );
}

#[test]
fn what_turned_out_to_stay_is_not_kept_back_any_longer() {
    let filling = "x".repeat(300);
    check_within(
        200,
        &format!(
            r#"{{"entry":[{{"resource":{{"link":[{{"url":"%"}}],"resourceType":"Person"}}}},{{"resource":{{"link":[{{"url":"%"}}]}}}}],
            "id":"{filling}","link":[{{"url":"@"}}],"type":"searchset","resourceType":"Bundle"}}"#
        ),
    );
}

#[test]
fn what_exceeds_the_limit_goes_out_at_once() {
    let mut rewriter = JsonRewriter::new(Plan::FhirResponse, bases(&[(UPSTREAM, PROXY)]));
    rewriter.output.hold_at_most(100);
    let link = Bytes::from(format!(r#"{{"link":[{{"url":"{UPSTREAM}/a"}}]"#));
    let start = rewriter.push(&link);
    assert!(link.len() > start.len() && link.starts_with(&start));
    let filling = Bytes::from(format!(r#","id":"{}"#, "x".repeat(100)));
    let rest = rewriter.push(&filling);
    assert_eq!([start, rest].concat(), [&*link, &*filling].concat());
    // Afterwards nothing is held back either, as if there were no link.
    let more = Bytes::from(format!(r#"","entry":[{{"fullUrl":"{UPSTREAM}/b"}},"#));
    assert_eq!(rewriter.push(&more), more);
    assert!(rewriter.finish().is_empty());
}

#[test]
fn a_late_type_is_waited_for_over_some_megabytes() {
    let bases = bases(&[(UPSTREAM, PROXY)]);
    for (filling, changes) in [(MAX_HELD - 1024, true), (MAX_HELD + 1024, false)] {
        let start = format!(r#"{{"resourceType":"Bundle","link":[{{"url":"{UPSTREAM}/a"}}]"#);
        let end = format!(r#""type":"searchset","entry":[{{"fullUrl":"{UPSTREAM}/b"}}]}}"#);
        let (mut expected, filling) = (start.clone(), "x".repeat(filling));
        if changes {
            expected = expected.replace(UPSTREAM, PROXY);
        }
        let between = format!(r#","id":"{filling}","#);
        let document = [&*start, &between, &end].concat();
        let expected = [&*expected, &between, &end.replace(UPSTREAM, PROXY)].concat();
        for piece in [10_000, 70_000, MAX_HELD + 600, document.len()] {
            let result = in_pieces(Plan::FhirResponse, &bases, document.as_bytes(), piece);
            assert!(result == expected.as_bytes(), "{changes} by {piece}");
        }
    }
}
