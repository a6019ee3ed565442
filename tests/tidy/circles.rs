//! No two files of a module import each other, not even round a corner. A child that names what the
//! file of its parent defines is tied to that file; what that file only hands on (`pub use`) ties
//! the child to where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use crate::layers::imports;
use crate::source::{Source, words};
use crate::sources;

/// The files of the product by the path of the module that each is: `rooms::table`.
struct Tree<'a> {
    files: BTreeMap<String, &'a Source>,
    /// What each file brings into its own namespace: the name, and the path that it stands for.
    names: BTreeMap<String, Vec<(String, String)>>,
}

/// `src/rooms/table.rs` is `rooms::table`, `src/rooms/mod.rs` is `rooms`.
fn module_path(path: &str) -> String {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.replace('/', "::")
}

impl<'a> Tree<'a> {
    fn new(sources: &'a [Source]) -> Self {
        let is_product = |source: &&Source| {
            let path = source.path.as_str();
            path.starts_with("src/")
                && !source.product.is_empty()
                && !matches!(path, "src/lib.rs" | "src/main.rs")
        };
        let files: BTreeMap<String, &Source> = sources
            .iter()
            .filter(is_product)
            .map(|source| (module_path(&source.path), source))
            .collect();
        let mut tree = Self { files, names: BTreeMap::new() };
        for (module, source) in &tree.files {
            let mut names = Vec::new();
            for (_, path) in imports(&source.product) {
                let absolute = tree.absolute(module, &path);
                if let Some((_, name)) = absolute.rsplit_once("::") {
                    names.push((name.to_owned(), absolute.clone()));
                }
            }
            tree.names.insert(module.clone(), names);
        }
        tree
    }

    /// `path` as it stands in `module`, from the root of the crate; foreign ones stay as they are.
    fn absolute(&self, module: &str, path: &str) -> String {
        let mut segments: Vec<&str> = path.split("::").collect();
        let mut base: Vec<&str> = module.split("::").collect();
        match segments[0] {
            "crate" => base.clear(),
            "self" => {}
            "super" => {
                base.pop();
            }
            // A child may be named without `self`.
            first if self.files.contains_key(&format!("{module}::{first}")) => {
                segments.insert(0, "self");
            }
            _ => return path.to_owned(),
        }
        segments.remove(0);
        while segments.first() == Some(&"super") {
            base.pop();
            segments.remove(0);
        }
        if segments.last() == Some(&"self") {
            segments.pop();
        }
        base.into_iter().chain(segments).collect::<Vec<_>>().join("::")
    }

    /// The module whose file defines what `path` names, if it is one of this crate.
    fn home(&self, path: &str, depth: usize) -> Option<&str> {
        let mut module = path;
        while !self.files.contains_key(module) {
            module = module.rsplit_once("::")?.0;
        }
        let rest = path[module.len()..].trim_start_matches("::");
        let name = rest.split("::").next().filter(|name| !name.is_empty());
        let handed_on = name.and_then(|name| {
            let names = self.names.get(module)?;
            names.iter().find(|(known, _)| known == name).map(|(_, path)| path.as_str())
        });
        match handed_on {
            Some(path) if depth < 8 => self.home(path, depth + 1),
            _ => self.files.get_key_value(module).map(|(module, _)| module.as_str()),
        }
    }

    /// The modules of the crate that `module` takes something from.
    fn uses(&self, module: &str) -> BTreeSet<&str> {
        let source = self.files[module];
        let inline = ["crate::", "super::", "self::"].into_iter().flat_map(|head| {
            words(&source.product, head).map(|at| {
                let path = source.product[at..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':'));
                path.collect::<String>().trim_end_matches(':').to_owned()
            })
        });
        let imported = imports(&source.product).into_iter().map(|(_, path)| path);
        imported
            .chain(inline)
            .filter_map(|path| self.home(&self.absolute(module, &path), 0))
            .filter(|used| *used != module)
            .collect()
    }

    /// The files from which a way leads back to themselves, each with the way's next file.
    fn circles(&self) -> Vec<String> {
        let uses: BTreeMap<&str, BTreeSet<&str>> =
            self.files.keys().map(|module| (module.as_str(), self.uses(module))).collect();
        let reaches = |from: &str, to: &str| {
            let mut seen = BTreeSet::from([from]);
            let mut next = vec![from];
            while let Some(module) = next.pop() {
                for used in &uses[module] {
                    if *used == to {
                        return true;
                    }
                    if seen.insert(used) {
                        next.push(used);
                    }
                }
            }
            false
        };
        let arrows = uses.iter().flat_map(|(user, used)| used.iter().map(move |to| (*user, *to)));
        arrows
            .filter(|(user, used)| reaches(used, user))
            .map(|(user, used)| format!("{user} uses {used}, which leads back to it"))
            .collect()
    }
}

#[test]
fn no_files_import_each_other() {
    let read = |files: &[(&str, &str)]| -> Vec<String> {
        let sources: Vec<Source> =
            files.iter().map(|(path, text)| Source::new(path, text)).collect();
        Tree::new(&sources).circles()
    };
    let samples: [&[(&str, &str)]; 4] = [
        &[("src/a/b.rs", "use super::c::C; struct B;"), ("src/a/c.rs", "use super::b::B;")],
        &[
            ("src/a/mod.rs", "mod b; use b::B; struct A;"),
            ("src/a/b.rs", "use super::A; struct B;"),
        ],
        &[
            ("src/a/mod.rs", "mod b; fn f() { self::b::g() }"),
            ("src/a/b.rs", "fn g(_: super::A) {}"),
        ],
        &[
            ("src/a/mod.rs", "mod b; mod c; pub use b::B;"),
            ("src/a/b.rs", "use super::c::C; pub struct B;"),
            ("src/a/c.rs", "use super::B; pub struct C;"),
        ],
    ];
    for sample in samples {
        assert!(!read(sample).is_empty(), "the rule can't fail: it accepts {sample:?}");
    }
    let face: &[(&str, &str)] = &[
        ("src/a/mod.rs", "mod b; mod c; pub use b::B; pub use c::C;"),
        ("src/a/b.rs", "pub struct B;"),
        ("src/a/c.rs", "use super::B; pub struct C;"),
    ];
    assert_eq!(read(face), Vec::<String>::new());
    let circles = Tree::new(&sources()).circles();
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}
