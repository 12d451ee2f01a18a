//! Routes that lead elsewhere, and what becomes of slashes at the end.

mod util;

use std::panic::{AssertUnwindSafe, catch_unwind};

use util::in_process::{Answer, ask, get};
use web::{Application, Exchange, Method, Next, StatusCode, TrailingSlash};

async fn ok(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(exchange.request().path().to_owned());
    Ok(())
}

fn location(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("location").unwrap_or("none"))
}

#[test]
fn a_redirection_keeps_parameters_and_query() {
    let application = Application::new()
        .redirect("/", "/home")
        .redirect("/user/{id}", "/users/{id}")
        .redirect("/{a}/x/{b}.html", "/{b}/{a}")
        .redirect("/docs/{*page}", "https://docs.example.org/{page}#top")
        .redirect("/find/{what}", "/search?q={what}&in=all")
        .redirect("/page/{number}", "/book#page-{number}")
        .redirect("/away", "http://example.org");
    for (target, to) in [
        ("/", "/home"),
        ("/?a=1&b=%20", "/home?a=1&b=%20"),
        ("/user/7?x", "/users/7?x"),
        ("/user/a%20b%2Fc%3f", "/users/a%20b%2Fc%3F"),
        ("/1/x/2.html", "/2/1"),
        ("/docs/a/b%20c?v=2", "https://docs.example.org/a/b%20c?v=2#top"),
        ("/find/a%26b=c+d?page=2", "/search?q=a%26b%3Dc%2Bd&in=all&page=2"),
        ("/page/7", "/book#page-7"),
        ("/page/a%20b%23?x=1", "/book?x=1#page-a%20b%23"),
        ("/away", "http://example.org/"),
        ("/away?", "http://example.org/"),
    ] {
        assert_eq!(location(&get(&application, target)), (301, to), "{target}");
    }
    assert_eq!(get(&application, "/user/%ff").status, 400);
    assert_eq!(ask(&application, Method::HEAD, "/user/7").header("location"), Some("/users/7"));
    assert_eq!(ask(&application, Method::POST, "/user/7").status, 405);
}

#[test]
fn the_status_says_for_how_long_and_for_which_methods() {
    for (status, post) in [(301, 405), (302, 405), (303, 405), (307, 307), (308, 308)] {
        let redirect = Application::new().redirect_with(StatusCode::from_u16(status).unwrap(), "/a/{x}", "/b/{x}");
        assert_eq!(location(&get(&redirect, "/a/1")), (status, "/b/1"));
        assert_eq!(ask(&redirect, Method::POST, "/a/1").status, post);
    }
}

/// CVE-2026-116578 and its relatives in Tornado: what a client puts into a path never leads to another host.
#[test]
fn no_path_redirects_to_another_host() {
    let catch_all = Application::new().redirect("/{*path}", "/{path}");
    let single = Application::new().redirect("/{a}", "/{a}").redirect("/go/{a}", "/{a}/x");
    // With routes that begin with two slashes themselves: nothing else stands in the way there.
    let remove = Application::new().get("/{a}/{b}", ok).get("//{a}", ok).trailing_slash(TrailingSlash::Remove);
    let add = Application::new().get("/{a}/{b}/", ok).get("//{a}/", ok).trailing_slash(TrailingSlash::Add);
    for target in [
        "//evil.example",
        "///evil.example",
        "//evil.example/",
        "//evil.example/%2e%2e",
        "/%2Fevil.example",
        "/%2Fevil.example/",
        "/%5Cevil.example",
        "/%5cevil.example/",
        "/go/%2Fevil.example",
        "/go/%5Cevil.example",
        "/go//evil.example",
        "/%09/evil.example",
        "/%0d%0aLocation:%20//evil.example",
        "/https:/evil.example",
    ] {
        for application in [&catch_all, &single, &remove, &add] {
            let answer = get(application, target);
            let Some(location) = answer.header("location") else { continue };
            let leaves = location.starts_with("//") || location.starts_with("/\\") || !location.starts_with('/');
            assert!(!leaves && !location.contains(['\\', '\r', '\n', '\t']), "{target} leads to {location}");
        }
    }
    assert_eq!(location(&get(&catch_all, "//evil.example")), (301, "/%2Fevil.example"));
    // Such segments are resolved by the client before it asks.
    assert_eq!(get(&Application::new().redirect("/a/{x}", "/b/{x}"), "/a/%2e%2e").status, 404);
}

#[test]
fn a_redirection_that_cannot_be_meant_is_refused() {
    for (status, from, to, reason) in [
        (301, "/a", "b", "begins neither"),
        (301, "/a", "ftp://x/", "begins neither"),
        (301, "/a", "https:///x", "begins neither"),
        (301, "/a", "//evil.example", "begins with two slashes"),
        (301, "/a", "/\\evil.example", "percent-encoded"),
        (301, "/a", "/b c", "percent-encoded"),
        (301, "/{id}", "/{other}", "a parameter \"other\""),
        (301, "/{host}", "https://{host}/", "in the host"),
        (301, "/{x}", "/{x", "braces"),
        (304, "/a", "/b", "has the status 304"),
        (200, "/a", "/b", "has the status 200"),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let build = AssertUnwindSafe(|| drop(Application::new().redirect_with(status, from, to)));
        let payload = catch_unwind(build).expect_err(to);
        let message = payload.downcast_ref::<String>().expect("a text");
        assert!(message.contains(&format!("{from:?} to {to:?}")) && message.contains(reason), "{message}");
    }
}

#[test]
fn slashes_at_the_end_matter_unless_told_otherwise() {
    let application = Application::new().get("/a", ok).get("/b/", ok);
    assert_eq!((get(&application, "/a/").status, get(&application, "/b").status), (404, 404));
    let strict = Application::new().get("/a", ok).trailing_slash(TrailingSlash::Strict);
    assert_eq!(get(&strict, "/a/").status, 404);
}

#[test]
fn a_slash_is_added_or_removed_where_a_route_is_then() {
    let routes = || Application::new().get("/a", ok).post("/p/{x}", ok).get("/b/", ok).get("/c/{x}/", ok).fallback(ok);
    let remove = routes().trailing_slash(TrailingSlash::Remove);
    let add = routes().trailing_slash(TrailingSlash::Add);
    for (application, method, target, expected) in [
        (&remove, Method::GET, "/a/", (301, "/a")),
        (&remove, Method::GET, "/a/?q=1&r", (301, "/a?q=1&r")),
        (&remove, Method::HEAD, "/a/", (301, "/a")),
        (&remove, Method::POST, "/p/%20/", (308, "/p/%20")),
        (&remove, Method::GET, "/a", (200, "none")),
        (&remove, Method::GET, "/b", (200, "none")),
        (&remove, Method::GET, "/unknown/", (200, "none")),
        (&remove, Method::GET, "/a//", (200, "none")),
        (&add, Method::GET, "/b", (301, "/b/")),
        (&add, Method::GET, "/c/7?q", (301, "/c/7/?q")),
        (&add, Method::DELETE, "/b?q", (308, "/b/?q")),
        (&add, Method::GET, "/a/", (200, "none")),
        (&add, Method::GET, "/", (200, "none")),
    ] {
        let answer = ask(application, method.clone(), target);
        assert_eq!(location(&answer), expected, "{method} {target}");
    }
}

#[test]
fn a_nested_application_has_its_own_policy_or_that_of_the_outer_one() {
    let marked = async |exchange: &mut Exchange, next: Next<'_>| {
        let tenant: String = exchange.path("tenant")?;
        exchange.on_response(move |response| response.set_header("X-Tenant", &tenant).unwrap());
        next.run(exchange).await
    };
    let own = Application::new().get("/x/", ok).wrap(marked).trailing_slash(TrailingSlash::Add);
    let strict = Application::new().get("/x", ok).trailing_slash(TrailingSlash::Strict);
    let none = Application::new().get("/x", ok);
    let application = Application::new()
        .nest("/t/{tenant}", own)
        .nest("/strict", strict)
        .nest("/none", none)
        .trailing_slash(TrailingSlash::Remove);
    let answer = get(&application, "/t/acme/x");
    assert_eq!((location(&answer), answer.header("x-tenant")), ((301, "/t/acme/x/"), Some("acme")));
    assert_eq!(get(&application, "/strict/x/").status, 404);
    assert_eq!(location(&get(&application, "/none/x/")), (301, "/none/x"));
}
