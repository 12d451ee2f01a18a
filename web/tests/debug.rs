//! Working on an application: pages of errors, and pages that reload.

#[path = "util/scratch.rs"]
mod scratch;

use std::{fmt, fs, io};

use scratch::Scratch;
use web::{
    Application, Error, Exchange, HttpError, Next, StatusCode,
    templates::{Templates, context},
    testing::{self, TestClient, TestResponse},
};

/// An error with a cause.
#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the shelf is <broken>")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// The line of the `?` in `fails`.
const LINE: u32 = line!() + 6;

async fn fails(exchange: &mut Exchange) -> web::Result<()> {
    exchange.debug_value("shelf", &vec!["first"]);
    exchange.set_template_value("theme", "dark");
    let broken: Result<(), Outer> = Err(Outer(io::Error::other("no <wood>")));
    broken?;
    Ok(())
}

async fn panics(_: &mut Exchange) -> web::Result<()> {
    panic!("it is <dark>");
}

async fn renders(exchange: &mut Exchange) -> web::Result<()> {
    exchange.render("page.html", context! { name => "ada", secret => "swordfish" })
}

async fn finds_nothing(_: &mut Exchange) -> web::Result<()> {
    Err(Error::http(StatusCode::NOT_FOUND, "No such book"))
}

async fn is_full(_: &mut Exchange) -> web::Result<()> {
    Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE).message("Come back").log("the pool is <empty>").into())
}

fn application() -> Application {
    let broken = "<ul>\n<li>{{ name }}\n<li>{{ name.first.second }}\n</ul>\n";
    Application::new()
        .get("/shelf/{id}", fails)
        .get("/panic", panics)
        .get("/render", renders)
        .get("/missing", finds_nothing)
        .get("/full", is_full)
        .templates(Templates::embedded([("page.html", "{% include \"part.html\" %}"), ("part.html", broken)]).unwrap())
}

fn ask(application: Application, path: &'static str) -> TestResponse {
    testing::run(async move {
        let _ = testing::capture_log();
        let request = TestClient::new(application)
            .get(path)
            .header("Accept", "text/html,*/*")
            .header("Cookie", "session=swordfish");
        request.header("Authorization", "Bearer swordfish").header("X-Color", "<red>").send().await
    })
}

#[track_caller]
fn assert_shows(answer: &TestResponse, parts: &[&str]) {
    for part in parts {
        assert!(answer.text().contains(part), "{part:?} is not in\n{}", answer.text());
    }
}

#[test]
fn outside_of_debug_mode_an_error_shows_nothing() {
    for path in ["/shelf/7", "/panic", "/render"] {
        for application in [application(), application().debug(false), Application::new().nest("/a", application())] {
            let path: &'static str =
                if format!("{application:?}").contains("/a/panic") { format!("/a{path}").leak() } else { path };
            let page = "<html><title>500: Internal Server Error</title><body>500: Internal Server Error</body></html>";
            ask(application, path).assert_status(500).assert_text(page);
        }
    }
    ask(application(), "/.waterspout/reload.js").assert_status(404);
    ask(application(), "/.waterspout/changes").assert_status(404);
}

#[test]
fn the_page_of_an_error_says_what_where_and_when() {
    let answer = ask(application().debug(true), "/shelf/7?color=blue&token=swordfish");
    answer.assert_status(500).assert_header("content-type", "text/html; charset=utf-8");
    let line = format!("tests/debug.rs:{LINE}");
    let parts = [
        "the shelf is &lt;broken&gt;",
        "no &lt;wood&gt;",
        "GET /shelf/{id}",
        &line,
        "color=blue&amp;token=•••",
        "&lt;red&gt;",
    ];
    assert_shows(&answer, &parts);
    assert_shows(
        &answer,
        &["<th>id<td><pre>7</pre>", "<th>shelf<td><pre>[", "&quot;first&quot;", "<th>theme<td><pre>&#39;dark&#39;"],
    );
    assert!(!answer.text().contains("swordfish") && !answer.text().contains("<red>"), "{}", answer.text());
    assert_shows(&answer, &["<th>Cookie<td><pre>•••</pre>", "<th>Authorization<td><pre>•••</pre>"]);
}

#[test]
fn secrets_are_masked_wherever_the_request_has_them() {
    testing::run(async {
        let _ = testing::capture_log();
        let client = TestClient::new(Application::new().get("/reset/{token}/{id}", panics).debug(true));
        let request = client.get("/reset/swordfish/7?%74oken=swordfish").header("Accept", "text/html");
        let answer = request.header("Referer", "https://a.example/?key=swordfish&page=2").send().await;
        answer.assert_status(500);
        assert_shows(
            &answer,
            &["/reset/•••/7?", "<th>token<td><pre>•••</pre>", "<th>id<td><pre>7</pre>", "&amp;page=2"],
        );
        assert!(!answer.text().contains("swordfish"), "{}", answer.text());
    });
}

#[test]
fn the_page_of_a_panic_has_its_line_and_a_backtrace() {
    let answer = ask(application().debug(true), "/panic");
    assert_shows(
        &answer,
        &["The handler panicked: it is &lt;dark&gt;", "tests/debug.rs:", "<h2>Backtrace</h2>", "panics"],
    );
}

#[test]
fn the_page_of_a_template_shows_the_source_around_the_line() {
    let answer = ask(application().debug(true), "/render");
    assert_shows(
        &answer,
        &[
            "(in page.html:1)",
            "part.html",
            "2 | &lt;li&gt;{{ name }}",
            "3 &gt; &lt;li&gt;{{ name.first.second }}",
            "name: &#39;ada&#39;",
        ],
    );
    assert!(!answer.text().contains("swordfish"), "the line does not use it: {}", answer.text());
}

#[test]
fn a_client_that_wants_no_html_gets_text() {
    testing::run(async {
        let _ = testing::capture_log();
        let answer = TestClient::new(application().debug(true)).get("/shelf/7").send().await;
        answer.assert_status(500).assert_header("content-type", "text/plain; charset=utf-8");
        assert_shows(
            &answer,
            &["500: Internal Server Error\nthe shelf is <broken>\n", "\nCauses\n  1: no <wood>\n", "\nWhere\n"],
        );
    });
}

#[test]
fn an_applications_page_stays_for_the_clients_faults() {
    let own = |debug| application().error_page(|exchange, error| exchange.write_text(error.message())).debug(debug);
    ask(own(true), "/missing").assert_status(404).assert_text("No such book");
    ask(own(true), "/nowhere").assert_status(404).assert_text("Not Found");
    assert_shows(&ask(own(true), "/full"), &["503: Service Unavailable", "the pool is &lt;empty&gt;"]);
    ask(own(false), "/full").assert_status(503).assert_text("Come back");
}

#[test]
fn a_nested_application_is_in_the_mode_of_the_one_around_it() {
    let nested = Application::new().nest("/a", application()).debug(true);
    assert_shows(&ask(nested, "/a/shelf/7"), &["GET /a/shelf/{id}"]);
}

/// What is put behind a page.
const SCRIPT: &str = "<script src=\"/.waterspout/reload.js\" defer></script>\n";

#[test]
fn pages_get_a_script_and_nothing_else_does() {
    let page = async |exchange: &mut Exchange| {
        exchange.set_header("Cache-Control", "public, max-age=3600")?;
        exchange.write("<p>page");
        Ok(())
    };
    let json = async |exchange: &mut Exchange| exchange.write_json("<p>");
    let text = async |exchange: &mut Exchange| {
        exchange.write_text("<p>");
        Ok(())
    };
    let streamed = async |exchange: &mut Exchange| {
        exchange.write("<p>");
        exchange.flush().await
    };
    let measured = async |exchange: &mut Exchange| {
        exchange.set_header("Content-Length", "3")?;
        exchange.write("<p>");
        Ok(())
    };
    let empty = async |exchange: &mut Exchange| {
        exchange.set_status(StatusCode::NO_CONTENT);
        Ok(())
    };
    let routes = |debug| {
        let routes = Application::new().get("/", page).get("/json", json).get("/text", text).get("/streamed", streamed);
        routes.get("/measured", measured).get("/empty", empty).debug(debug)
    };
    testing::run(async move {
        let client = TestClient::new(routes(true));
        let answer = client.get("/").send().await;
        answer.assert_text(format!("<p>page{SCRIPT}")).assert_header("cache-control", "no-cache");
        client.get("/measured").send().await.assert_text(format!("<p>{SCRIPT}"));
        client.get("/json").send().await.assert_text("\"<p>\"").assert_header("cache-control", "no-cache");
        client.get("/text").send().await.assert_text("<p>");
        client.get("/streamed").send().await.assert_text("<p>");
        client.get("/empty").send().await.assert_status(204).assert_text("");
        client.head("/").send().await.assert_status(200).assert_text("");
        assert!(client.get("/nowhere").send().await.assert_status(404).text().ends_with(SCRIPT));
        let client = TestClient::new(routes(false));
        client.get("/").send().await.assert_text("<p>page").assert_header("cache-control", "public, max-age=3600");
    });
}

#[test]
fn the_script_is_put_in_before_a_page_is_compressed() {
    let page = async |exchange: &mut Exchange| {
        exchange.write("<p>page ".repeat(1000));
        Ok(())
    };
    let application = Application::new().wrap(web::Compress::new()).get("/", page).debug(true);
    testing::run(async move {
        let answer = TestClient::new(application).get("/").header("Accept-Encoding", "gzip").send().await;
        answer.assert_header("content-encoding", "gzip");
        let mut text = String::new();
        io::Read::read_to_string(&mut flate2::read::GzDecoder::new(answer.bytes()), &mut text).unwrap();
        assert!(text.ends_with(SCRIPT));
    });
}

#[test]
fn pages_hear_of_changes_whatever_runs_around_the_handlers() {
    async fn nobody(_: &mut Exchange, _: Next<'_>) -> web::Result<()> {
        Err(Error::http(StatusCode::FORBIDDEN, "Members only"))
    }
    let scratch = Scratch::new().with("templates/a.html", "1").with("static/app.css", "");
    let templates = Templates::from_directory(scratch.path("templates")).unwrap();
    let application = Application::new()
        .wrap(nobody)
        .templates(templates)
        .static_files("/static", scratch.path("static"))
        .unwrap()
        .debug(true);
    testing::run(async move {
        let client = TestClient::new(application);
        client.get("/").send().await.assert_status(403);
        let script = client.get("/.waterspout/reload.js").send().await;
        script.assert_status(200).assert_header("content-type", "text/javascript; charset=utf-8");
        let mut events = client.get("/.waterspout/changes").events().await;
        let process = events.next_event().await.unwrap();
        assert_eq!(process.name, "process");
        assert_shows(&script, &[&process.data]);

        let scratch = scratch.with("templates/a.html", "2");
        assert_eq!(events.next_event().await.unwrap().name, "changed");
        let scratch = scratch.with("static/app.css", "p {}");
        assert_eq!(events.next_event().await.unwrap().name, "changed");
        // A directory that is new, and what comes into it.
        fs::create_dir(scratch.path("templates/new")).unwrap();
        assert_eq!(events.next_event().await.unwrap().name, "changed");
        let scratch = scratch.with("templates/new/b.html", "");
        assert_eq!(events.next_event().await.unwrap().name, "changed");
        fs::rename(scratch.path("templates/a.html"), scratch.path("templates/c.html")).unwrap();
        assert_eq!(events.next_event().await.unwrap().name, "changed");
    });
}

#[test]
fn templates_are_read_again() {
    let scratch = Scratch::new().with("a.txt", "1");
    let page = async |exchange: &mut Exchange| exchange.render("a.txt", ());
    let templates = Templates::from_directory(scratch.path("")).unwrap();
    let application = Application::new().get("/", page).templates(templates).debug(true);
    testing::run(async move {
        let client = TestClient::new(application);
        client.get("/").send().await.assert_text("1");
        let _scratch = scratch.with("a.txt", "22");
        client.get("/").send().await.assert_text("22");
    });
}
