//! Files of clients on their way to the disk.

mod util;

use std::{
    cell::RefCell,
    fs,
    future::poll_fn,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    pin::pin,
    process,
    rc::Rc,
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::channel,
    },
    task::Poll,
    time::Duration,
};

use util::serve;
use web::{
    Application, Exchange, FormLimits, IOLoop, Limits, Method, RequestHandler, Route, StatusCode, TempFile,
    httpserver::iostream::ioloop::ExecutorOptions,
    run_in_executor, safe_file_name, sleep,
    testing::{self, MultipartForm, TestClient},
};

/// A directory of this test alone.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("waterspout-uploads-{}-{number}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    /// The names of the files in it.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Waits until nothing is left: a thread removes files.
    async fn empty(&self) {
        while !self.files().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Keeps the files of a form under their own names.
fn keeping(directory: &Path, limits: FormLimits) -> Application {
    let directory = directory.to_owned();
    Application::new().post("/", async move |exchange: &mut Exchange| {
        let mut form = exchange.multipart(limits.clone())?;
        while let Some(mut part) = form.next_part().await? {
            match part.file_name().map(safe_file_name) {
                Some(Some(name)) => {
                    let file = TempFile::receive(&mut part, &directory).await?;
                    exchange.write_text(format!("{name}: {}\n", file.len()));
                    file.persist(directory.join(name)).await?;
                }
                Some(None) => return Err(web::Error::http(StatusCode::BAD_REQUEST, "A file without a name")),
                None => {
                    let text = part.text(100).await?;
                    exchange.write_text(format!("{}={text}\n", part.name()));
                }
            }
        }
        Ok(())
    })
}

#[test]
fn files_of_a_form_reach_the_disk_beside_its_fields() {
    let directory = Directory::new();
    testing::run(async {
        let client = TestClient::new(keeping(&directory.0, FormLimits::default()));
        let large: Vec<u8> = (0..3_000_000_u32).map(|n| (n / 7) as u8).collect();
        let form = MultipartForm::new()
            .text("title", "sea")
            .file("a", "../../large.bin", "application/octet-stream", &large)
            .file("b", "empty", "text/plain", "");
        let answer = client.post("/").multipart(&form).send().await;
        answer.assert_status(200).assert_text("title=sea\nlarge.bin: 3000000\nempty: 0\n");
        assert_eq!(directory.files(), ["empty", "large.bin"]);
        assert!(directory.read("large.bin") == large);
        let mode = fs::metadata(directory.0.join("empty")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // Once more, in place of the first.
        let form = MultipartForm::new().file("a", "large.bin", "text/plain", "small");
        client.post("/").multipart(&form).send().await.assert_status(200);
        assert_eq!(directory.read("large.bin"), b"small");
    });
}

#[test]
fn the_first_excess_is_told_with_its_field_and_leaves_no_file() {
    let directory = Directory::new();
    let limits = FormLimits::default().max_parts(3).max_field(5).max_file(1_000_000).max_total(1_500_000);
    testing::run(async {
        let client = TestClient::new(keeping(&directory.0, limits));
        let large = vec![b'x'; 1_000_001];
        for (form, status, text) in [
            (
                MultipartForm::new().file("photo", "a", "text/plain", &large),
                413,
                "part photo longer than 1000000 bytes",
            ),
            (MultipartForm::new().text("title", "123456"), 413, "part title longer than 5 bytes"),
            (MultipartForm::new().text("<b>", "123456"), 413, "413: part longer than 5 bytes"),
            (
                MultipartForm::new().file("a", "a", "", &large[..900_000]).file("b", "b", "", &large[..900_000]),
                413,
                "body longer than 1500000 bytes",
            ),
            (MultipartForm::new().text("a", "").text("b", "").text("c", "").text("d", ""), 400, "too many parts"),
            (MultipartForm::new().file("a", &"x".repeat(11_000), "", ""), 400, "the header of a part is too long"),
            (MultipartForm::new().file("a", "..", "", "x"), 400, "A file without a name"),
        ] {
            client.post("/").multipart(&form).send().await.assert_status(status).assert_contains(text);
            // The one of the first file has its name by then.
            let _ = fs::remove_file(directory.0.join("a"));
            directory.empty().await;
        }
        // One that fits is taken on the same connection or another.
        let form = MultipartForm::new().file("photo", "a", "text/plain", &large[1..]);
        client.post("/").multipart(&form).send().await.assert_status(200).assert_text("a: 1000000\n");
    });
}

/// Writes the body as it comes.
fn receiving(directory: &Path) -> Application {
    let directory = directory.to_owned();
    Application::new().put("/", async move |exchange: &mut Exchange| {
        exchange.cancel_on_disconnect();
        let mut file = TempFile::create(&directory).await?;
        while let Some(piece) = exchange.chunk().await? {
            file.write(piece).await?;
        }
        if exchange.query_opt::<u8>("fail")?.is_some() {
            return Err(web::Error::http(StatusCode::CONFLICT, "not this one"));
        }
        file.persist_new(directory.join("whole")).await?;
        exchange.set_status(StatusCode::CREATED);
        Ok(())
    })
}

#[test]
fn a_client_that_leaves_and_a_handler_that_fails_leave_no_file() {
    let directory = Directory::new();
    testing::run(async {
        let client = TestClient::new(receiving(&directory.0));
        let (mut upload, answer) = client.put("/").upload();
        upload.write(vec![1; 500_000]).await;
        while directory.files().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        assert!(directory.files()[0].starts_with(".upload-"));
        drop((upload, answer));
        directory.empty().await;

        client.put("/?fail=1").body(vec![1; 500_000]).send().await.assert_status(409);
        directory.empty().await;

        client.put("/").body(vec![1; 500_000]).send().await.assert_status(201);
        assert_eq!(directory.files(), ["whole"]);
        // The name is taken.
        client.put("/").body("other").send().await.assert_status(500);
        while directory.files().len() > 1 {
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(directory.read("whole").len(), 500_000);
    });
}

#[test]
fn a_file_that_was_not_kept_goes_with_its_guard_and_a_lost_one_says_so() {
    let directory = Directory::new();
    testing::run(async {
        let mut file = TempFile::create(&directory.0).await.unwrap();
        assert!(file.is_empty());
        file.write("some").await.unwrap();
        file.flush().await.unwrap();
        assert_eq!((file.len(), fs::read(file.path()).unwrap()), (4, b"some".to_vec()));
        drop(file);
        directory.empty().await;
        // A write that nobody waits for any more takes the file along. The only thread is kept busy, so that it waits.
        IOLoop::current().configure_executor(ExecutorOptions::new().max_threads(1));
        let mut file = TempFile::create(&directory.0).await.unwrap();
        let (release, held) = channel::<()>();
        let busy = run_in_executor(move || held.recv());
        {
            let mut writing = pin!(file.write(vec![0; 1_000_000]));
            assert!(poll_fn(|cx| Poll::Ready(writing.as_mut().poll(cx).is_pending())).await);
        }
        drop(release);
        drop(busy.await);
        assert!(file.flush().await.is_err());
        assert!(file.persist(directory.0.join("lost")).await.is_err());
        directory.empty().await;
        assert!(TempFile::create(directory.0.join("missing")).await.is_err());
    });
}

/// Judges a request by its head, as Tornado's `stream_request_body` lets `prepare` do.
struct Judged {
    read: Rc<RefCell<Vec<usize>>>,
}

impl RequestHandler for Judged {
    const METHODS: &'static [Method] = &[Method::PUT];

    async fn prepare(&self, exchange: &mut Exchange) -> web::Result<()> {
        match exchange.query::<String>("who")?.as_str() {
            "nobody" => Err(web::Error::http(StatusCode::FORBIDDEN, "not you")),
            "done" => {
                exchange.write_text("no need\n");
                exchange.finish();
                Ok(())
            }
            "member" => {
                exchange.set_body_limit(300);
                exchange.set_body_timeout(Duration::from_secs(600));
                exchange.set_total_body_timeout(Duration::from_secs(3600));
                exchange.set_min_body_rate(0);
                Ok(())
            }
            "guest" => {
                exchange.set_body_limit(5);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn put(&self, exchange: &mut Exchange) -> web::Result<()> {
        while let Some(piece) = exchange.chunk().await? {
            self.read.borrow_mut().push(piece.len());
        }
        exchange.write_text(self.read.take().iter().sum::<usize>().to_string());
        Ok(())
    }
}

fn judged() -> Application {
    let route = Route::handler("/", Judged { read: Rc::default() }).body_limit(100);
    Application::new().add(route).limits(Limits::default().max_body(1000).body_timeout(Duration::from_secs(10)))
}

#[test]
fn prepare_runs_before_the_body_and_may_answer() {
    testing::run(async {
        let client = TestClient::new(judged());
        for (who, status, text) in [("nobody", 403, "not you"), ("done", 200, "no need\n")] {
            // Nothing of the body has been sent.
            let (upload, answer) = client.put(&format!("/?who={who}")).content_length(50).upload();
            answer.await.assert_status(status).assert_contains(text);
            drop(upload);
        }
    });
}

#[test]
fn prepare_sets_the_limit_of_one_request() {
    let server = serve(judged);
    for (who, max) in [("other", 100), ("member", 300), ("guest", 5)] {
        for (length, status) in [(max, 200), (max + 1, 413)] {
            let target = format!("/?who={who}");
            assert_eq!(server.send("PUT", &target, "", &"x".repeat(length)).status, status, "{who} {length}");
            let mut client = server.connect();
            client.request("PUT", &target, "Transfer-Encoding: chunked\r\n", "");
            client.send(format!("3\r\nabc\r\n{:x}\r\n{}\r\n0\r\n\r\n", length - 3, "x".repeat(length - 3)));
            assert_eq!(client.reply().status, status, "{who} {length} in chunks");
        }
    }
    // A length beyond the limit that was set is refused before it is asked for, and one within it is asked for.
    for (who, status) in [("guest", 413), ("other", 413), ("member", 100)] {
        let mut client = server.connect();
        client.send(format!(
            "PUT /?who={who} HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\nExpect: 100-continue\r\n\r\n"
        ));
        assert_eq!(client.reply().status, status, "{who}");
    }
}

#[test]
fn prepare_sets_the_time_outs_of_one_request() {
    testing::run(async {
        let client = TestClient::new(judged());
        for (who, status) in [("other", 408), ("member", 200)] {
            let (mut upload, answer) = client.put(&format!("/?who={who}")).upload();
            upload.write("one").await;
            sleep(Duration::from_secs(60)).await;
            if upload.try_write("two").await.is_ok() {
                upload.finish();
            }
            answer.await.assert_status(status);
        }
    });
}

#[test]
fn a_file_that_is_kept_is_given_up_without_a_word_and_received_as_a_whole() {
    let directory = Directory::new();
    let path = directory.0.clone();
    testing::run(async move {
        let log = testing::capture_log();
        let application = Application::new().post("/", async move |exchange: &mut Exchange| {
            let mut form = exchange.multipart(FormLimits::default())?;
            let mut part = form.next_part().await?.expect("a file");
            let file = TempFile::receive(&mut part, &path).await?;
            // Others may open it before it has its name.
            let length = fs::metadata(file.path())?.len();
            file.persist(path.join("kept")).await?;
            exchange.write_text(length.to_string());
            Ok(())
        });
        let form = MultipartForm::new().file("file", "a", "text/plain", "some bytes");
        TestClient::new(application).post("/").multipart(&form).send().await.assert_text("10");
        log.assert_quiet(testing::Level::Warn);
    });
    assert_eq!(directory.files(), ["kept"]);
}
