//! The example `single_page`, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{env, fs, path::Path, path::PathBuf};

use support::{Program, http::Client};

/// A copy of the assets, removed when dropped. A compressed file that is older than its original is not used, and which of
/// them a checkout has written first nobody knows.
struct Assets(PathBuf);

impl Assets {
    fn serve(name: &str) -> (Assets, Program, Client) {
        let copy = env::temp_dir().join(format!("single-page-{name}-{}", std::process::id()));
        fs::create_dir_all(&copy).expect("a folder is made");
        let originals = Path::new(env!("CARGO_MANIFEST_DIR")).join("single_page/assets");
        let mut names: Vec<_> =
            fs::read_dir(&originals).expect("the assets").map(|entry| entry.expect("an entry").file_name()).collect();
        // `app.js` before `app.js.br`.
        names.sort();
        for name in names {
            let content = fs::read(originals.join(&name)).expect("a file is read");
            fs::write(copy.join(&name), content).expect("a file is written");
        }
        let arguments = ["--port", "0", "--assets", copy.to_str().expect("a path of text")];
        let mut program = Program::start(env!("CARGO_BIN_EXE_single_page"), &arguments);
        let client = Client::connect(program.listening());
        (Assets(copy), program, client)
    }
}

impl Drop for Assets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const BROWSER: &str = "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8";

#[test]
fn every_address_of_the_page_is_the_page() {
    let (_assets, _program, mut client) = Assets::serve("pages");
    let page = client.get("/").body;
    assert!(page.contains("/app.js"));
    for address in ["/layers/web", "/nowhere/at/all"] {
        let answer = client.request("GET", address, &[BROWSER], "");
        assert_eq!((answer.status, answer.body == page), (200, true), "{address}");
    }
}

#[test]
fn what_is_no_page_and_not_there_is_404() {
    let (_assets, _program, mut client) = Assets::serve("missing");
    for (target, accept) in [("/missing.png", "Accept: image/*"), ("/api/nothing", BROWSER), ("/api/layers/x", BROWSER)]
    {
        assert_eq!(client.request("GET", target, &[accept], "").status, 404, "{target}");
    }
    assert_eq!(client.get("/api/layers").json()[0]["name"], "web");
}

#[test]
fn assets_come_compressed_and_are_not_sent_again() {
    let (_assets, _program, mut client) = Assets::serve("compressed");
    for (accepted, sent) in [("gzip, br", Some("br")), ("gzip", Some("gzip")), ("identity", None)] {
        let accept = format!("Accept-Encoding: {accepted}");
        let answer = client.request("HEAD", "/app.js", &[&accept], "");
        assert_eq!(answer.header("content-encoding"), sent, "{accepted}");
        assert_eq!(answer.header("content-type"), Some("text/javascript; charset=utf-8"), "{accepted}");
        let tag = answer.header("etag").expect("a tag").to_owned();
        let again = client.request("GET", "/app.js", &[&accept, &format!("If-None-Match: {tag}")], "");
        assert_eq!(again.status, 304, "{accepted}");
    }
}
