//! Routes that are regular expressions.

mod util;

use std::panic::{AssertUnwindSafe, catch_unwind};

use util::in_process::{ask, get};
use web::{Application, Exchange, Method, Route, TrailingSlash};

/// The pattern, and what the parameter `x` is.
async fn show(exchange: &mut Exchange) -> web::Result<()> {
    let x: String = exchange.path("x")?;
    let pattern = exchange.pattern().unwrap_or("none").to_owned();
    exchange.write_text(format!("{pattern} x={x}"));
    Ok(())
}

fn regex(path: &str) -> Route {
    Route::get(path, show).regex()
}

#[test]
fn the_whole_path_has_to_match_and_groups_are_parameters() {
    let application = Application::new()
        .add(regex(r"/archive/(?<x>\d{4})"))
        .add(regex(r"/(?:old|older)/(?P<x>[^/]*)/(?<y>.*)"))
        .add(regex(r"/five/(?<a>.)(?<b>.)(?<c>.)(?<d>.)(?<x>.)"))
        .add(regex(r"/maybe(/(?<x>\d+))?"));
    for (target, text) in [
        ("/archive/1998", r"/archive/(?<x>\d{4}) x=1998"),
        ("/older/a%20b/c/d", r"/(?:old|older)/(?P<x>[^/]*)/(?<y>.*) x=a b"),
        ("/old//", r"/(?:old|older)/(?P<x>[^/]*)/(?<y>.*) x="),
        ("/five/12345", r"/five/(?<a>.)(?<b>.)(?<c>.)(?<d>.)(?<x>.) x=5"),
        ("/maybe/7", r"/maybe(/(?<x>\d+))? x=7"),
        ("/maybe", r"/maybe(/(?<x>\d+))? x="),
    ] {
        assert_eq!(get(&application, target).text(), text, "{target}");
    }
    for target in
        ["/archive/98", "/archive/19980", "/x/archive/1998", "/archive/1998/", "/archive/%31998", "/oldest/a/b"]
    {
        assert_eq!(get(&application, target).status, 404, "{target}");
    }
    assert_eq!(get(&application, "/old/%ff/").status, 400);
}

#[test]
fn methods_of_one_expression_share_it() {
    let application = Application::new().add(regex(r"/(?<x>\d+)")).add(Route::post(r"/(?<x>\d+)", show).regex());
    assert_eq!(ask(&application, Method::POST, "/7").status, 200);
    let refused = ask(&application, Method::PUT, "/7");
    assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, POST, OPTIONS")));
    assert_eq!(ask(&application, Method::OPTIONS, "/7").status, 204);
    assert_eq!(ask(&application, Method::HEAD, "/7").status, 200);
}

#[test]
fn other_routes_go_first_then_expressions_in_order_then_slashes_and_fallbacks() {
    let text = |text: &'static str| {
        async move |exchange: &mut Exchange| {
            exchange.write_text(text);
            Ok(())
        }
    };
    let application = Application::new()
        .add(Route::get("/(a|b)+", text("first")).regex())
        .add(Route::get("/[a-f]+/?", text("second")).regex())
        .get("/ab", text("fixed"))
        .get("/p/{x}", text("parameter"))
        .add(Route::get("/p/.*", text("behind")).regex())
        .get("/z", text("z"))
        .fallback(text("fallback"))
        .trailing_slash(TrailingSlash::Remove);
    for (target, expected) in [
        ("/ab", "fixed"),
        ("/p/x", "parameter"),
        ("/p/x/y", "behind"),
        ("/aba", "first"),
        ("/abc", "second"),
        ("/ab/", "second"),
        ("/z/", ""),
        ("/xyz", "fallback"),
    ] {
        assert_eq!(get(&application, target).text(), expected, "{target}");
    }
    // A known path with another method is 405, whatever an expression would say.
    assert_eq!(ask(&application, Method::PUT, "/ab").status, 405);
}

#[test]
fn a_prefix_stands_in_front_with_its_parameters() {
    let nested = Application::new().add(regex(r"/(?<x>\d+)|/none(?<y>)").wrap(
        async |exchange: &mut Exchange, next: web::Next<'_>| {
            exchange.on_response(|response| response.set_header("X-Wrapped", "yes").unwrap());
            next.run(exchange).await
        },
    ));
    let group = Application::new().add(regex(r"/group/(?<x>a+)").name("group"));
    let application = Application::new().nest("/a.b/{t}", nested).nest("/c", group);
    let answer = get(&application, "/a.b/acme/7");
    assert!(answer.text().ends_with("x=7") && answer.header("x-wrapped") == Some("yes"), "{answer:?}");
    for target in ["/axb/acme/7", "/7", "/a.b/7", "/a.b/x/y/7"] {
        assert_eq!(get(&application, target).status, 404, "{target}");
    }
    let names = application.route_names();
    assert_eq!(names.reverse_url("group", ["aa"]).unwrap(), "/c/group/aa");
    assert!(names.reverse_url("group", ["b"]).is_err());
}

#[test]
fn what_cannot_be_meant_is_refused_at_the_start() {
    for (build, message) in [
        (regex(r"/(?<x>"), "is no regular expression"),
        (regex(r"/(?<x>a)(?<x>b)"), "is no regular expression"),
        (regex(r"/a|/b").name("ab"), "cannot have a name"),
        (regex(r"/(\d+)").name("n"), "cannot have a name"),
    ] {
        let payload = catch_unwind(AssertUnwindSafe(|| drop(Application::new().add(build)))).expect_err(message);
        assert!(payload.downcast_ref::<String>().expect("a text").contains(message));
    }
}

/// A regular expression that other engines take exponential time for.
#[test]
fn no_path_is_costly() {
    let application = Application::new().add(Route::get("/(a*)*(a|aa)+b", show).regex());
    let target = format!("/{}", "a".repeat(8_000));
    assert_eq!(get(&application, &target).status, 404);
}
