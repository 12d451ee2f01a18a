//! What answers below the prefix of a nested application: its routes, its fallback, or a catch-all of the outer one.

#[path = "util/scratch.rs"]
mod scratch;
mod util;

use std::panic::{AssertUnwindSafe, catch_unwind};

use proptest::prelude::*;
use scratch::Scratch;
use util::in_process::{ask, get};
use web::{Application, Exchange, Handler, Method, Next, Route, StaticFiles, TrailingSlash};

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

fn regex(path: &str, name: &str) -> Route {
    Route::get(path, named(name)).regex()
}

#[test]
fn a_regular_expression_of_the_outer_application_leaves_a_nested_one_its_own_paths() {
    let inner = || nested().add(regex(r"/\d+", "number"));
    let outer = || Application::new().add(regex(r"/.*\.html|/(a|b).*", "outer"));
    for application in [outer().nest("/api", inner()), Application::new().nest("/api", inner()).merge(outer())] {
        for (target, text) in [
            ("/x.html", "outer"),
            ("/apis", "outer"),
            ("/b", "outer"),
            ("/api", "nested"),
            ("/api/x.html", "nested"),
            ("/api/x/y", "nested"),
            ("/api/users/7", "user"),
            ("/api/17", "number"),
        ] {
            assert_eq!(get(&application, target).text(), text, "{target}");
        }
        assert_eq!(ask(&application, Method::DELETE, "/api/x.html").text(), "nested");
        assert_eq!(ask(&application, Method::DELETE, "/x.html").status, 405);
    }
    let without = Application::new().get("/users", named("users"));
    assert_eq!(get(&outer().nest("/api", without), "/api/x").text(), "outer", "nothing else has it");
}

#[test]
fn a_regular_expression_that_begins_with_the_prefix_answers() {
    let application = Application::new()
        .nest("/api", nested())
        .nest("/{tenant}", Application::new().fallback(named("tenant")))
        .add(regex(r"/api/v\d+/.*", "versions"))
        .add(regex(r"/[a-z]+/x", "letters"));
    for (target, text) in
        [("/api/v1/x", "versions"), ("/api/x", "nested"), ("/acme/x", "tenant"), ("/acme/v1/x", "tenant")]
    {
        assert_eq!(get(&application, target).text(), text, "{target}");
    }
}

/// The paths that an expression is asked about are those of the nested application as well, with parameters and all.
#[test]
fn a_regular_expression_of_an_application_with_a_parameter_in_its_prefix_is_its_own() {
    let tenant = Application::new().add(regex(r"/\d+", "number")).fallback(named("tenant"));
    let application = Application::new().add(regex(r"/.*/1\d*", "ones")).nest("/{tenant}", tenant);
    for (target, text) in [("/acme/17", "number"), ("/acme/x/1", "tenant"), ("/acme", "tenant")] {
        assert_eq!(get(&application, target).text(), text, "{target}");
    }
}

/// An application, as the property test knows it.
#[derive(Clone, Debug)]
struct Model {
    routes: Vec<&'static str>,
    regexes: Vec<Expression>,
    has_fallback: bool,
    nested: Vec<(&'static str, Model)>,
}

/// A regular expression, the pattern that is as exact, and the same in code.
#[derive(Clone, Copy, Debug)]
struct Expression(&'static str, &'static str, fn(&str) -> bool);

const ROUTES: [&str; 11] =
    ["/", "/a", "/b", "/a/", "/{x}", "/{*r}", "/a/{y}", "/a/{*r}", "/{x}/a", "/a{x}", "/{x}/b/{*r}"];
const PREFIXES: [&str; 5] = ["/a", "/b", "/{x}", "/a/b", "/a{x}"];
const REGEXES: [Expression; 6] = [
    Expression("/.*b", "/{*r}", |path| path.ends_with('b')),
    Expression("/a/.*", "/a/{*r}", |path| path.starts_with("/a/")),
    Expression("/a(?:/b/.*|/b/b)", "/a/b/{*r}", |path| path.starts_with("/a/b/")),
    Expression("/ab|/b/a", "/{*r}", |path| path == "/ab" || path == "/b/a"),
    Expression("/(?:b/)+a*", "/b/{*r}", |path| {
        let letters = path[1..].trim_end_matches('a');
        !letters.is_empty() && letters.len() % 2 == 0 && letters == "b/".repeat(letters.len() / 2)
    }),
    Expression("(?:/b/a)", "/b/a", |path| path == "/b/a"),
];

fn model() -> impl Strategy<Value = Model> {
    fn own() -> impl Strategy<Value = Model> {
        let routes = prop::sample::subsequence(&ROUTES[..], 0..5);
        let regexes = prop::sample::subsequence(&REGEXES[..], 0..3).prop_shuffle();
        (routes, regexes, any::<bool>()).prop_map(|(routes, regexes, has_fallback)| Model {
            routes,
            regexes,
            has_fallback,
            nested: Vec::new(),
        })
    }
    own().prop_recursive(2, 6, 2, |inner| {
        let nested = prop::collection::vec((prop::sample::select(&PREFIXES[..]), inner), 1..3);
        (own(), nested).prop_map(|(own, nested)| Model { nested, ..own })
    })
}

/// What may answer: the pattern that says how exact it is, and the text.
type Candidate = (String, String);

impl Model {
    /// The application itself; it panics if routes conflict.
    fn build(&self, prefix: &str) -> Application {
        let mut application = Application::new();
        for route in &self.routes {
            application = application.get(route, named(format!("route {prefix}{route}")));
        }
        for Expression(text, ..) in &self.regexes {
            application = application.add(regex(text, &format!("regex {prefix}{text}")));
        }
        for (inner, model) in &self.nested {
            application = application.nest(inner, model.build(&format!("{prefix}{inner}")));
        }
        if self.has_fallback { application.fallback(named(format!("fallback {prefix}"))) } else { application }
    }

    /// All applications with the prefix of each, in the order in which they are added.
    fn all(&self, prefix: &str) -> Vec<(String, &Model)> {
        let below = self.nested.iter().flat_map(|(inner, model)| model.all(&format!("{prefix}{inner}")));
        [(prefix.to_owned(), self)].into_iter().chain(below).collect()
    }

    /// What answers `path`: the most exact pattern that matches it, or else the first expression, unless a fallback is more
    /// exact, segment by segment.
    fn answer(&self, path: &str) -> Option<String> {
        let (mut routes, mut regexes, mut fallbacks): (Vec<Candidate>, Vec<Candidate>, Vec<Candidate>) =
            Default::default();
        for (prefix, model) in self.all("") {
            for route in model.routes.iter().filter(|route| matches(&format!("{prefix}{route}"), path)) {
                routes.push((format!("{prefix}{route}"), format!("route {prefix}{route}")));
            }
            for Expression(text, alike, is_match) in &model.regexes {
                if below(&prefix, path).is_some_and(|rest| rest.starts_with('/') && is_match(rest)) {
                    regexes.push((format!("{prefix}{alike}"), format!("regex {prefix}{text}")));
                }
            }
            if model.has_fallback && below(&prefix, path).is_some() {
                fallbacks.push((format!("{prefix}/{{fallback}}"), format!("fallback {prefix}")));
            }
        }
        let most_exact = |all: Vec<Candidate>| all.into_iter().min_by_key(|(pattern, _)| ranks(pattern));
        let fallback = most_exact(fallbacks);
        let goes_first =
            |(pattern, _): &Candidate| fallback.as_ref().is_none_or(|(fallback, _)| ranks(pattern) < ranks(fallback));
        let route = most_exact(routes).filter(goes_first);
        let found = route.or_else(|| regexes.into_iter().find(goes_first));
        found.or(fallback).map(|(_, text)| text)
    }
}

/// What is left of a path below a prefix.
fn below<'p>(prefix: &str, path: &'p str) -> Option<&'p str> {
    let mut rest = path;
    for own in prefix.split('/').skip(1) {
        rest = rest.strip_prefix('/')?;
        let (segment, behind) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        rest = matches(&format!("/{own}"), &format!("/{segment}")).then_some(behind)?;
    }
    Some(rest)
}

/// Whether the pattern of a route matches.
fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    for own in pattern.split('/').skip(1) {
        let Some(segment) = segments.next() else { return false };
        let is_match = match own {
            "{*r}" => return !segment.is_empty() || segments.next().is_some(),
            "{x}" | "{y}" => !segment.is_empty(),
            "a{x}" => segment.len() > 1 && segment.starts_with('a'),
            text => text == segment,
        };
        if !is_match {
            return false;
        }
    }
    segments.next().is_none()
}

/// How exact each segment of a pattern is, least first.
fn ranks(pattern: &str) -> Vec<u8> {
    let rank = |segment| match segment {
        "{fallback}" => 9,
        "{*r}" => 4,
        "{x}" | "{y}" => 3,
        "a{x}" => 2,
        _ => 1,
    };
    pattern.split('/').skip(1).map(rank).collect()
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
