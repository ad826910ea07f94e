//! The DICOM JSON model (PS3.18, annex F): attributes by their tags, bulk data left out.

use serde_json::{Map, Value as Json, json};

use super::{
    dataset::{Dataset, Element, Value},
    dictionary,
};

/// The attributes of a dataset, without the file's meta group and without bulk data.
pub(super) fn from_dataset(file: &[u8], dataset: &Dataset) -> Map<String, Json> {
    dataset
        .iter()
        .filter(|(tag, _)| *tag >> 16 != 2 && **tag != dictionary::PIXEL_DATA)
        .filter_map(|(tag, element)| Some((key(*tag), attribute(file, element)?)))
        .collect()
}

/// A tag as eight hex digits.
pub(super) fn key(tag: u32) -> String {
    format!("{tag:08X}")
}

/// An attribute made by the service.
pub(super) fn of(vr: &str, value: impl Into<Json>) -> Json {
    json!({"vr": vr, "Value": [value.into()]})
}

/// The first value of an attribute as text; for names its alphabetic part.
pub(super) fn first_text(attributes: &Map<String, Json>, tag: u32) -> Option<String> {
    match &attributes.get(&key(tag))?["Value"][0] {
        Json::String(text) => Some(text.clone()),
        Json::Object(name) => Some(name.get("Alphabetic")?.as_str()?.to_owned()),
        Json::Null => None,
        number => Some(number.to_string()),
    }
}

fn attribute(file: &[u8], element: &Element) -> Option<Json> {
    let vr = std::str::from_utf8(&element.vr).ok()?;
    let values: Vec<Json> = match &element.value {
        Value::Items(items) => {
            let items = items.iter().map(|item| from_dataset(file, item).into());
            return Some(with_values("SQ", &items.collect::<Vec<_>>()));
        }
        Value::Fragments(_) => return None,
        Value::Plain(range) => values(vr, &file[range.clone()])?,
    };
    Some(with_values(vr, &values))
}

fn with_values(vr: &str, values: &[Json]) -> Json {
    if values.is_empty() {
        json!({"vr": vr})
    } else {
        json!({"vr": vr, "Value": values})
    }
}

/// `None` for representations that carry bulk data.
fn values(vr: &str, bytes: &[u8]) -> Option<Vec<Json>> {
    fn each<const N: usize>(bytes: &[u8], value: impl Fn([u8; N]) -> Json) -> Vec<Json> {
        let (chunks, _) = bytes.as_chunks::<N>();
        chunks.iter().map(|chunk| value(*chunk)).collect()
    }
    let values = match vr {
        "OB" | "OD" | "OF" | "OL" | "OV" | "OW" | "UN" => return None,
        "US" => each(bytes, |raw| u16::from_le_bytes(raw).into()),
        "SS" => each(bytes, |raw| i16::from_le_bytes(raw).into()),
        "UL" => each(bytes, |raw| u32::from_le_bytes(raw).into()),
        "SL" => each(bytes, |raw| i32::from_le_bytes(raw).into()),
        "UV" => each(bytes, |raw| u64::from_le_bytes(raw).into()),
        "SV" => each(bytes, |raw| i64::from_le_bytes(raw).into()),
        "FL" => each(bytes, |raw| f64::from(f32::from_le_bytes(raw)).into()),
        "FD" => each(bytes, |raw| f64::from_le_bytes(raw).into()),
        "AT" => each(bytes, |[a, b, c, d]: [u8; 4]| {
            key(u32::from_be_bytes([b, a, d, c])).into()
        }),
        "LT" | "ST" | "UT" | "UR" => {
            let text = decode(bytes);
            let text = text.trim_end_matches(['\0', ' ']);
            if text.is_empty() {
                Vec::new()
            } else {
                vec![text.into()]
            }
        }
        _ => strings(vr, &decode(bytes)),
    };
    Some(values)
}

fn strings(vr: &str, text: &str) -> Vec<Json> {
    let text = text.trim_matches(['\0', ' ']);
    if text.is_empty() {
        return Vec::new();
    }
    text.split('\\')
        .map(|value| match (vr, value.trim()) {
            (_, "") => Json::Null,
            ("PN", name) => person_name(name),
            ("IS", number) => number
                .parse::<i64>()
                .map_or_else(|_| number.into(), Json::from),
            ("DS", number) => number
                .parse::<f64>()
                .map_or_else(|_| number.into(), Json::from),
            (_, value) => value.into(),
        })
        .collect()
}

/// Up to three groups: alphabetic, ideographic, phonetic.
fn person_name(name: &str) -> Json {
    ["Alphabetic", "Ideographic", "Phonetic"]
        .into_iter()
        .zip(name.split('='))
        .filter(|(_, group)| !group.is_empty())
        .map(|(group, value)| (group.to_owned(), Json::from(value)))
        .collect::<Map<_, _>>()
        .into()
}

/// UTF-8 where it is valid, else Latin-1: enough for the files of tests.
fn decode(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dicom::dataset;

    #[test]
    fn writes_values_by_their_representation() {
        let file = dataset::write(&[
            (0x0008_0008, *b"CS", b"ORIGINAL\\PRIMARY".to_vec()),
            (0x0010_0010, *b"PN", b"Doe^Jo=X".to_vec()),
            (0x0010_1030, *b"DS", b"72.5".to_vec()),
            (0x0020_0013, *b"IS", b"3 ".to_vec()),
            (0x0020_0010, *b"SH", Vec::new()),
            (0x0028_0010, *b"US", vec![16, 0]),
            (dictionary::PIXEL_DATA, *b"OB", vec![0; 8]),
        ]);
        let parsed = dataset::parse(&file).expect("a valid file");
        let attributes = from_dataset(&file, &parsed);
        assert_eq!(
            Json::Object(attributes.clone()),
            json!({
                "00080008": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY"]},
                "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jo", "Ideographic": "X"}]},
                "00101030": {"vr": "DS", "Value": [72.5]},
                "00200010": {"vr": "SH"},
                "00200013": {"vr": "IS", "Value": [3]},
                "00280010": {"vr": "US", "Value": [16]},
            })
        );
        assert_eq!(first_text(&attributes, 0x0010_0010), Some("Doe^Jo".into()));
        assert_eq!(first_text(&attributes, 0x0020_0013), Some("3".into()));
    }
}
