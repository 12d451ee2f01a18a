//! Every link in a Markdown file of the repository works where the file is shown: by a code host, by the book and by
//! rustdoc. So a link is a file that is there, a heading that is there, or an address, and never a path of Rust.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

#[test]
fn every_relative_link_leads_to_a_file_and_a_heading_that_are_there() {
    let mut broken = Vec::new();
    let mut links = 0;
    for file in markdown_files() {
        for link in links_of(&read(&file)) {
            links += 1;
            if let Err(reason) = check(&file, &link) {
                broken.push(format!("{}: {link}: {reason}", file.display()));
            }
        }
    }
    assert!(links > 30, "only {links} links were found");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_link_is_one_that_only_rustdoc_understands() {
    let mut found = Vec::new();
    for file in markdown_files() {
        for name in bare_code_links(&read(&file)) {
            found.push(format!("{}: [{name}] is a link to rustdoc alone", file.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn check(file: &Path, link: &str) -> Result<(), String> {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| link.starts_with(scheme)) {
        return Ok(());
    }
    if link.contains("::") {
        return Err("a path of Rust".to_owned());
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let target = if path.is_empty() { file.to_owned() } else { resolve(file, path)? };
    if !root().join(&target).exists() {
        return Err(format!("{} is not there", target.display()));
    }
    match anchor {
        None => Ok(()),
        Some(anchor) if anchors_of(&read(&target)).contains(anchor) => Ok(()),
        Some(anchor) => Err(format!("{} has no heading #{anchor}", target.display())),
    }
}

/// Where a link of `file` leads, from the root of the repository. Links out of the repository lead nowhere.
fn resolve(file: &Path, path: &str) -> Result<PathBuf, String> {
    let mut target = file.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => target.push(name),
            Component::CurDir => {}
            Component::ParentDir if target.pop() => {}
            _ => return Err("it leads out of the repository".to_owned()),
        }
    }
    Ok(target)
}

/// The targets of `[text](target)` and `[name]: target`, outside of code.
fn links_of(text: &str) -> Vec<String> {
    let prose = without_code(text);
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let references =
        prose.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ").map(|(_, target)| target));
    inline.chain(references).map(|target| target.trim().to_owned()).collect()
}

/// The code in brackets that is no link's text: rustdoc makes a link of it, and everything else shows the brackets.
fn bare_code_links(text: &str) -> Vec<String> {
    let prose = without_blocks(text);
    let mut found = Vec::new();
    for rest in prose.split("[`").skip(1) {
        if let Some((name, after)) = rest.split_once("`]")
            && !name.contains('`')
            && !after.starts_with(['(', '[', ':'])
        {
            found.push(name.to_owned());
        }
    }
    found
}

/// As code hosts make them: in lower case, blanks as hyphens, without punctuation. Of equal ones only the first is known.
fn anchors_of(text: &str) -> BTreeSet<String> {
    let blocks = without_blocks(text);
    let headings = blocks.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor_of(line.trim_start_matches('#').trim())).collect()
}

fn anchor_of(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The lines outside of fenced blocks.
fn without_blocks(text: &str) -> String {
    let mut in_block = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The same without what stands between backticks.
fn without_code(text: &str) -> String {
    without_blocks(text).split('`').step_by(2).collect()
}

/// All Markdown files that belong to the repository, by their paths from its root.
fn markdown_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect(Path::new(""), &mut files);
    assert!(files.len() >= 20, "the files were not found: {files:?}");
    for layer in ["ioloop", "iostream", "httpserver", "web"] {
        assert!(files.contains(&Path::new(layer).join("README.md")), "{layer}");
    }
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).expect("a folder of the repository is readable") {
        let name = entry.expect("a folder entry").file_name();
        let path = folder.join(&name);
        let name = name.to_string_lossy();
        // What is built and what is hidden are no part of the sources.
        if name == "target" || name.starts_with('.') {
            continue;
        }
        if root().join(&path).is_dir() {
            collect(&path, files);
        } else if name.ends_with(".md") {
            files.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository").to_owned()
}

#[test]
fn faults_of_every_kind_are_found() {
    let file = Path::new("ioloop/README.md");
    assert!(check(file, "../README.md").is_ok());
    assert!(check(file, "#one-turn").is_ok());
    assert!(check(file, "../docs/src/ioloop.md#what-it-costs").is_ok());
    for broken in ["../NOTHING.md", "#no-such-heading", "../README.md#no-such-heading", "IOLoop::current", "../../x"] {
        assert!(check(file, broken).is_err(), "{broken}");
    }
    let text = "[`A`], [`b`](c.md), `[d](e)`, [f](g)\n```\n[h](i) [`j`]\n```\n[k]: l.md\n";
    assert_eq!(links_of(text), ["c.md", "g", "l.md"]);
    assert_eq!(bare_code_links(text), ["A"]);
    assert_eq!(anchor_of("`run_once`, and what it's for"), "run_once-and-what-its-for");
}
