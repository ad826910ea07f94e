use std::{ops::Range, sync::Arc};

use proptest::prelude::*;

use super::*;
use crate::{
    config::ServiceUrl,
    rewrite::{JsonRewriter, Plan, XmlRewriter},
};

const OURS: &str = "http://localhost:8080/fhir";
const OURS_BELOW: &str = "http://localhost:8080/fhir/tenant";
const THEIRS: &str = "https://h.example";
const THEIRS_BELOW: &str = "https://h.example/it's,a/base";
/// The second base in the query of a URL, rewritten.
const IN_QUERIES: &str = "https://h.example/it%27s%2Ca/base";

fn bases() -> Arc<Bases> {
    let url = |text| ServiceUrl::parse(text).expect("a base URL");
    let pairs = [
        (url(OURS), url(THEIRS)),
        (url(OURS_BELOW), url(THEIRS_BELOW)),
    ];
    Arc::new(Bases::new(pairs.iter().map(|(from, to)| (from, to))))
}

fn json(document: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut rewriter = JsonRewriter::new(Plan::Request, bases());
    let mut result = pieces(document, cuts, |chunk| rewriter.push(&chunk));
    result.extend_from_slice(&rewriter.finish());
    result
}

fn xml(document: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut rewriter = XmlRewriter::new(Plan::Request, bases());
    let mut result = pieces(document, cuts, |chunk| rewriter.push(&chunk));
    result.extend_from_slice(&rewriter.finish());
    result
}

fn pieces(document: &[u8], cuts: &[usize], mut push: impl FnMut(Bytes) -> Bytes) -> Vec<u8> {
    let mut rest = Bytes::copy_from_slice(document);
    let mut result = Vec::new();
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let chunk = rest.split_to(rest.len().min(*cut));
        result.extend_from_slice(&push(chunk));
    }
    result
}

/// Holds what becomes of a member against what is expected, in both formats and all sizes of pieces.
#[track_caller]
fn member_becomes(name: &str, value: &str, expected: &str) {
    let in_json = |value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        format!(r#"{{"{name}":"{value}","{name}":["{value}"],"x":{{"{name}":"{value}"}}}}"#)
    };
    let in_xml = |value: &str| {
        let value = value
            .replace('&', "&amp;")
            .replace('"', "&quot;")
            .replace('\'', "&apos;");
        format!(r#"<X><{name} value="{value}"/><x><{name} id='a' value='{value}'/></x></X>"#)
    };
    let document = in_json(value);
    for piece in (1..=document.len()).rev() {
        let result = json(document.as_bytes(), &[piece]);
        assert_eq!(
            String::from_utf8_lossy(&result),
            in_json(expected),
            "in pieces of {piece}"
        );
    }
    let document = in_xml(value);
    for piece in (1..=document.len()).rev() {
        let result = xml(document.as_bytes(), &[piece]);
        assert_eq!(
            String::from_utf8_lossy(&result),
            in_xml(expected),
            "in pieces of {piece}"
        );
    }
}

/// In `template`, `@` is a base that changes and `~` the same base where it must stay.
#[track_caller]
fn check(name: &str, template: &str) {
    let stays = template.replace('~', OURS);
    member_becomes(name, &stays.replace('@', OURS), &stays.replace('@', THEIRS));
}

#[test]
fn searches_name_the_service_in_their_queries() {
    for name in ["url", "criteria", "valueString", "expression", "value"] {
        check(
            name,
            "Observation?subject=@/Patient/1&code=http://loinc.org|1",
        );
    }
    for search in [
        "@/Observation?subject=@/Patient/1",
        "@?x=@",
        "?subject=@/Patient/1",
        "/Patient?organization=a,@/Organization/1,@/Organization/2&general-practitioner:Practitioner=@/Practitioner/1",
        "Patient/$everything?x=@/a#~/b",
        "Patient?x=~x&y=@/é&~=~é",
        "Patient?x~/y=@/z=~",
        "@/Patient/a:b//é?x=@/c",
        "Patient/1|~",
        "@|1",
        "Observation?code-value=code$@/P/1,a\\$~$@/P/2",
        "$export?_typeFilter=Patient?organization=@/Organization/1,Observation%3Fa=x%26subject%3D@/1,@/2%26b%3D@",
        "Patient?x=http://other.example/Patient?y=~",
        "Patient?x=@/Patient?y=@&z=a%26b=~",
        "Patient?x=Patient?y=Patient?z=@",
        "Patient?x=a b?y=~",
        "Patient?x=@/a?1,@/b,a?\\,~",
        "Patient?_filter=(subject re @/P/1 or subject eq \"@/P/2\") and a ne \\ ~ or not(b re @/P/3?c=@/P/4)",
        "Patient?x=a#b?y=~",
        "HTTP://other.example/Observation?subject=~/Patient/1",
        "//other.example/Observation?subject=~/Patient/1",
        "urn:x?subject=~/Patient/1",
        "see Patient?subject=~/Patient/1",
        "é?subject=~/Patient/1",
        "Patient/1#a?subject=~/Patient/1",
        "@/Patient/1#a?subject=~/Patient/1",
        "subject=~/Patient/1",
        "x~/Patient/1",
        "Patient",
        "?",
        "",
    ] {
        check("url", search);
    }
}

/// Percent-encodes all that a parameter's value may not hold.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |result, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            result + &char::from(byte).to_string()
        } else {
            result + &format!("%{byte:02X}")
        }
    })
}

#[test]
fn a_search_within_a_query_has_encoded_values_of_its_own() {
    let inner = |base: &str| {
        let reference = |id: u8| format!("{base}/Patient/{id}");
        let list = format!("{},{}", reference(1), reference(2));
        format!(
            "Observation?subject={}&code=a%26b&focus={}",
            encoded(&reference(1)),
            encoded(&list)
        )
    };
    let search = |base: &str| format!("$export?_typeFilter={}&x=1", encoded(&inner(base)));
    assert!(search(OURS).contains("subject%3Dhttp%253A%252F%252Flocalhost%253A8080%252Ffhir%252F"));
    member_becomes("url", &search(OURS), &search(THEIRS));
    let odd = |base: &str| format!("$export?_typeFilter=A%3Fx%3D{}", encoded(&encoded(base)));
    member_becomes("url", &odd(OURS_BELOW), &odd(THEIRS_BELOW));
}

#[test]
fn only_the_values_of_a_search_within_a_query_are_encoded_twice() {
    let twice = encoded(&encoded(OURS));
    for template in [
        "Patient?x=~",
        "Patient?x=a,~",
        "Patient?x=http://other.example/A%3Fy%3D~",
        "Patient?x=A%3Fy=z~",
        "Patient?x=A%3F~=y",
        "Patient?x=A%3Fy%3Dz%2526w%253D~",
        "Patient?x=A%3Fy%3DB%253Fw%253D~",
        "Patient?x=A%3Fy%3Da%255C%252C~",
        "Patient?x=A%3Fy%3D~x",
        "Patient?x=A%3Fy%3D~%252",
        "Patient?x=A%3Fy%3D~%25",
        "Patient?x=A%3Fy&z=~",
        "Patient?x=A%3Fy%3D1&z=~",
        "~",
    ] {
        let value = template.replace('~', &twice);
        member_becomes("url", &value, &value);
    }
}

#[test]
fn a_condition_is_a_query_or_a_url_with_one() {
    for condition in [
        "subject=@/Patient/1&code=x",
        "subject:Patient=@/Patient/1&_has:Observation:patient:x=@/a",
        "?subject=@/Patient/1",
        "Observation?subject=@/Patient/1",
        "@/Observation?subject=@/Patient/1",
        "@/Observation",
        "@",
        "~=@",
        "identifier=@|123&x=1",
        "identifier=@/ids|123&x=1",
        "@/ids|123&x=@",
        "",
    ] {
        check("ifNoneExist", condition);
    }
}

#[test]
fn the_narrative_is_no_search() {
    for text in ["Observation?subject=~/Patient/1", "~/Patient/1"] {
        check("div", text);
    }
}

#[test]
fn a_base_put_into_a_query_stays_one_part_of_one_value() {
    let value = format!("{OURS_BELOW}/Patient?x={OURS_BELOW}/1,{OURS}/2");
    let expected = format!("{THEIRS_BELOW}/Patient?x={IN_QUERIES}/1,{THEIRS}/2");
    member_becomes("reference", &value, &expected);
}

#[test]
fn a_broken_escape_ends_no_string_late() {
    for (broken, expected) in [
        (r#"[{"url":"?x=\q@"},"@"]"#, r#"[{"url":"?x=\q~"},"@"]"#),
        (
            r#"{"url":"?x=\u12","y":"@"}"#,
            r#"{"url":"?x=\u12","y":"@"}"#,
        ),
        (
            r#"{"url":"?x=\u1\"@","y":"@"}"#,
            r#"{"url":"?x=\u1\"~","y":"@"}"#,
        ),
        (
            r#"{"url":"?x=@/a\q&y=@","y":"@"}"#,
            r#"{"url":"?x=@/a\q&y=~","y":"@"}"#,
        ),
    ] {
        let document = broken.replace('@', OURS);
        let expected = expected.replace('@', THEIRS).replace('~', OURS);
        for piece in 1..=document.len() {
            let result = json(document.as_bytes(), &[piece]);
            assert_eq!(String::from_utf8_lossy(&result), expected);
        }
    }
}

#[test]
fn length_does_not_matter() {
    let long = "x".repeat(200_000);
    let document = |base: &str| {
        format!(r#"{{"url":"Patient?{long}={base}/{long},{base}/{long}&y={base}#{long}"}}"#)
    };
    for cut in [1000, 65_536, usize::MAX] {
        let result = json(document(OURS).as_bytes(), &[cut]);
        assert!(result == document(THEIRS).as_bytes(), "by {cut}");
    }
}

#[test]
fn headers_hold_whole_urls_and_bare_queries() {
    let is = |result: Option<Vec<u8>>, expected: Option<&str>| {
        let result = result.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert_eq!(result.as_deref(), expected);
    };
    for (value, as_search, as_condition) in [
        (
            "http://localhost:8080/fhir/Patient?organization=http%3A%2F%2Flocalhost%3A8080%2Ffhir%2FOrganization%2F1",
            Some(
                "https://h.example/Patient?organization=https%3A%2F%2Fh.example%2FOrganization%2F1",
            ),
            Some(
                "https://h.example/Patient?organization=https%3A%2F%2Fh.example%2FOrganization%2F1",
            ),
        ),
        (
            "Patient?organization=http://localhost:8080/fhir/Organization/1",
            Some("Patient?organization=https://h.example/Organization/1"),
            Some("Patient?organization=https://h.example/Organization/1"),
        ),
        (
            "organization=http://localhost:8080/fhir/Organization/1",
            None,
            Some("organization=https://h.example/Organization/1"),
        ),
        (
            "http://localhost:8080/fhir/tenant",
            Some(THEIRS_BELOW),
            Some(THEIRS_BELOW),
        ),
        ("identifier=http://loinc.org|1", None, None),
        ("", None, None),
    ] {
        is(bases().rewrite_search(value.as_bytes()), as_search);
        is(bases().rewrite_condition(value.as_bytes()), as_condition);
    }
}

/// How long the base at the start of a text is, and what takes its place.
fn base_of(text: &[u8]) -> Option<(usize, &'static str)> {
    [(OURS_BELOW, THEIRS_BELOW), (OURS, THEIRS)]
        .into_iter()
        .find(|(from, _)| {
            let origin = "http://localhost:8080".len();
            text.len() >= from.len()
                && text[..origin].eq_ignore_ascii_case(&from.as_bytes()[..origin])
                && text[origin..from.len()] == from.as_bytes()[origin..]
                && matches!(text.get(from.len()), None | Some(b'/' | b'?' | b'#' | b'|'))
        })
        .map(|(from, to)| (from.len(), to))
}

/// Where in a value bases are, and what takes their places: told from the whole of it.
fn changes(value: &str, is_condition: bool) -> Vec<(Range<usize>, String)> {
    let mut changes = Vec::new();
    let base = base_of(value.as_bytes());
    if let Some((len, to)) = base {
        changes.push((0..len, to.to_owned()));
    }
    let end = if is_condition { ['?', '='] } else { ['?', '#'] };
    let Some(end) = value.find(end) else {
        return changes;
    };
    let is_relative = is_relative(&value.as_bytes()[..end]);
    let query = match value.as_bytes()[end] {
        b'?' if base.is_some() || is_relative || is_condition => end + 1,
        b'=' => 0,
        _ => return changes,
    };
    let mut at = query;
    for pair in value[query..].split('&') {
        if let Some((name, rest)) = pair.split_once('=') {
            changes.extend(changes_in_parts(value, at + name.len() + 1, rest.len()));
        }
        at += pair.len() + 1;
    }
    changes
}

fn is_relative(url: &[u8]) -> bool {
    !url.windows(2).any(|pair| pair == b"//")
        && url
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~$%/".contains(byte))
}

fn changes_in_parts(value: &str, start: usize, len: usize) -> Vec<(Range<usize>, String)> {
    let bytes = &value.as_bytes()[..start + len];
    let mut characters = Vec::new();
    let mut at = start;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let (character, len) = match (bytes[at], hex) {
            (b'%', Some(hex)) => (u8::from_str_radix(hex, 16).expect("two digits"), 3),
            (b'+', _) => (b' ', 1),
            (byte, _) => (byte, 1),
        };
        characters.push((character, at));
        at += len;
    }
    characters.push((b',', bytes.len()));
    let mut changes = Vec::new();
    // The part so far, where each of its characters is, and whether that was encoded twice.
    let (mut part, mut places, mut backslashes) = (Vec::new(), Vec::new(), 0);
    let (mut in_name, mut in_word, mut is_inner) = (false, false, false);
    let mut index = 0;
    while let Some(&(mut character, at)) = characters.get(index) {
        let hex = |at: usize| {
            characters
                .get(at)
                .and_then(|hex| char::from(hex.0).to_digit(16))
        };
        let mut twice = false;
        index += 1;
        if is_inner
            && !in_name
            && character == b'%'
            && let (Some(high), Some(low)) = (hex(index), hex(index + 1))
        {
            character = u8::try_from(high << 4 | low).expect("two digits");
            twice = true;
            index += 2;
        }
        let is_separator = matches!(character, b',' | b'$') && backslashes % 2 == 0;
        let starts_word = b" \"(".contains(&character) && backslashes % 2 == 0;
        let is_end = at == bytes.len();
        backslashes = if character == b'\\' {
            backslashes + 1
        } else {
            0
        };
        if in_name {
            if character == b'=' || starts_word || is_separator && !is_end {
                in_name = false;
                in_word = starts_word;
                backslashes = 0;
            }
            continue;
        }
        let starts_search = character == b'?'
            && !twice
            && !part.contains(&b'?')
            && !part.contains(&b'#')
            && (!in_word && is_relative(&part) || base_of(&part).is_some());
        let ends_pair = is_inner && character == b'&' && !twice;
        if is_end || is_separator || starts_word || starts_search || ends_pair {
            if let Some((len, to)) = base_of(&part) {
                let end = places.get(len).map_or(at, |place: &(usize, bool)| place.0);
                let range = places[0].0..end;
                let to = if places[..len].iter().any(|place| place.1) {
                    encoded(&encoded(to))
                } else if value[range.clone()].contains('%') {
                    encoded(to)
                } else if to == THEIRS {
                    THEIRS.to_owned()
                } else {
                    IN_QUERIES.to_owned()
                };
                changes.push((range, to));
            }
            part.clear();
            places.clear();
            in_word = starts_word;
            in_name = starts_search || ends_pair;
            is_inner |= starts_search;
        } else {
            part.push(character);
            places.push((at, twice));
        }
    }
    changes
}

/// A base, some of its characters percent-encoded.
fn base() -> impl Strategy<Value = String> {
    let spelled = prop::sample::select(vec![OURS, OURS, OURS_BELOW, "HTTP://LocalHost:8080/fhir"]);
    let encoded = prop::collection::vec(prop::bool::weighted(0.1), 40);
    (spelled, encoded, 0..4_u8).prop_map(|(base, encoded, how)| {
        base.bytes()
            .zip(encoded)
            .map(|(byte, encoded)| match how {
                1 if !byte.is_ascii_alphanumeric() => format!("%{byte:02X}"),
                2 if encoded => format!("%{byte:02x}"),
                3 if !byte.is_ascii_alphanumeric() || encoded => format!("%25{byte:02X}"),
                _ => char::from(byte).to_string(),
            })
            .collect()
    })
}

fn search() -> impl Strategy<Value = String> {
    let noise = prop::sample::select(vec![
        "Patient",
        "?",
        "&",
        "=",
        ",",
        "\\",
        "\\,",
        "$",
        "\\$",
        "+",
        "%20",
        "\\ ",
        "%22",
        "(",
        "%3F",
        "%26",
        "%3d",
        "?a=",
        "%2C",
        "%5c",
        "%252C",
        "%2526",
        "%253F",
        "%253d",
        "%255C",
        "%25",
        "%2",
        "%",
        "%zz",
        "+",
        "/",
        "/Patient/1",
        "X",
        "|v",
        "#",
        ":",
        "//",
        "é",
        "a",
        "\u{1f600}",
    ]);
    let start = prop::sample::select(vec![
        "Observation?subject=",
        "?subject=",
        "subject=",
        "http://localhost:8080/fhir/Observation?subject=",
        "",
    ]);
    let part = prop_oneof![base(), noise.prop_map(str::to_owned)];
    (start, prop::collection::vec(part, 0..10))
        .prop_map(|(start, parts)| start.to_owned() + &parts.concat())
}

/// Writes a value as its dice fall, and beside it what is to be made of it.
fn spell(
    value: &str,
    changes: &[(Range<usize>, String)],
    dice: &[u8],
    escape: impl Fn(char, u8) -> String,
) -> (String, String) {
    let (mut given, mut wanted) = (String::new(), String::new());
    for ((at, character), die) in value.char_indices().zip(dice.iter().cycle()) {
        let spelled = escape(character, *die % 16);
        given.push_str(&spelled);
        match changes.iter().find(|(range, _)| range.contains(&at)) {
            Some((range, to)) if range.start == at => wanted.push_str(to),
            Some(_) => {}
            None => wanted.push_str(&spelled),
        }
    }
    (given, wanted)
}

fn in_json(character: char, die: u8) -> String {
    match (character, die) {
        ('"' | '\\', 0..14) => format!("\\{character}"),
        ('/', 10..14) => "\\/".to_owned(),
        (_, 0..14) => character.to_string(),
        _ => {
            let mut units = [0; 2];
            let units = character.encode_utf16(&mut units).iter();
            units.fold(String::new(), |text, unit| text + &format!("\\u{unit:04x}"))
        }
    }
}

fn in_xml(character: char, die: u8) -> String {
    match (character, die) {
        ('&', 0..14) => "&amp;".to_owned(),
        (_, 0..14) => character.to_string(),
        (_, 14) => format!("&#x{:X};", u32::from(character)),
        _ => format!("&#{};", u32::from(character)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn only_the_bases_change_however_all_is_spelled_and_cut(
        value in search(),
        is_condition in any::<bool>(),
        dice in prop::collection::vec(any::<u8>(), 1..64),
        cuts in prop::collection::vec(1..60_usize, 1..8),
    ) {
        let changes = changes(&value, is_condition);
        let name = if is_condition { "ifNoneExist" } else { "anything" };

        let (given, wanted) = spell(&value, &changes, &dice, in_json);
        let document = |value: &str| format!(r#"[{{"{name}":"{value}"}},"{OURS}X"]"#);
        let result = json(document(&given).as_bytes(), &cuts);
        prop_assert_eq!(String::from_utf8_lossy(&result), document(&wanted), "{}", given);

        let (given, wanted) = spell(&value, &changes, &dice, in_xml);
        let document = |value: &str| format!(r#"<X><{name} value="{value}"/></X>"#);
        let wanted = wanted.replace("it's", "it&apos;s");
        let result = xml(document(&given).as_bytes(), &cuts);
        prop_assert_eq!(String::from_utf8_lossy(&result), document(&wanted), "{}", given);
    }

    #[test]
    fn in_a_query_the_rules_are_those_of_searches(query in search()) {
        let search = format!("?{query}");
        let expected = bases().rewrite_search(search.as_bytes());
        let expected = expected.map(|search| search[1..].to_vec());
        prop_assert_eq!(bases().rewrite_query(query.as_bytes()), expected);
    }
}
