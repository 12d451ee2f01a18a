//! What answers below the prefix of a nested application: its routes, its fallback, or a catch-all of the outer one.

#[path = "util/scratch.rs"]
mod scratch;
mod util;

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use scratch::Scratch;
use util::in_process::{ask, get};
use web::{Application, Exchange, Handler, Method, Next, StaticFiles, TrailingSlash};

/// A handler that answers with its own name, and the parameters of the path.
fn named(name: impl Into<String>) -> impl Handler {
    let name = name.into();
    async move |exchange: &mut Exchange| {
        exchange.write_text(name.clone());
        Ok(())
    }
}

async fn noting(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    exchange.set_header("X-Nested", "yes")?;
    next.run(exchange).await
}

fn nested() -> Application {
    Application::new().get("/users/{id}", named("user")).fallback(named("nested")).wrap(noting)
}

#[test]
fn a_nested_fallback_answers_before_a_catch_all_of_the_outer_application() {
    let before = Application::new().get("/{*path}", named("outer")).nest("/api", nested());
    let behind = Application::new().nest("/api", nested()).get("/{*path}", named("outer"));
    for application in [before, behind] {
        for (target, text, wrap) in [
            ("/", "<html><title>404: Not Found</title><body>404: Not Found</body></html>", None),
            ("/index.html", "outer", None),
            ("/apis", "outer", None),
            ("/api", "nested", Some("yes")),
            ("/api/", "nested", Some("yes")),
            ("/api/x/y", "nested", Some("yes")),
            ("/api/users/7", "user", Some("yes")),
            ("/api/users/7/", "nested", Some("yes")),
        ] {
            let answer = get(&application, target);
            assert_eq!((answer.text(), answer.header("x-nested")), (text, wrap), "{target}");
        }
        assert_eq!(ask(&application, Method::DELETE, "/api/x").text(), "nested");
        assert_eq!(ask(&application, Method::OPTIONS, "/api/x").text(), "nested");
        assert_eq!(ask(&application, Method::DELETE, "/api/users/7").status, 405, "the path is known");
        assert_eq!(ask(&application, Method::DELETE, "/x").status, 405);
        assert_eq!(ask(&application, Method::DELETE, "/x").header("allow"), Some("GET, HEAD, OPTIONS"));
    }
}

#[test]
fn static_files_at_the_root_leave_a_nested_application_its_own_paths() {
    let directory =
        Scratch::new().with("index.html", "the page").with("api/secret.txt", "shadowed").with("app.css", "p {}");
    let files = StaticFiles::new(&directory).unwrap().index("index.html");
    let application = Application::new().static_handler("/", files).nest("/api", nested());
    assert_eq!(get(&application, "/").text(), "the page");
    assert_eq!(get(&application, "/app.css").text(), "p {}");
    assert_eq!(get(&application, "/unknown").status, 404);
    assert_eq!(get(&application, "/api/secret.txt").text(), "nested");
    assert_eq!(ask(&application, Method::HEAD, "/app.css").status, 200);
}

#[test]
fn without_a_fallback_of_its_own_the_catch_all_answers() {
    let inner = Application::new().get("/users", named("users"));
    let application = Application::new().get("/{*path}", named("outer")).nest("/api", inner);
    assert_eq!(get(&application, "/api/users").text(), "users");
    assert_eq!(get(&application, "/api/x").text(), "outer");
}

#[test]
fn a_route_of_the_outer_application_that_names_the_prefix_answers() {
    let application = Application::new()
        .get("/{*path}", named("outer"))
        .get("/api/status", named("status"))
        .get("/api/files/{*path}", named("files"))
        .nest("/api", nested());
    assert_eq!(get(&application, "/api/status").text(), "status");
    assert_eq!(get(&application, "/api/files/a/b").text(), "files");
    assert_eq!(get(&application, "/api/files").text(), "nested");
    let exact = Application::new().get("/static/{*path}", named("static"));
    let tenant = Application::new().fallback(named("tenant"));
    let application = exact.nest("/{tenant}", tenant);
    assert_eq!(get(&application, "/static/x").text(), "static", "text goes before a parameter");
    assert_eq!(get(&application, "/other/x").text(), "tenant");
}

#[test]
fn a_catch_all_within_the_nested_application_answers_before_its_fallback() {
    let inner = Application::new().get("/{*path}", named("route")).fallback(named("fallback"));
    let application = Application::new().get("/{*path}", named("outer")).nest("/api", inner);
    assert_eq!(get(&application, "/api/x").text(), "route");
    assert_eq!(ask(&application, Method::POST, "/api/x").status, 405);
    assert_eq!(get(&application, "/api").text(), "fallback");
}

#[test]
fn slashes_are_redirected_before_the_fallback_answers() {
    let inner = nested().trailing_slash(TrailingSlash::Remove);
    let application = Application::new().get("/{*path}", named("outer")).nest("/api", inner);
    let answer = get(&application, "/api/users/7/");
    assert_eq!((answer.status, answer.header("location")), (301, Some("/api/users/7")));
    assert_eq!(get(&application, "/api/x/").text(), "nested");
}

/// Nobody is sent to a path that a catch-all would have had, if there were no nested application.
#[test]
fn nobody_is_sent_to_a_path_that_belongs_to_the_nested_application() {
    let inner = Application::new().fallback(named("nested"));
    let application =
        Application::new().get("/{page}", named("page")).nest("/api", inner).trailing_slash(TrailingSlash::Remove);
    assert_eq!(get(&application, "/about/").header("location"), Some("/about"));
    assert_eq!(get(&application, "/api/").text(), "nested");
    assert_eq!(get(&application, "/api").text(), "nested");
}

#[test]
fn an_application_nested_twice_keeps_its_own_paths() {
    let middle = Application::new().get("/{*path}", named("middle")).nest("/v1", nested());
    let application = Application::new().get("/{*path}", named("outer")).nest("/api", middle);
    for (target, text) in [("/x", "outer"), ("/api/x", "middle"), ("/api/v1/x", "nested"), ("/api/v1/users/7", "user")]
    {
        assert_eq!(get(&application, target).text(), text, "{target}");
    }
}

/// An application, as the property test knows it.
#[derive(Clone, Debug)]
struct Model {
    routes: Vec<&'static str>,
    has_fallback: bool,
    nested: Vec<(&'static str, Model)>,
}

const ROUTES: [&str; 11] =
    ["/", "/a", "/b", "/a/", "/{x}", "/{*r}", "/a/{y}", "/a/{*r}", "/{x}/a", "/a{x}", "/{x}/b/{*r}"];
const PREFIXES: [&str; 5] = ["/a", "/b", "/{x}", "/a/b", "/a{x}"];

fn model() -> impl Strategy<Value = Model> {
    let leaf = (prop::sample::subsequence(&ROUTES[..], 0..5), any::<bool>()).prop_map(|(routes, has_fallback)| Model {
        routes,
        has_fallback,
        nested: Vec::new(),
    });
    leaf.prop_recursive(2, 6, 2, |inner| {
        let nested = prop::collection::vec((prop::sample::select(&PREFIXES[..]), inner), 1..3);
        (prop::sample::subsequence(&ROUTES[..], 0..5), any::<bool>(), nested)
            .prop_map(|(routes, has_fallback, nested)| Model { routes, has_fallback, nested })
    })
}

impl Model {
    /// The application itself; it panics if routes conflict.
    fn build(&self, prefix: &str) -> Application {
        let mut application = Application::new();
        for route in &self.routes {
            application = application.get(route, named(format!("route {prefix}{route}")));
        }
        for (inner, model) in &self.nested {
            application = application.nest(inner, model.build(&format!("{prefix}{inner}")));
        }
        if self.has_fallback { application.fallback(named(format!("fallback {prefix}"))) } else { application }
    }

    /// All patterns that may answer, with what they answer.
    fn candidates(&self, prefix: &str, all: &mut Vec<(String, String)>) {
        for route in &self.routes {
            all.push((format!("{prefix}{route}"), format!("route {prefix}{route}")));
        }
        if self.has_fallback {
            all.push((format!("{prefix}/{{fallback}}"), format!("fallback {prefix}")));
        }
        self.nested.iter().for_each(|(inner, model)| model.candidates(&format!("{prefix}{inner}"), all));
    }

    /// What answers `path`: of all patterns that match it the most exact one, segment by segment.
    fn answer(&self, path: &str) -> Option<String> {
        let mut all = Vec::new();
        self.candidates("", &mut all);
        let matching = all.into_iter().filter_map(|(pattern, text)| Some((rank(&pattern, path)?, text)));
        matching.min_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, text)| text)
    }
}

/// How exact each segment of the pattern is, least first; `None` if it does not match.
fn rank(pattern: &str, path: &str) -> Option<Vec<u8>> {
    let (mut ranks, mut segments) = (Vec::new(), path.split('/').skip(1));
    for own in pattern.split('/').skip(1) {
        if own == "{fallback}" {
            ranks.push(9);
            return Some(ranks);
        }
        let segment = segments.next()?;
        if own == "{*r}" {
            let rest: Vec<&str> = [segment].into_iter().chain(segments).collect();
            ranks.push(4);
            return (!rest.join("/").is_empty()).then_some(ranks);
        }
        ranks.push(match own {
            "{x}" | "{y}" if !segment.is_empty() => 3,
            "a{x}" if segment.len() > 1 && segment.starts_with('a') => 2,
            text if text == segment => 1,
            _ => return None,
        });
    }
    segments.next().is_none().then_some(ranks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn the_most_exact_pattern_answers(
        model in model(),
        paths in prop::collection::vec("(/(a|b|ab|c|)){1,4}", 1..12),
    ) {
        // Patterns that are ambiguous are refused.
        let built = catch_unwind(AssertUnwindSafe(|| model.build("")));
        prop_assume!(built.is_ok());
        let application = built.unwrap();
        for path in paths {
            let answer = get(&application, &path);
            let text = (answer.status == 200).then(|| answer.text().to_owned());
            prop_assert_eq!(text, model.answer(&path), "{}", path);
        }
    }
}
