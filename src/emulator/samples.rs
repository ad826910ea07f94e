//! Sample data: stub.
pub(super) fn load(_: &super::Fhir, _: &super::Dicom) {}
