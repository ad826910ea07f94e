//! The part of the data dictionary (PS3.6) that searches and implicit VR need.

/// Tag, value representation, keyword; in the order of tags.
const ENTRIES: [(u32, &str, &str); 66] = [
    (0x0002_0002, "UI", "MediaStorageSOPClassUID"),
    (0x0002_0003, "UI", "MediaStorageSOPInstanceUID"),
    (0x0002_0010, "UI", "TransferSyntaxUID"),
    (0x0008_0005, "CS", "SpecificCharacterSet"),
    (0x0008_0008, "CS", "ImageType"),
    (0x0008_0012, "DA", "InstanceCreationDate"),
    (0x0008_0013, "TM", "InstanceCreationTime"),
    (0x0008_0016, "UI", "SOPClassUID"),
    (0x0008_0018, "UI", "SOPInstanceUID"),
    (0x0008_0020, "DA", "StudyDate"),
    (0x0008_0021, "DA", "SeriesDate"),
    (0x0008_0022, "DA", "AcquisitionDate"),
    (0x0008_0023, "DA", "ContentDate"),
    (0x0008_0030, "TM", "StudyTime"),
    (0x0008_0031, "TM", "SeriesTime"),
    (0x0008_0033, "TM", "ContentTime"),
    (0x0008_0050, "SH", "AccessionNumber"),
    (0x0008_0060, "CS", "Modality"),
    (0x0008_0061, "CS", "ModalitiesInStudy"),
    (0x0008_0064, "CS", "ConversionType"),
    (0x0008_0070, "LO", "Manufacturer"),
    (0x0008_0080, "LO", "InstitutionName"),
    (0x0008_0090, "PN", "ReferringPhysicianName"),
    (0x0008_1030, "LO", "StudyDescription"),
    (0x0008_103e, "LO", "SeriesDescription"),
    (0x0008_1090, "LO", "ManufacturerModelName"),
    (0x0008_1140, "SQ", "ReferencedImageSequence"),
    (0x0008_1150, "UI", "ReferencedSOPClassUID"),
    (0x0008_1155, "UI", "ReferencedSOPInstanceUID"),
    (0x0010_0010, "PN", "PatientName"),
    (0x0010_0020, "LO", "PatientID"),
    (0x0010_0030, "DA", "PatientBirthDate"),
    (0x0010_0040, "CS", "PatientSex"),
    (0x0010_1010, "AS", "PatientAge"),
    (0x0010_1030, "DS", "PatientWeight"),
    (0x0018_0015, "CS", "BodyPartExamined"),
    (0x0018_0050, "DS", "SliceThickness"),
    (0x0018_1030, "LO", "ProtocolName"),
    (0x0018_5100, "CS", "PatientPosition"),
    (0x0020_000d, "UI", "StudyInstanceUID"),
    (0x0020_000e, "UI", "SeriesInstanceUID"),
    (0x0020_0010, "SH", "StudyID"),
    (0x0020_0011, "IS", "SeriesNumber"),
    (0x0020_0013, "IS", "InstanceNumber"),
    (0x0020_0032, "DS", "ImagePositionPatient"),
    (0x0020_0037, "DS", "ImageOrientationPatient"),
    (0x0020_0052, "UI", "FrameOfReferenceUID"),
    (0x0020_1206, "IS", "NumberOfStudyRelatedSeries"),
    (0x0020_1208, "IS", "NumberOfStudyRelatedInstances"),
    (0x0020_1209, "IS", "NumberOfSeriesRelatedInstances"),
    (0x0028_0002, "US", "SamplesPerPixel"),
    (0x0028_0004, "CS", "PhotometricInterpretation"),
    (0x0028_0008, "IS", "NumberOfFrames"),
    (0x0028_0010, "US", "Rows"),
    (0x0028_0011, "US", "Columns"),
    (0x0028_0030, "DS", "PixelSpacing"),
    (0x0028_0100, "US", "BitsAllocated"),
    (0x0028_0101, "US", "BitsStored"),
    (0x0028_0102, "US", "HighBit"),
    (0x0028_0103, "US", "PixelRepresentation"),
    (0x0028_1050, "DS", "WindowCenter"),
    (0x0028_1051, "DS", "WindowWidth"),
    (0x0028_1052, "DS", "RescaleIntercept"),
    (0x0028_1053, "DS", "RescaleSlope"),
    (0x0040_0275, "SQ", "RequestAttributesSequence"),
    (PIXEL_DATA, "OW", "PixelData"),
];

pub(super) const TRANSFER_SYNTAX: u32 = 0x0002_0010;
pub(super) const SOP_CLASS: u32 = 0x0008_0016;
pub(super) const SOP_INSTANCE: u32 = 0x0008_0018;
pub(super) const STUDY: u32 = 0x0020_000d;
pub(super) const SERIES: u32 = 0x0020_000e;
pub(super) const SAMPLES_PER_PIXEL: u32 = 0x0028_0002;
pub(super) const NUMBER_OF_FRAMES: u32 = 0x0028_0008;
pub(super) const ROWS: u32 = 0x0028_0010;
pub(super) const COLUMNS: u32 = 0x0028_0011;
pub(super) const BITS_ALLOCATED: u32 = 0x0028_0100;
pub(super) const PIXEL_DATA: u32 = 0x7fe0_0010;

/// The value representation of a tag; `UN` for those not listed.
pub(super) fn vr(tag: u32) -> [u8; 2] {
    ENTRIES
        .binary_search_by_key(&tag, |entry| entry.0)
        .ok()
        .and_then(|at| ENTRIES[at].1.as_bytes().try_into().ok())
        .unwrap_or(*b"UN")
}

/// The tag a query names: a keyword, or eight hex digits.
pub(super) fn tag(name: &str) -> Option<u32> {
    let named = ENTRIES.iter().find(|entry| entry.2 == name);
    named.map(|entry| entry.0).or_else(|| {
        (name.len() == 8)
            .then(|| u32::from_str_radix(name, 16).ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dictionary_is_in_order() {
        assert!(ENTRIES.is_sorted_by_key(|entry| entry.0));
        assert_eq!(vr(STUDY), *b"UI");
        assert_eq!(vr(0x0009_0001), *b"UN");
        assert_eq!(tag("PatientID"), Some(0x0010_0020));
        assert_eq!(tag("00100020"), Some(0x0010_0020));
        assert_eq!(tag("limit"), None);
    }
}
