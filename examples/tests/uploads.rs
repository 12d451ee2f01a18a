//! The example `uploads`: forms with files, and an end in the middle of one.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;
// The program's own `main` is called by the last test alone, in a process of its own.
#[path = "../src/bin/uploads.rs"]
#[allow(dead_code)]
mod uploads;

use std::{env, fs, path::PathBuf};

use serde_json::json;
use support::{Program, http};
use web::testing::{self, MultipartForm, TestClient, TestResponse};

/// A folder for uploads, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = env::temp_dir().join(format!("uploads-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder is made");
        Folder(path)
    }

    fn client(&self) -> TestClient {
        TestClient::new(uploads::application(self.0.clone()))
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

async fn upload(client: &TestClient, files: &[(&str, &str)]) -> TestResponse {
    let form = files.iter().fold(MultipartForm::new(), |form, (name, content)| {
        form.file("file", name, "application/octet-stream", content)
    });
    client.post("/files").multipart(&form).send().await
}

#[test]
fn files_are_kept_listed_and_downloaded() {
    let folder = Folder::new("kept");
    testing::run(async {
        let client = folder.client();
        let large = "x".repeat(700_000);
        upload(&client, &[("one.txt", "1"), ("größe.bin", &large)]).await.assert_status(201);
        let files = json!([{ "name": "größe.bin", "bytes": 700_000 }, { "name": "one.txt", "bytes": 1 }]);
        client.get("/files").send().await.assert_json(&files);
        let download = client.get("/files/gr%C3%B6%C3%9Fe.bin").send().await;
        download.assert_status(200).assert_text(large);
        let disposition = download.header("content-disposition").expect("it is a download");
        assert!(disposition.contains("filename*=UTF-8''gr%C3%B6%C3%9Fe.bin"), "{disposition}");
    });
}

#[test]
fn a_file_is_not_replaced() {
    let folder = Folder::new("taken");
    testing::run(async {
        let client = folder.client();
        upload(&client, &[("a.txt", "first")]).await.assert_status(201);
        upload(&client, &[("a.txt", "second")]).await.assert_status(409);
        client.another().get("/files/a.txt").send().await.assert_text("first");
        assert_eq!(folder.names(), ["a.txt"]);
    });
}

#[test]
fn names_do_not_lead_out_of_the_folder() {
    let folder = Folder::new("names");
    testing::run(async {
        let client = folder.client();
        upload(&client, &[("../../escaped.txt", "x"), (".hidden", "y")]).await.assert_status(201);
        assert_eq!(folder.names(), ["escaped.txt", "hidden"]);
        for name in ["..%2F..%2Fetc%2Fpasswd", ".upload-1", "%2Fetc%2Fpasswd", "nothing"] {
            client.get(&format!("/files/{name}")).send().await.assert_status(404);
        }
    });
}

#[test]
fn an_upload_that_breaks_off_leaves_nothing() {
    let folder = Folder::new("broken");
    let path = folder.0.to_str().expect("a path of text");
    let mut program = Program::start(env!("CARGO_BIN_EXE_uploads"), &["--port", "0", "--folder", path]);
    let mut client = http::Client::connect(program.listening());
    // It runs, and knows what the signal means.
    assert_eq!(client.get("/files").status, 200);
    let content = "x".repeat(600_000);
    let whole = format!(
        "--line\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n{content}\r\n--line--\r\n"
    );
    let kind = "Content-Type: multipart/form-data; boundary=line";
    let head = format!("POST /files HTTP/1.1\r\nHost: test\r\n{kind}\r\nContent-Length: {}\r\n\r\n", whole.len());
    client.raw(&head);
    client.raw(&whole[..500_000]);
    drop(client);
    // The end of the program waits for what is going on.
    program.terminate();
    assert!(program.end().success());
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}
