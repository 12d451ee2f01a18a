//! The example `uploads`, over the wire.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{env, fs, net::SocketAddr, path::PathBuf};

use serde_json::json;
use support::{
    Program,
    http::{Answer, Client},
};

/// A folder for uploads, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn serve(name: &str) -> (Folder, Program, SocketAddr) {
        let path = env::temp_dir().join(format!("uploads-{name}-{}", std::process::id()));
        let arguments = ["--port", "0", "--folder", path.to_str().expect("a path of text")];
        let mut program = Program::start(env!("CARGO_BIN_EXE_uploads"), &arguments);
        let address = program.listening();
        (Folder(path), program, address)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("the folder is there");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=line";

fn form(files: &[(&str, &str)]) -> String {
    let part = |(name, content): &(&str, &str)| {
        format!("--line\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n")
    };
    files.iter().map(part).collect::<String>() + "--line--\r\n"
}

fn upload(client: &mut Client, files: &[(&str, &str)]) -> Answer {
    client.request("POST", "/files", &[MULTIPART], &form(files))
}

#[test]
fn files_are_kept_listed_and_downloaded() {
    let (_folder, _program, address) = Folder::serve("kept");
    let mut client = Client::connect(address);
    let large = "x".repeat(700_000);
    let answer = upload(&mut client, &[("one.txt", "1"), ("größe.bin", &large)]);
    assert_eq!(answer.status, 201, "{}", answer.body);
    let files = json!([{ "name": "größe.bin", "bytes": 700_000 }, { "name": "one.txt", "bytes": 1 }]);
    assert_eq!(client.get("/files").json(), files);
    let download = client.get("/files/gr%C3%B6%C3%9Fe.bin");
    assert_eq!((download.status, download.body.len()), (200, 700_000));
    let disposition = download.header("content-disposition").expect("it is a download");
    assert!(disposition.contains("filename*=UTF-8''gr%C3%B6%C3%9Fe.bin"), "{disposition}");
}

#[test]
fn a_file_is_not_replaced() {
    let (folder, _program, address) = Folder::serve("taken");
    let mut client = Client::connect(address);
    assert_eq!(upload(&mut client, &[("a.txt", "first")]).status, 201);
    assert_eq!(upload(&mut client, &[("a.txt", "second")]).status, 409);
    assert_eq!(Client::connect(address).get("/files/a.txt").body, "first");
    assert_eq!(folder.names(), ["a.txt"]);
}

#[test]
fn names_do_not_lead_out_of_the_folder() {
    let (folder, _program, address) = Folder::serve("names");
    let mut client = Client::connect(address);
    assert_eq!(upload(&mut client, &[("../../escaped.txt", "x"), (".hidden", "y")]).status, 201);
    assert_eq!(folder.names(), ["escaped.txt", "hidden"]);
    for name in ["..%2F..%2Fetc%2Fpasswd", ".upload-1", "%2Fetc%2Fpasswd", "nothing"] {
        assert_eq!(client.get(&format!("/files/{name}")).status, 404, "{name}");
    }
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let (folder, program, address) = Folder::serve("broken");
    let mut client = Client::connect(address);
    // It runs, and knows what the signal means.
    assert_eq!(client.get("/files").status, 200);
    let whole = form(&[("a.txt", &"x".repeat(600_000))]);
    let head = format!("POST /files HTTP/1.1\r\nHost: test\r\n{MULTIPART}\r\nContent-Length: {}\r\n\r\n", whole.len());
    client.raw(&head);
    client.raw(&whole[..500_000]);
    drop(client);
    // The end of the program waits for what is going on.
    program.terminate();
    assert!(program.end().success());
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}
