//! A process that has no descriptors left, and a disk that takes no more: errors that say so, nothing left behind, and a
//! server that goes on. Alone in its process, because the limits are the process's; one case after the other.

#[path = "util/scratch.rs"]
mod scratch;

use std::{
    fs::{self, File},
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
};

use nix::sys::{
    resource::{Resource, getrlimit, rlim_t, setrlimit},
    signal::{SigSet, SigmaskHow, Signal},
};
use scratch::Scratch;
use web::{
    Application, Exchange, FormLimits, StaticFiles, StatusCode, TempFile,
    templates::{Templates, context},
    testing::{self, Level, LogCapture, MultipartForm, TestClient, capture_log},
};

/// Has one case run at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many descriptors the process has open.
fn descriptors() -> usize {
    // The directory is one itself.
    fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// All descriptors that the process may have, but for a few. The others are free again when this is dropped.
struct NoneLeft(#[expect(dead_code, reason = "they are kept open")] Vec<File>, rlim_t);

impl NoneLeft {
    fn but(free: usize) -> NoneLeft {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 256.min(soft), hard).unwrap();
        let mut used: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
        used.truncate(used.len() - free);
        NoneLeft(used, soft)
    }
}

impl Drop for NoneLeft {
    fn drop(&mut self) {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, self.1, hard).unwrap();
    }
}

/// Files may not become longer than this: what a full disk is to a program, an error of `write`. The threads that write
/// inherit from this one that the signal which comes with it is blocked.
struct FullDisk(rlim_t);

impl FullDisk {
    fn at(bytes: u64) -> FullDisk {
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGXFSZ);
        signals.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
        let (soft, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, bytes, hard).unwrap();
        FullDisk(soft)
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, self.0, hard).unwrap();
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts a page of 500 that keeps the reason to itself, and the reason in the log.
async fn assert_broken(client: &TestClient, target: &str, log: &LogCapture, reason: &str) {
    let response = client.get(target).send().await;
    response.assert_status(StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!response.text().contains(reason), "{response}");
    log.expect(Level::Error, "web", reason);
    log.expect(Level::Error, "web::access", "500 GET");
}

const NO_MORE: &str = "oo many open files";

/// Keeps what it is sent in a directory.
fn uploads(directory: &Path) -> Application {
    let (whole, parts) = (directory.to_owned(), directory.to_owned());
    Application::new()
        .put("/whole", async move |exchange: &mut Exchange| {
            let mut file = TempFile::create(&whole).await?;
            while let Some(piece) = exchange.chunk().await? {
                file.write(piece).await?;
            }
            file.persist(whole.join("kept")).await?;
            exchange.write_text("kept");
            Ok(())
        })
        .post("/form", async move |exchange: &mut Exchange| {
            let mut form = exchange.multipart(FormLimits::default())?;
            while let Some(mut part) = form.next_part().await? {
                let file = TempFile::receive(&mut part, &parts).await?;
                file.persist(parts.join("kept")).await?;
            }
            exchange.write_text("kept");
            Ok(())
        })
}

#[test]
fn an_upload_without_a_descriptor_is_500_and_leaves_nothing() {
    let _alone = alone();
    let directory = Scratch::new();
    testing::run(async {
        let log = capture_log();
        let client = TestClient::new(uploads(directory.as_ref()));
        client.put("/whole").body("first").send().await.assert_text("kept");
        fs::remove_file(directory.path("kept")).unwrap();
        let open = descriptors();
        {
            let _none = NoneLeft::but(0);
            client.put("/whole").body("x".repeat(10)).send().await.assert_status(500);
            log.expect(Level::Error, "web", NO_MORE);
            let form = MultipartForm::new().file("file", "a", "text/plain", "x".repeat(300_000));
            client.post("/form").multipart(&form).send().await.assert_status(500);
            log.expect(Level::Error, "web", NO_MORE);
        }
        assert_eq!((descriptors(), names(directory.as_ref())), (open, Vec::new()));
        client.put("/whole").body("second").send().await.assert_text("kept");
    });
}

#[test]
fn an_upload_that_has_its_file_needs_no_further_descriptor() {
    let _alone = alone();
    let directory = Scratch::new();
    testing::run(async {
        let client = TestClient::new(uploads(directory.as_ref()));
        let (mut upload, answer) = client.put("/whole").upload();
        upload.write("x".repeat(300_000)).await;
        testing::settle().await;
        let _none = NoneLeft::but(0);
        upload.write("y".repeat(300_000)).await;
        upload.finish();
        answer.await.assert_text("kept");
        assert_eq!(fs::metadata(directory.path("kept")).unwrap().len(), 600_000);
    });
}

#[test]
fn an_upload_to_a_full_disk_is_500_and_leaves_nothing() {
    let _alone = alone();
    let directory = Scratch::new();
    testing::run(async {
        let full = FullDisk::at(400_000);
        let log = capture_log();
        let client = TestClient::new(uploads(directory.as_ref()));
        let open = descriptors();
        client.put("/whole").body("x".repeat(400_000)).send().await.assert_text("kept");
        fs::remove_file(directory.path("kept")).unwrap();
        // At the first step, in the middle, and when it is given its name.
        for length in [2_000_000, 700_000, 400_001] {
            let response = client.put("/whole").body("x".repeat(length)).try_send().await;
            assert!(response.is_ok_and(|response| response.status() == 500), "{length}");
            log.expect(Level::Error, "web", "File too large");
        }
        let form = MultipartForm::new().file("file", "a", "text/plain", "x".repeat(700_000));
        client.post("/form").multipart(&form).send().await.assert_status(500);
        log.expect(Level::Error, "web", "File too large");
        // A thread removes them.
        web::run_in_executor(|| ()).await.unwrap();
        assert_eq!((descriptors(), names(directory.as_ref())), (open, Vec::new()));
        drop(full);
        client.put("/whole").body("x".repeat(400_001)).send().await.assert_text("kept");
    });
}

#[test]
fn a_directory_that_takes_no_files_is_500_with_the_reason_in_the_log() {
    let _alone = alone();
    let directory = Scratch::new().with("a-file", "");
    testing::run(async {
        let log = capture_log();
        for (path, reason) in [
            (directory.path("missing"), "No such file or directory"),
            (directory.path("a-file"), "Not a directory"),
            // Of the kernel, which lets nobody create a file there.
            ("/proc/self".into(), "No such file or directory"),
        ] {
            let client = TestClient::new(uploads(&path));
            client.put("/whole").body("x").send().await.assert_status(500);
            log.expect(Level::Error, "web", reason);
        }
    });
}

#[test]
fn a_file_that_cannot_be_opened_for_want_of_descriptors_is_500() {
    let _alone = alone();
    let directory = Scratch::new().with("page.txt", "the page").with("large.bin", "x".repeat(300_000));
    let path = directory.path("page.txt");
    testing::run(async {
        let log = capture_log();
        let application = Application::new()
            .get("/sent", async move |exchange: &mut Exchange| exchange.send_file(&path))
            .static_files("/static", &directory)
            .unwrap();
        let client = TestClient::new(application);
        client.get("/sent").send().await.assert_text("the page");
        let open = descriptors();
        {
            let none = NoneLeft::but(0);
            log.take();
            assert_broken(&client, "/sent", &log, NO_MORE).await;
            assert_broken(&client, "/static/page.txt", &log, NO_MORE).await;
            assert_broken(&client, "/static/", &log, NO_MORE).await;
            assert_broken(&client, "/static/missing.txt", &log, NO_MORE).await;
            log.assert_quiet(Level::Info);
            drop(none);
        }
        for (target, length) in [("/sent", 8), ("/static/page.txt", 8), ("/static/large.bin", 300_000)] {
            assert_eq!(client.get(target).send().await.bytes().len(), length, "{target}");
        }
        assert_eq!(descriptors(), open);
    });
}

#[test]
fn a_file_that_is_being_sent_needs_no_further_descriptor() {
    let _alone = alone();
    let directory = Scratch::new().with("large.bin", "x".repeat(3_000_000));
    testing::run(async {
        let client = TestClient::new(Application::new().static_files("/", &directory).unwrap());
        let mut stream = client.get("/large.bin").stream().await;
        stream.chunk().await.unwrap();
        let _none = NoneLeft::but(0);
        assert_eq!(stream.finish().await.bytes().len(), 3_000_000);
    });
}

#[test]
fn with_one_descriptor_left_a_file_is_sent_without_its_compressed_sibling() {
    let _alone = alone();
    let directory = Scratch::new().with("app.css", "p { color: red }").with("app.css.gz", "not looked into");
    testing::run(async {
        let files = StaticFiles::new(&directory).unwrap().precompressed(true);
        let client = TestClient::new(Application::new().static_handler("/", files)).header("Accept-Encoding", "gzip");
        client.get("/app.css").send().await.assert_header("content-encoding", "gzip");
        let open = descriptors();
        {
            let _none = NoneLeft::but(1);
            let response = client.get("/app.css").send().await;
            response.assert_status(200).assert_no_header("content-encoding").assert_text("p { color: red }");
        }
        assert_eq!(descriptors(), open);
        client.get("/app.css").send().await.assert_header("content-encoding", "gzip");
    });
}

#[test]
fn a_list_of_a_directory_that_cannot_be_read_is_500() {
    let _alone = alone();
    let directory = Scratch::new().with("sub/a.txt", "a");
    testing::run(async {
        let log = capture_log();
        let files = StaticFiles::new(&directory).unwrap().list_directories(true);
        let client = TestClient::new(Application::new().static_handler("/", files));
        client.get("/sub/").send().await.assert_contains("a.txt");
        let open = descriptors();
        log.take();
        for free in [0, 1] {
            let _none = NoneLeft::but(free);
            let response = client.get("/sub/").send().await;
            if response.status() != 200 {
                response.assert_status(500);
                log.expect(Level::Error, "web", NO_MORE);
            }
        }
        assert_eq!(descriptors(), open);
        client.get("/sub/").send().await.assert_contains("a.txt");
    });
}

#[test]
fn a_template_that_cannot_be_read_is_500_and_is_read_later() {
    let _alone = alone();
    let directory = Scratch::new()
        .with("known.html", "known {{ name }}")
        .with("new.html", "{% extends 'base.html' %}{% block body %}new {{ name }}{% endblock %}")
        .with("base.html", "<{% block body %}{% endblock %}>");
    testing::run(async {
        for reloads in [false, true] {
            let log = capture_log();
            let render = async |exchange: &mut Exchange| {
                let name: String = exchange.path("name")?;
                exchange.render(&name, context! { name => "ada" })
            };
            let templates = Templates::from_directory(&directory).unwrap().reload(reloads);
            let client = TestClient::new(Application::new().get("/{name}", render).templates(templates));
            client.get("/known.html").send().await.assert_text("known ada");
            let open = descriptors();
            log.take();
            {
                let _none = NoneLeft::but(0);
                assert_broken(&client, "/new.html", &log, "cannot read template \"new.html\"").await;
                match reloads {
                    true => assert_broken(&client, "/known.html", &log, NO_MORE).await,
                    false => drop(client.get("/known.html").send().await.assert_text("known ada")),
                }
            }
            {
                // Enough for the one, and none for what it extends.
                let _none = NoneLeft::but(1);
                client.get("/new.html").send().await;
            }
            client.get("/known.html").send().await.assert_text("known ada");
            client.get("/new.html").send().await.assert_text("<new ada>");
            assert_eq!(descriptors(), open);
        }
    });
}

#[test]
fn directories_that_cannot_be_opened_are_errors_that_name_them() {
    let _alone = alone();
    let directory = Scratch::new().with("a.html", "a");
    let opened = Templates::from_directory(&directory).unwrap();
    let open = descriptors();
    let none = NoneLeft::but(0);
    let files = StaticFiles::new(&directory).unwrap_err().to_string();
    let templates = Templates::from_directory(&directory).unwrap_err().to_string();
    let checked = opened.check().unwrap_err().to_string();
    // A directory for the name `.` below it is one more.
    drop(none);
    let none = NoneLeft::but(1);
    let second = StaticFiles::new(&directory).unwrap_err().to_string();
    drop(none);
    for text in [&files, &templates, &second] {
        assert!(text.contains(NO_MORE) && text.contains("waterspout-scratch"), "{text}");
    }
    assert!(checked.contains(NO_MORE), "{checked}");
    assert_eq!(descriptors(), open);
}

#[test]
fn in_debug_mode_pages_come_without_reloading_when_nothing_can_be_watched() {
    let _alone = alone();
    let directory = Scratch::new().with("templates/sub/page.html", "<p>page</p>");
    testing::run(async {
        let log = capture_log();
        let templates = Templates::from_directory(directory.path("templates")).unwrap();
        let page = async |exchange: &mut Exchange| {
            exchange.write("<p>page</p>");
            Ok(())
        };
        let client = TestClient::new(Application::new().get("/", page).templates(templates).debug(true));
        {
            let _none = NoneLeft::but(0);
            client.get("/").send().await.assert_status(200).assert_contains("page");
            // What the script of the page asks for. It waits for a change that is never seen.
            let mut changes = client.get("/.waterspout/changes").events().await;
            assert_eq!(changes.next_event().await.unwrap().name, "process");
            log.expect(Level::Error, "web", "pages do not reload");
        }
        client.get("/").send().await.assert_status(200).assert_contains("page");
    });
}

#[test]
fn in_debug_mode_directories_that_cannot_be_listed_are_named_in_the_log() {
    let _alone = alone();
    let directory = Scratch::new().with("templates/sub/page.html", "<p>page</p>");
    testing::run(async {
        let log = capture_log();
        let templates = Templates::from_directory(directory.path("templates")).unwrap();
        let client = TestClient::new(Application::new().templates(templates).debug(true));
        // One for inotify, none for the list of what is below.
        let _none = NoneLeft::but(1);
        let mut changes = client.get("/.waterspout/changes").events().await;
        assert_eq!(changes.next_event().await.unwrap().name, "process");
        let line = log.expect(Level::Error, "web", "are not seen");
        assert!(line.message.contains("templates") && line.message.contains(NO_MORE), "{}", line.message);
    });
}
