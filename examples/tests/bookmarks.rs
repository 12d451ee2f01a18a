//! The example `bookmarks`: a database that blocks.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{env, fs, path::PathBuf};

use serde_json::json;
use support::{Program, http::Client};

/// A place for a database, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = env::temp_dir().join(format!("bookmarks-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder is made");
        Folder(path)
    }

    fn serve(&self) -> (Program, Client) {
        let database = self.0.join("test.sqlite");
        let arguments = ["--port", "0", "--database", database.to_str().expect("a path of text")];
        let mut program = Program::start(env!("CARGO_BIN_EXE_bookmarks"), &arguments);
        let client = Client::connect(program.listening());
        (program, client)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn add(client: &mut Client, form: &str) -> u16 {
    client.request("POST", "/bookmarks", &["Content-Type: application/x-www-form-urlencoded"], form).status
}

#[test]
fn bookmarks_are_found_by_the_words_of_their_titles_and_outlive_the_program() {
    let folder = Folder::new("found");
    let (program, mut client) = folder.serve();
    assert_eq!(add(&mut client, "url=https://www.rust-lang.org&title=The+Rust+language"), 303);
    assert_eq!(add(&mut client, "url=https://www.tornadoweb.org&title=Tornado+web+server"), 303);
    let rust = json!([{ "id": 1, "url": "https://www.rust-lang.org", "title": "The Rust language" }]);
    assert_eq!(client.get("/bookmarks?words=language+rust").json(), rust);
    assert_eq!(client.get("/bookmarks").json()[0]["id"], 2);
    program.terminate();
    assert!(program.end().success());

    let (_program, mut client) = folder.serve();
    assert_eq!(client.get("/bookmarks?words=rust").json(), rust);
}

#[test]
fn what_is_not_a_bookmark_is_refused() {
    let folder = Folder::new("refused");
    let (_program, mut client) = folder.serve();
    assert_eq!(add(&mut client, "url=javascript:alert(1)&title=x"), 400);
    assert_eq!(add(&mut client, "url=https://example.org"), 400);
    assert_eq!(add(&mut client, "url=https://example.org&title=one"), 303);
    assert_eq!(add(&mut client, "url=https://example.org&title=two"), 409);
}

#[test]
fn words_are_text_and_not_a_query() {
    let folder = Folder::new("text");
    let (_program, mut client) = folder.serve();
    assert_eq!(add(&mut client, "url=https://example.org&title=one+%22two%22+NOT+three"), 303);
    for words in ["%22two", "NOT", "one+OR+nothing", "two*", "title:one", "%22"] {
        assert_eq!(client.get(&format!("/bookmarks?words={words}")).status, 200, "{words}");
    }
    assert_eq!(client.get("/bookmarks?words=one+not+three").json()[0]["id"], 1);
}
