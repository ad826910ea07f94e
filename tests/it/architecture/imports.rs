//! The imports between the files of `src`, read from their syntax trees.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Item, ItemMod, UseTree, Visibility,
    visit::{self, Visit},
};

/// The path of a module, without `crate`: `["proxy", "body", "client"]`.
pub(crate) type Module = Vec<String>;

/// Each file of the program, by the module that it holds, and the modules whose items it uses.
#[derive(Debug)]
pub(crate) struct Imports {
    pub(crate) files: BTreeMap<Module, PathBuf>,
    pub(crate) uses: BTreeMap<Module, BTreeSet<Module>>,
}

/// The syntax of one file.
struct Source {
    module: Module,
    syntax: syn::File,
    /// The names that its `use` items bring in, with the paths they stand for.
    names: BTreeMap<String, Vec<String>>,
    /// Those of them that it passes on with `pub use`.
    passed_on: BTreeSet<String>,
    /// The modules that it declares for tests only.
    test_modules: Vec<Module>,
}

impl Imports {
    pub(crate) fn of(root: &Path) -> Self {
        let mut files = BTreeMap::new();
        collect(root, &mut Vec::new(), &mut files);
        let sources = files.iter().map(|(module, path)| {
            let text = std::fs::read_to_string(path).expect("a readable file");
            let syntax = syn::parse_file(&text).expect("Rust");
            Source::new(module.clone(), syntax, &files)
        });
        let sources: BTreeMap<Module, Source> = sources
            .map(|source| (source.module.clone(), source))
            .collect();
        let in_tests: BTreeSet<&Module> =
            sources.values().flat_map(|it| &it.test_modules).collect();
        let program = sources.values().filter(|source| {
            let module = &source.module;
            !(1..=module.len()).any(|length| in_tests.contains(&module[..length].to_vec()))
        });
        let uses = program.map(|source| {
            let mut paths = Paths::new(source, &files);
            paths.visit_file(&source.syntax);
            let used = paths.found.iter();
            let used = used.filter_map(|path| definer(path, &files, &sources));
            let used = used.filter(|module| *module != source.module).collect();
            (source.module.clone(), used)
        });
        let uses = uses.collect();
        Self { files, uses }
    }
}

impl Imports {
    /// The imports between the entries of one folder: its files, its folders, and its own `mod.rs`, here `mod`.
    pub(crate) fn between_entries(&self, folder: &Module) -> BTreeMap<String, BTreeSet<String>> {
        let entry = |module: &Module| {
            let inside = module.strip_prefix(folder.as_slice())?;
            Some(inside.first().map_or("mod", |name| name).to_owned())
        };
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (module, used) in &self.uses {
            let Some(from) = entry(module) else { continue };
            let to = used.iter().filter_map(entry).filter(|to| *to != from);
            arrows.entry(from.clone()).or_default().extend(to);
        }
        arrows
    }
}

fn collect(folder: &Path, module: &mut Module, files: &mut BTreeMap<Module, PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let name = name.into_owned();
        if path.is_dir() {
            module.push(name);
            collect(&path, module, files);
            module.pop();
        } else if path.extension().is_some_and(|end| end == "rs") {
            let mut module = module.clone();
            if !matches!(name.as_str(), "mod" | "lib") {
                module.push(name);
            }
            files.insert(module, path);
        }
    }
}

impl Source {
    fn new(module: Module, syntax: syn::File, files: &BTreeMap<Module, PathBuf>) -> Self {
        let mut source = Self {
            module,
            syntax: syn::File {
                shebang: None,
                attrs: Vec::new(),
                items: Vec::new(),
            },
            names: BTreeMap::new(),
            passed_on: BTreeSet::new(),
            test_modules: Vec::new(),
        };
        for item in &syntax.items {
            if let Item::Mod(item) = item
                && is_for_tests(&item.attrs)
            {
                let module = [&source.module[..], &[item.ident.to_string()]].concat();
                source.test_modules.push(module);
            }
            let Item::Use(item) = item else { continue };
            if is_for_tests(&item.attrs) {
                continue;
            }
            for (name, path) in leaves(&item.tree, &[]) {
                let path = absolute(&source.module, &path, files);
                if !matches!(item.vis, Visibility::Inherited) {
                    source.passed_on.insert(name.clone());
                }
                source.names.insert(name, path);
            }
        }
        source.syntax = syntax;
        source
    }
}

/// The names in a `use` tree, with the path of each.
fn leaves(tree: &UseTree, before: &[String]) -> Vec<(String, Vec<String>)> {
    let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, &with(&path.ident)),
        UseTree::Name(name) if name.ident == "self" => {
            let name = before.last().cloned().unwrap_or_default();
            vec![(name, before.to_vec())]
        }
        UseTree::Name(name) => vec![(name.ident.to_string(), with(&name.ident))],
        UseTree::Rename(name) => vec![(name.rename.to_string(), with(&name.ident))],
        UseTree::Glob(_) => vec![("*".to_owned(), before.to_vec())],
        UseTree::Group(group) => {
            let items = group.items.iter();
            items.flat_map(|tree| leaves(tree, before)).collect()
        }
    }
}

/// Resolves `crate`, `self`, `super` and the names of child modules. Empty for other crates.
fn absolute(module: &Module, path: &[String], files: &BTreeMap<Module, PathBuf>) -> Vec<String> {
    let mut base = module.clone();
    let mut rest = path;
    match path.first().map(String::as_str) {
        Some("crate") => {
            base.clear();
            rest = &path[1..];
        }
        Some("self") => rest = &path[1..],
        Some("super") => {
            while rest.first().is_some_and(|first| first == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        Some(first) => {
            base.push(first.to_owned());
            if !files.contains_key(&base) {
                return Vec::new();
            }
            rest = &path[1..];
        }
        None => {}
    }
    base.extend_from_slice(rest);
    base
}

/// The module that defines what a path names, through every `use` on the way.
fn definer(
    path: &[String],
    files: &BTreeMap<Module, PathBuf>,
    sources: &BTreeMap<Module, Source>,
) -> Option<Module> {
    let known = (1..=path.len()).rev().map(|length| path[..length].to_vec());
    let module = known
        .into_iter()
        .find(|module| files.contains_key(module))?;
    let source = &sources[&module];
    match path.get(module.len()) {
        Some(name) if source.names.contains_key(name) => {
            definer(&source.names[name], files, sources)
        }
        _ => Some(module),
    }
}

/// Finds the paths that a file uses, outside its tests.
struct Paths<'a> {
    source: &'a Source,
    files: &'a BTreeMap<Module, PathBuf>,
    found: Vec<Vec<String>>,
}

impl<'a> Paths<'a> {
    fn new(source: &'a Source, files: &'a BTreeMap<Module, PathBuf>) -> Self {
        let imported = source.names.iter();
        let imported = imported.filter(|(name, _)| !source.passed_on.contains(*name));
        Self {
            source,
            files,
            found: imported.map(|(_, path)| path.clone()).collect(),
        }
    }
}

impl<'a> Visit<'a> for Paths<'_> {
    fn visit_item_mod(&mut self, item: &'a ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    /// `pub(in path)` uses nothing.
    fn visit_visibility(&mut self, _: &'a Visibility) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        let segments = path.segments.iter();
        let segments: Vec<String> = segments.map(|part| part.ident.to_string()).collect();
        let path_of = |name: &String| self.source.names.get(name).cloned();
        let resolved = match path_of(&segments[0]) {
            Some(mut imported) => {
                imported.extend_from_slice(&segments[1..]);
                imported
            }
            None if segments.len() > 1 => absolute(&self.source.module, &segments, self.files),
            None => Vec::new(),
        };
        self.found.push(resolved);
        visit::visit_path(self, path);
    }
}

/// `#[cfg(test)]`, or `cfg` of more than that.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .parse_args::<syn::Path>()
                .is_ok_and(|condition| condition.is_ident("test"))
    })
}
