//! The question which services to serve, and its answers.

use crate::{
    config::RouteKind,
    resource_manager::{Access, Service},
};

/// Whether there is at most one service of each kind, so that there is nothing to choose.
pub(super) fn is_one_of_each(services: &[Service]) -> bool {
    let count = |kind| {
        services
            .iter()
            .filter(|service| service.kind == kind)
            .count()
    };
    count(RouteKind::Fhir) <= 1 && count(RouteKind::Dicom) <= 1
}

pub(super) fn question(services: &[Service]) -> String {
    if is_one_of_each(services) {
        return "Serve these? Enter for yes, n for no: ".to_owned();
    }
    let numbers: Vec<String> = suggested(services)
        .map(|(number, _)| number.to_string())
        .collect();
    format!(
        "Choose services: numbers separated by spaces, `all`, or Enter for {}: ",
        numbers.join(" ")
    )
}

/// The services whose data the user may use, or all if there are none.
fn suggested(services: &[Service]) -> impl Iterator<Item = (usize, &Service)> {
    let may_use = |service: &&Service| service.access != Access::None;
    let any = services.iter().any(|service| may_use(&service));
    let numbered = services
        .iter()
        .enumerate()
        .map(|(index, service)| (index + 1, service));
    numbered.filter(move |(_, service)| !any || may_use(service))
}

/// Reads an answer. An empty list means that nothing is wanted.
pub(super) fn read<'a>(line: &str, services: &'a [Service]) -> Result<Vec<&'a Service>, String> {
    let line = line.trim().to_ascii_lowercase();
    let is_plain = is_one_of_each(services);
    match &*line {
        "" | "y" | "yes" if is_plain => return Ok(services.iter().collect()),
        "" => return Ok(suggested(services).map(|(_, service)| service).collect()),
        "all" => return Ok(services.iter().collect()),
        "n" | "no" | "q" => return Ok(Vec::new()),
        _ => {}
    }
    let mut numbers = Vec::new();
    for word in line.split([' ', ',']).filter(|word| !word.is_empty()) {
        match word.parse::<usize>() {
            Ok(number) if (1..=services.len()).contains(&number) => numbers.push(number),
            _ => {
                return Err(format!(
                    "`{}` is not a number from 1 to {}",
                    word.escape_debug(),
                    services.len()
                ));
            }
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers
        .into_iter()
        .map(|number| &services[number - 1])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Audience, ServiceUrl};

    fn service(kind: RouteKind, access: Access) -> Service {
        let url = "https://ws-a.fhir.azurehealthcareapis.com";
        Service {
            kind,
            name: "ws/a".to_owned(),
            id: "/subscriptions/s".to_owned(),
            subscription: "Demo".to_owned(),
            url: ServiceUrl::parse(url).expect("a URL"),
            audience: Audience::parse(url).expect("an audience"),
            accepted: Vec::new(),
            tenant: None,
            is_private: false,
            access,
        }
    }

    fn chosen(line: &str, services: &[Service]) -> Result<Vec<usize>, String> {
        let index = |chosen: &Service| services.iter().position(|s| std::ptr::eq(s, chosen));
        let read = read(line, services)?;
        Ok(read
            .into_iter()
            .map(|service| index(service).expect("one of them"))
            .collect())
    }

    #[test]
    fn one_key_takes_one_of_each() {
        let services = [
            service(RouteKind::Fhir, Access::Write),
            service(RouteKind::Dicom, Access::None),
        ];
        assert!(question(&services).contains("Enter for yes"));
        assert_eq!(chosen("\n", &services), Ok(vec![0, 1]));
        assert_eq!(chosen("n\n", &services), Ok(vec![]));
        assert_eq!(chosen("2\n", &services), Ok(vec![1]));
    }

    #[test]
    fn of_several_enter_takes_those_with_a_role() {
        let services = [
            service(RouteKind::Fhir, Access::Write),
            service(RouteKind::Fhir, Access::None),
            service(RouteKind::Dicom, Access::Unknown),
        ];
        assert!(question(&services).ends_with("Enter for 1 3: "));
        assert_eq!(chosen("\n", &services), Ok(vec![0, 2]));
        assert_eq!(chosen("all", &services), Ok(vec![0, 1, 2]));
        assert_eq!(chosen(" 3, 1 1\r\n", &services), Ok(vec![0, 2]));
        for wrong in ["4", "0", "x", "1 -1"] {
            assert!(chosen(wrong, &services).is_err(), "{wrong}");
        }
    }
}
