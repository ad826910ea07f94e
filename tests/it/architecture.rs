//! The layout that ARCHITECTURE.md and `src/lib.rs` show: each floor uses only the floors below it.

mod imports;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use imports::{Imports, Module};

/// As in the tables of both documents, which a test compares with this one.
const FLOORS: &[(u32, &[&str])] = &[
    (8, &["main", "cli"]),
    (7, &["app"]),
    (6, &["admin", "check"]),
    (5, &["proxy"]),
    (4, &["server"]),
    (3, &["token", "resource_manager"]),
    (2, &["credentials"]),
    (1, &["upstream", "telemetry", "rewrite"]),
    (0, &["config", "clock", "instance", "shell", "x509"]),
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

fn floor_of(module: &str) -> Option<u32> {
    FLOORS
        .iter()
        .find(|(_, modules)| modules.contains(&module))
        .map(|(floor, _)| *floor)
}

fn imports() -> Imports {
    Imports::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

#[test]
fn each_floor_uses_only_floors_below() {
    let mut wrong = Vec::new();
    for (module, used) in imports().uses {
        // The crate's root declares every module.
        let Some(room) = module.first() else { continue };
        let Some(floor) = floor_of(room) else {
            wrong.push(format!("{room} is on no floor"));
            continue;
        };
        for used in used {
            let is_below = |used: &String| floor_of(used).is_some_and(|below| below < floor);
            if used
                .first()
                .is_some_and(|used| used != room && !is_below(used))
            {
                wrong.push(format!("{} uses {}", module.join("::"), used.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Of two files or folders side by side, one may use the other, and not the other way round, not even through
/// a third. So each folder can be read from the bottom up.
#[test]
fn no_imports_run_in_a_circle() {
    let imports = imports();
    let folders: BTreeSet<Module> = imports
        .files
        .keys()
        .flat_map(|module| (0..module.len()).map(|length| module[..length].to_vec()))
        .collect();
    let circles: Vec<String> = folders
        .iter()
        .filter_map(|folder| {
            let circle = circle(&imports.between_entries(folder))?;
            Some(format!("in {}: {}", folder.join("::"), circle.join(" -> ")))
        })
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_is_found_and_a_diamond_is_not() {
    let arrows = |pairs: &[(&str, &str)]| {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            let to = (*to).to_owned();
            uses.entry((*from).to_owned()).or_default().insert(to);
        }
        circle(&uses).is_some()
    };
    assert!(arrows(&[("a", "b"), ("b", "c"), ("c", "a")]));
    assert!(arrows(&[("a", "b"), ("b", "c"), ("c", "b")]));
    assert!(!arrows(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]));
}

/// One path that leads back to where it began.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        at: &String,
        uses: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|before| before == at) {
            return Some([&path[start..], std::slice::from_ref(at)].concat());
        }
        if !done.insert(at.clone()) {
            return None;
        }
        path.push(at.clone());
        let found = uses
            .get(at)
            .into_iter()
            .flatten()
            .find_map(|next| walk(next, uses, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    uses.keys()
        .find_map(|start| walk(start, uses, &mut Vec::new(), &mut done))
}

#[test]
fn the_documentation_shows_the_same_floors() {
    for document in ["ARCHITECTURE.md", "src/lib.rs"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let text = std::fs::read_to_string(path).expect("a readable file");
        for (floor, modules) in FLOORS {
            let start = format!("| {floor} |");
            let row = text
                .lines()
                .map(|line| line.trim_start_matches("//! "))
                .find(|line| line.starts_with(&start))
                .unwrap_or_else(|| panic!("no row for floor {floor} in {document}"));
            for module in *modules {
                let is_shown = ["", "/", ".rs"]
                    .iter()
                    .any(|end| row.contains(&format!("`{module}{end}`")));
                assert!(is_shown, "{document}: {module} is not in {row}");
            }
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
