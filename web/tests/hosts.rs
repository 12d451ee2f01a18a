//! Applications for hosts.

mod util;

use std::{cell::Cell, rc::Rc};

use util::in_process::{Answer, send};
use web::{Application, Error, Exchange, Method, Next, Request, Route, TrailingSlash, with_state};

fn named(name: &'static str) -> Application {
    let say = async move |exchange: &mut Exchange| {
        exchange.write_text(name);
        Ok(())
    };
    Application::new().get("/", say)
}

fn ask(application: &Application, host: &str, target: &str) -> Answer {
    send(application, Request::builder().target(target).header("Host", host))
}

async fn tenant(exchange: &mut Exchange) -> web::Result<()> {
    let (tenant, page): (String, u32) = (exchange.host_param("tenant")?, exchange.path("page")?);
    exchange.write_text(format!("{page} of {tenant}"));
    Ok(())
}

async fn shared(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("shared");
    Ok(())
}

#[test]
fn the_most_exact_host_answers_whatever_the_order() {
    let application = named("default")
        .host("*.example.org", named("star"))
        .host("*.a.example.org", named("longer star"))
        .host("{tenant}.example.org", named("parameter"))
        .host("admin.example.org", named("exact"))
        .host("[::1]", named("address"));
    for (host, text) in [
        ("admin.example.org", "exact"),
        ("ADMIN.Example.org", "exact"),
        ("admin.example.org:8080", "exact"),
        ("admin.example.org.", "exact"),
        ("admin.example.org.:8080", "exact"),
        ("acme.example.org", "parameter"),
        ("a.b.example.org", "star"),
        ("x.a.example.org", "longer star"),
        ("example.org", "default"),
        ("evilexample.org", "default"),
        ("admin.example.org.evil.test", "default"),
        ("a%2eb.example.org", "default"),
        ("[::1]:8080", "address"),
        ("localhost", "default"),
    ] {
        assert_eq!(ask(&application, host, "/").text(), text, "{host}");
    }
    assert_eq!(send(&application, Request::builder().target("/")).text(), "default", "without a host");
    // The target's host goes before the header (RFC 9112, section 3.2.2).
    assert_eq!(ask(&application, "localhost", "http://admin.example.org/").text(), "exact");
}

#[test]
fn parameters_are_read_in_lower_case_and_only_where_they_are() {
    let shop = Application::new().get("/p/{page}", tenant).nest("/in", Application::new().get("/{page}", tenant));
    let application = Application::new().get("/p/{page}", tenant).host("{tenant}.example.org", shop);
    assert_eq!(ask(&application, "Acme.Example.org:80", "/p/7").text(), "7 of acme");
    assert_eq!(ask(&application, "acme.example.org", "/in/7").text(), "7 of acme");
    assert_eq!(ask(&application, "acme.example.org", "/p/x").status, 400);
    assert_eq!(ask(&application, "example.org", "/p/7").status, 500, "a parameter that is not there");
    let numbers = Application::new().get("/", async |exchange: &mut Exchange| {
        let number: u32 = exchange.host_param("n")?;
        exchange.write_text(number.to_string());
        Ok(())
    });
    let application = Application::new().host("{n}.test", numbers);
    assert_eq!((ask(&application, "17.test", "/").text(), ask(&application, "x.test", "/").status), ("17", 400));
}

#[test]
fn what_the_application_of_a_host_does_not_have_is_looked_for_in_the_outer_one() {
    let page = |name: &'static str| {
        move |exchange: &mut Exchange, error: &Error| {
            exchange.write_text(format!("{name}: {}", error.status().as_u16()))
        }
    };
    let own = named("own").post("/form", shared).error_page(page("own"));
    let whole = named("whole").fallback(shared);
    let application =
        named("outer").get("/shared", shared).host("own.test", own).host("whole.test", whole).error_page(page("outer"));
    for (host, method, target, text) in [
        ("own.test", Method::GET, "/", "own"),
        ("own.test", Method::GET, "/shared", "shared"),
        ("own.test", Method::GET, "/unknown", "own: 404"),
        ("own.test", Method::GET, "/form", "own: 405"),
        ("whole.test", Method::GET, "/unknown", "shared"),
        ("else.test", Method::GET, "/unknown", "outer: 404"),
        ("else.test", Method::GET, "/form", "outer: 404"),
    ] {
        let answer = send(&application, Request::builder().method(method).target(target).header("Host", host));
        assert_eq!(answer.text(), text, "{host} {target}");
    }
    let options = send(&application, Request::builder().method(Method::OPTIONS).target("*").header("Host", "own.test"));
    assert_eq!(options.status, 204);
}

#[test]
fn wraps_state_names_and_policies_are_those_of_nesting() {
    struct Name(&'static str);
    async fn name(exchange: &mut Exchange, name: &Name) -> web::Result<()> {
        let url = exchange.reverse_url("note", [7])?;
        exchange.write_text(format!("{} {url}", name.0));
        Ok(())
    }

    let ran = Rc::new(Cell::new(0));
    let count = |by: u32| {
        let ran = ran.clone();
        async move |exchange: &mut Exchange, next: Next<'_>| {
            ran.set(ran.get() + by);
            next.run(exchange).await
        }
    };
    let own = Application::new()
        .get("/name", with_state(name))
        .add(Route::get("/notes/{id}", shared).name("note"))
        .state(Name("own"))
        .wrap(count(1));
    let plain = Application::new().get("/name", with_state(name));
    let application = Application::new()
        .host("own.test", own)
        .host("plain.test", plain)
        .state(Name("outer"))
        .wrap(count(10))
        .trailing_slash(TrailingSlash::Remove);
    for (host, target, text, runs) in [
        ("own.test", "/name", "own /notes/7", 11),
        ("plain.test", "/name", "outer /notes/7", 10),
        ("own.test", "/notes/7/", "", 11),
        ("else.test", "/notes/7/", "", 10),
    ] {
        let answer = ask(&application, host, target);
        assert_eq!(ran.replace(0), runs, "{host} {target}");
        match text {
            "" => assert_eq!(answer.header("location"), (host == "own.test").then_some("/notes/7"), "{host}"),
            text => assert_eq!(answer.text(), text, "{host}"),
        }
    }
}

#[test]
#[should_panic = "the hosts \"{a}.example.org\" and \"{b}.Example.org.\" are the same"]
fn hosts_are_added_once() {
    let _ = Application::new().host("{a}.example.org", named("1")).host("{b}.Example.org.", named("2"));
}

#[test]
#[should_panic = "the host \"example.org:80\" has a port"]
fn a_host_has_no_port() {
    let _ = Application::new().host("example.org:80", named("1"));
}

#[test]
#[should_panic = "a nested application cannot have hosts"]
fn hosts_belong_to_the_outermost_application() {
    let _ = Application::new().nest("/n", Application::new().host("a.test", named("1")));
}

#[test]
#[should_panic = "needs state of type"]
fn state_that_a_host_lacks_shows_at_the_start() {
    async fn number(_: &mut Exchange, _: &u64) -> web::Result<()> {
        Ok(())
    }
    drop(Application::new().host("a.test", Application::new().get("/", with_state(number))).into_server());
}
