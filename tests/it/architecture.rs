//! The layout that `src/lib.rs` promises: each floor uses only the floors below it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// As in the table of `src/lib.rs`, which a test holds against this one.
const FLOORS: &[(u32, &[&str])] = &[
    (8, &["main", "cli"]),
    (7, &["app"]),
    (6, &["admin", "check", "emulator"]),
    (5, &["proxy"]),
    (4, &["server"]),
    (3, &["token"]),
    (2, &["credentials"]),
    (1, &["upstream", "telemetry", "rewrite"]),
    (0, &["config", "clock", "x509"]),
];

/// The files of `src`, with the module each belongs to.
fn sources() -> Vec<(String, PathBuf)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(&root).expect("below src");
            let module = inside.iter().next().expect("a name").to_string_lossy();
            (module.trim_end_matches(".rs").to_owned(), path)
        })
        .collect()
}

/// The code of a file, without comments that have a line of their own.
fn code(path: &Path) -> String {
    std::fs::read_to_string(path)
        .expect("a readable file")
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The modules named after `crate::`, alone or in braces.
fn used_modules(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(list) = rest.strip_prefix('{') else {
            used.insert(first_name(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = String::new();
        for c in list.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    used.insert(first_name(item.trim()));
                    item.clear();
                    continue;
                }
                _ => {}
            }
            item.push(c);
        }
        used.insert(first_name(item.trim()));
    }
    used.remove("");
    used
}

fn first_name(path: &str) -> String {
    path.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn floor_of(module: &str) -> Option<u32> {
    FLOORS
        .iter()
        .find(|(_, modules)| modules.contains(&module))
        .map(|(floor, _)| *floor)
}

#[test]
fn names_are_found_in_every_spelling() {
    let code = "use crate::a::B; use crate::{b, c::{d, e::{f}}, g as h};\nfn x() { crate::i::j() }";
    let expected = ["a", "b", "c", "g", "i"].map(str::to_owned);
    assert_eq!(used_modules(code), BTreeSet::from(expected));
}

#[test]
fn each_floor_uses_only_floors_below() {
    let mut wrong = Vec::new();
    for (module, path) in sources() {
        if module == "lib" {
            continue;
        }
        let Some(floor) = floor_of(&module) else {
            wrong.push(format!("{}: {module} is on no floor", path.display()));
            continue;
        };
        for used in used_modules(&code(&path)) {
            if used == module {
                continue;
            }
            match floor_of(&used) {
                Some(below) if below < floor => {}
                _ => wrong.push(format!("{} uses {used}", path.display())),
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A mistake in the proxy must not hide behind the same mistake in what it is tested with.
#[test]
fn the_emulator_uses_nothing_of_the_crate() {
    for (module, path) in sources() {
        if module == "emulator" {
            let used = used_modules(&code(&path));
            assert!(
                used.iter().all(|used| used == "emulator"),
                "{}: {used:?}",
                path.display()
            );
        }
    }
}

#[test]
fn the_crates_documentation_shows_the_same_floors() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let text = std::fs::read_to_string(path).expect("a readable file");
    for (floor, modules) in FLOORS {
        let row = text
            .lines()
            .find(|line| line.starts_with(&format!("//! | {floor} |")))
            .unwrap_or_else(|| panic!("no row for floor {floor}"));
        for module in *modules {
            assert!(
                row.contains(&format!("`{module}`")),
                "{module} is not in {row}"
            );
        }
    }
}

#[test]
fn no_file_is_a_drawer() {
    for (_, path) in sources() {
        for part in &path {
            let name = part.to_string_lossy();
            let name = name.trim_end_matches(".rs");
            for drawer in [
                "util", "utils", "common", "helper", "helpers", "misc", "manager",
            ] {
                assert_ne!(name, drawer, "{}", path.display());
            }
        }
    }
}

#[test]
fn only_the_command_line_prints_and_exits() {
    const WORDS: [&str; 6] = [
        "println!",
        "print!",
        "eprintln!",
        "eprint!",
        "dbg!",
        "process::exit",
    ];
    for (module, path) in sources() {
        if matches!(module.as_str(), "cli" | "main") {
            continue;
        }
        for line in code(&path).lines() {
            for word in WORDS {
                assert!(!line.contains(word), "{}: {line}", path.display());
            }
        }
    }
}
