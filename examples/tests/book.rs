//! The book is whole: every page is in the table of contents, is compiled, and links to pages that exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_page_is_in_the_table_of_contents() {
    let summary = read("docs/src/SUMMARY.md");
    for page in pages() {
        assert!(summary.contains(&format!("]({page})")), "{page} is missing in SUMMARY.md");
    }
}

#[test]
fn the_code_of_every_page_is_compiled() {
    let library = read("examples/src/lib.rs");
    for page in pages() {
        assert!(library.contains(&format!("\"../../docs/src/{page}\"")), "{page} is missing in examples/src/lib.rs");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let pages = pages();
    for page in pages.iter().map(String::as_str).chain(["SUMMARY.md"]) {
        for link in read(&format!("docs/src/{page}")).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.ends_with(".md") {
                assert!(pages.iter().any(|page| page == target), "{page} links to {target}");
            }
        }
    }
}

/// A block without a language is taken for Rust and compiled; one that is meant for something else has to say so.
#[test]
fn every_code_block_names_its_language() {
    let languages = ["html", "rust", "rust,no_run", "text", "sh", "toml", "ini", "jinja", "python"];
    for page in pages() {
        let text = read(&format!("docs/src/{page}"));
        let fences = text.lines().filter(|line| line.starts_with("```"));
        for opening in fences.step_by(2) {
            let language = opening.trim_start_matches('`');
            // Another framework's code, of a crate that is too large to be compiled with the tests.
            let foreign = page == "coming-from-actix-web.md" && language == "rust,ignore";
            assert!(languages.contains(&language) || foreign, "{page} has a block {opening}");
        }
    }
}

/// The files of `docs/src` except the table of contents.
fn pages() -> Vec<String> {
    let folder = fs::read_dir(root().join("docs/src")).expect("the book's folder is readable");
    let names = folder.map(|entry| entry.expect("a folder entry").file_name().to_string_lossy().into_owned());
    let pages: Vec<String> = names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect();
    assert!(pages.len() >= 10, "the pages were not found: {pages:?}");
    pages
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"));
    examples.parent().expect("the examples lie in the workspace").to_owned()
}
