//! The walls between the layers, checked from the manifests, the dependency trees and the examples' own imports.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The four layers, lowest first: each may use the one before it in this list, and nothing else of the workspace.
const LAYERS: [&str; 4] = ["ioloop", "iostream", "httpserver", "web"];

/// What a layer's normal dependency tree may count, itself and procedural macros included.
const MOST_CRATES: [(&str, usize); 2] = [("ioloop", 18), ("web", 38)];

#[test]
fn each_layer_depends_on_the_one_below_alone() {
    let metadata = metadata();
    for (position, layer) in LAYERS.into_iter().enumerate() {
        let below: Vec<String> = position.checked_sub(1).map(|below| package(LAYERS[below])).into_iter().collect();
        assert_eq!(workspace_dependencies(&metadata, layer), below, "workspace dependencies of {layer}");
    }
}

#[test]
fn libraries_carry_the_short_name_of_their_folder() {
    let metadata = metadata();
    for layer in LAYERS {
        let described = described(&metadata, layer);
        let targets = described["targets"].as_array().expect("cargo lists targets");
        let library = targets.iter().find(|target| target["kind"][0] == "lib").expect("a layer has a library");
        assert_eq!(library["name"], layer);
        let manifest = Path::new(described["manifest_path"].as_str().expect("a path"));
        assert_eq!(manifest, root().join(layer).join("Cargo.toml"));
    }
}

#[test]
fn versions_move_in_lock_step() {
    let metadata = metadata();
    let versions: BTreeSet<&str> =
        LAYERS.iter().map(|layer| described(&metadata, layer)["version"].as_str().expect("a version")).collect();
    assert_eq!(versions.len(), 1, "{versions:?}");
}

#[test]
fn dependency_trees_stay_small() {
    for (layer, most) in MOST_CRATES {
        let crates = tree(layer);
        assert!(crates.len() <= most, "{layer} has {} crates, {most} are allowed: {crates:#?}", crates.len());
    }
}

#[test]
fn no_layer_pulls_in_tokio() {
    for layer in LAYERS {
        let crates = tree(layer);
        let tokio = crates.iter().find(|line| line.starts_with("tokio"));
        assert_eq!(tokio, None, "in the tree of {layer}");
    }
}

#[test]
fn ci_checks_every_feature_there_is() {
    let listed = fs::read_to_string(root().join(".ci/features")).expect(".ci/features is readable");
    let listed: Vec<Vec<&str>> =
        listed.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_whitespace().collect()).collect();
    let metadata = metadata();
    let declared: Vec<Vec<String>> = LAYERS
        .into_iter()
        .map(|layer| {
            let features = described(&metadata, layer)["features"].as_object().expect("cargo lists features");
            let names = features.keys().filter(|name| *name != "default").cloned();
            std::iter::once(package(layer)).chain(names).collect()
        })
        .collect();
    assert_eq!(listed, declared, ".ci/features must list the packages bottom-up with their features sorted by name");
}

#[test]
fn examples_name_their_layer_and_import_nothing_above_it() {
    let files = example_files();
    assert!(files.len() >= 6, "the examples were not found: {files:?}");
    for file in files {
        let source = fs::read_to_string(&file).expect("an example is readable");
        let named = source
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("//! Layer: "))
            .and_then(|line| line.strip_suffix('.'))
            .unwrap_or_else(|| panic!("{} must begin with `//! Layer: NAME.`", file.display()));
        let position = LAYERS
            .iter()
            .position(|layer| *layer == named)
            .unwrap_or_else(|| panic!("{} names the unknown layer {named}", file.display()));
        for above in &LAYERS[position + 1..] {
            assert!(!names_crate(&source, above), "{} shows {named} but names {above}", file.display());
        }
    }
}

#[test]
fn naming_a_crate_is_told_from_resembling_words() {
    for source in ["use web::Application;", "web::Error", "use {web as w};", "pub use web;", "= ::web::Result<()>"] {
        assert!(names_crate(source, "web"), "{source}");
    }
    for source in ["// the web is wide", "let cobweb::x = 1;", "webby::x", "self.web.go()", "\"web\""] {
        assert!(!names_crate(source, "web"), "{source}");
    }
}

/// Whether the source uses `name` as a crate: at the head of a path, or bare in a `use`.
fn names_crate(source: &str, name: &str) -> bool {
    source.lines().map(|line| line.split("//").next().unwrap_or_default()).any(|code| {
        code.match_indices(name).any(|(at, _)| {
            let (before, after) = (&code[..at], &code[at + name.len()..]);
            let whole_word = !before.ends_with(word) && !after.starts_with(word);
            let path_head = after.trim_start().starts_with("::");
            let imported = before.contains("use ") && !before.ends_with("::");
            whole_word && (path_head || imported)
        })
    })
}

fn word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Every Rust file under `src/bin`, those in sub-folders included.
fn example_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("examples/src/bin")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder of the examples is readable") {
            let path = entry.expect("a folder entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn metadata() -> Value {
    let json = cargo(&["metadata", "--no-deps", "--format-version", "1"]);
    serde_json::from_str(&json).expect("cargo metadata prints JSON")
}

fn described<'m>(metadata: &'m Value, layer: &str) -> &'m Value {
    let packages = metadata["packages"].as_array().expect("cargo lists packages");
    packages.iter().find(|listed| listed["name"] == *package(layer)).expect("every layer is a package of the workspace")
}

/// The normal dependencies of a layer that are packages of this workspace.
fn workspace_dependencies(metadata: &Value, layer: &str) -> Vec<String> {
    let dependencies = described(metadata, layer)["dependencies"].as_array().expect("cargo lists dependencies");
    dependencies
        .iter()
        // `kind` is null for a normal dependency; a path is only given for those of the workspace.
        .filter(|dependency| dependency["kind"].is_null() && dependency["path"].is_string())
        .map(|dependency| dependency["name"].as_str().expect("a dependency has a name").to_owned())
        .collect()
}

/// The crates a user of this layer builds, with default features, on this platform.
///
/// `cargo metadata` would not do: it unifies features over the workspace and counts other platforms.
fn tree(layer: &str) -> BTreeSet<String> {
    let printed = cargo(&["tree", "--package", &package(layer), "--edges", "normal", "--prefix", "none"]);
    printed.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).filter(|line| !line.is_empty()).collect()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        // The build of this very test has resolved and fetched everything: no network, no change to the lock file.
        .args(["--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

fn package(layer: &str) -> String {
    format!("waterspout-{layer}")
}

fn root() -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"));
    examples.parent().expect("the examples lie in the workspace").to_owned()
}
