//! Made-up patients, observations and one small study.

use serde_json::json;

use super::{Dicom, Fhir, dicom::write_file};

/// Family and given names, combined at random once and fixed since.
const PATIENTS: [(&str, &str, &str, &str); 25] = [
    ("Abara", "Chidi", "male", "1961-04-12"),
    ("Bakker", "Anouk", "female", "1987-11-02"),
    ("Castillo", "Rosa", "female", "1949-07-23"),
    ("Dahl", "Ingrid", "female", "1992-01-30"),
    ("Eriksen", "Lars", "male", "1978-09-17"),
    ("Fischer", "Jonas", "male", "2003-05-08"),
    ("Garcia", "Elena", "female", "1966-12-19"),
    ("Haddad", "Samir", "male", "1955-03-03"),
    ("Ivanov", "Mila", "female", "2011-08-27"),
    ("Jansen", "Pieter", "male", "1983-06-14"),
    ("Kowalski", "Ewa", "female", "1971-10-05"),
    ("Lindqvist", "Oskar", "male", "1999-02-21"),
    ("Moreau", "Claire", "female", "1958-07-09"),
    ("Nakamura", "Yuki", "other", "1990-04-25"),
    ("Okafor", "Ada", "female", "2007-12-11"),
    ("Pereira", "Tiago", "male", "1964-09-28"),
    ("Quinn", "Maeve", "female", "1996-05-16"),
    ("Rossi", "Marco", "male", "1943-01-07"),
    ("Smith", "Patrick", "male", "1980-08-20"),
    ("Tanaka", "Hiro", "male", "1974-11-13"),
    ("Ueda", "Sora", "unknown", "2015-03-31"),
    ("Visser", "Johanna", "female", "1952-06-26"),
    ("Weber", "Lena", "female", "1989-10-18"),
    ("Yilmaz", "Deniz", "male", "2001-02-04"),
    ("Zhang", "Wei", "male", "1969-12-29"),
];

const STUDY: &str = "2.25.3001";
const SERIES: &str = "2.25.3001.1";
/// Secondary Capture Image Storage.
const SOP_CLASS: &str = "1.2.840.10008.5.1.4.1.1.7";

/// Fills both services.
pub(super) fn load(fhir: &Fhir, dicom: &Dicom) {
    for (number, (family, given, gender, birth_date)) in (1..).zip(PATIENTS) {
        fhir.preload(json!({
            "resourceType": "Patient",
            "id": format!("sample-{number}"),
            "identifier": [{
                "system": "https://demo.example/patients",
                "value": format!("P{number:04}"),
            }],
            "active": true,
            "name": [{"use": "official", "family": family, "given": [given]}],
            "gender": gender,
            "birthDate": birth_date,
        }));
    }
    for number in 1..=5 {
        fhir.preload(json!({
            "resourceType": "Observation",
            "id": format!("heart-rate-{number}"),
            "status": "final",
            "category": [{"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/observation-category",
                "code": "vital-signs",
            }]}],
            "code": {"coding": [{
                "system": "http://loinc.org",
                "code": "8867-4",
                "display": "Heart rate",
            }]},
            "subject": {"reference": format!("Patient/sample-{number}")},
            "effectiveDateTime": "2026-01-15T09:30:00Z",
            "valueQuantity": {
                "value": 60 + number * 4,
                "unit": "beats/minute",
                "system": "http://unitsofmeasure.org",
                "code": "/min",
            },
        }));
    }
    for number in 1..=2 {
        dicom.preload(image(number));
    }
}

/// A 16 by 16 grey image: a ramp to the right, or downwards.
fn image(number: u8) -> Vec<u8> {
    let pixels = (0..16_u8)
        .flat_map(|row| (0..16_u8).map(move |column| if number == 1 { column } else { row } * 16))
        .collect();
    let text = |value: &str| value.as_bytes().to_vec();
    let short = |value: u16| value.to_le_bytes().to_vec();
    write_file(&[
        (0x0008_0016, *b"UI", text(SOP_CLASS)),
        (0x0008_0018, *b"UI", text(&format!("{SERIES}.{number}"))),
        (0x0008_0020, *b"DA", text("20260115")),
        (0x0008_0030, *b"TM", text("093000")),
        (0x0008_0050, *b"SH", text("A0001")),
        (0x0008_0060, *b"CS", text("OT")),
        (0x0008_0064, *b"CS", text("SYN")),
        (0x0008_0090, *b"PN", text("Bakker^Anouk")),
        (0x0008_1030, *b"LO", text("Demo study")),
        (0x0010_0010, *b"PN", text("Smith^Patrick")),
        (0x0010_0020, *b"LO", text("P0019")),
        (0x0010_0030, *b"DA", text("19800820")),
        (0x0010_0040, *b"CS", text("M")),
        (0x0020_000d, *b"UI", text(STUDY)),
        (0x0020_000e, *b"UI", text(SERIES)),
        (0x0020_0010, *b"SH", text("1")),
        (0x0020_0011, *b"IS", text("1")),
        (0x0020_0013, *b"IS", text(&number.to_string())),
        (0x0028_0002, *b"US", short(1)),
        (0x0028_0004, *b"CS", text("MONOCHROME2")),
        (0x0028_0010, *b"US", short(16)),
        (0x0028_0011, *b"US", short(16)),
        (0x0028_0100, *b"US", short(8)),
        (0x0028_0101, *b"US", short(8)),
        (0x0028_0102, *b"US", short(7)),
        (0x0028_0103, *b"US", short(0)),
        (0x7fe0_0010, *b"OB", pixels),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    #[test]
    fn samples_are_valid() {
        let options = Options::default();
        let (fhir, dicom) = (Fhir::new(&options), Dicom::new(&options));
        load(&fhir, &dicom);
        assert_eq!(fhir.count("Patient"), 25);
        assert_eq!(fhir.count("Observation"), 5);
        assert_eq!(dicom.count(), 2);
    }
}
