//! URLs made of the names of routes.

mod util;

use proptest::{collection::vec, prelude::*};
use util::in_process::get;
use web::{Application, Error, Exchange, Route, UrlArguments};

async fn ok(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(exchange.request().path().to_owned());
    Ok(())
}

fn site() -> Application {
    let members = Application::new()
        .add(Route::get("/", ok).name("members"))
        .nest("/{member}", Application::new().add(Route::get("/posts/{post}", ok).name("post")));
    Application::new()
        .add(Route::get("/", ok).name("home"))
        .add(Route::get("/album/{id}/{file}.png", ok).name("picture"))
        .add(Route::get("/files/{*path}", ok).name("file"))
        .nest("/t/{tenant}", members)
}

fn url(name: &str, values: impl UrlArguments) -> String {
    site().route_names().reverse_url(name, values).expect("a URL")
}

fn refusal(name: &str, values: impl UrlArguments) -> String {
    let error = site().route_names().reverse_url(name, values).expect_err("it is refused");
    assert!(matches!(error, Error::InvalidUrl { .. }) && error.status().as_u16() == 500, "{error:?}");
    error.to_string()
}

#[test]
fn a_url_is_made_of_typed_values() {
    assert_eq!(url("home", ()), "/");
    assert_eq!(url("picture", (7u64, "cover art")), "/album/7/cover%20art.png");
    assert_eq!(url("picture", ["7", "8"]), "/album/7/8.png");
    assert_eq!(url("picture", vec![7, 8]), "/album/7/8.png");
    assert_eq!(url("picture", &[7, 8][..]), "/album/7/8.png");
    assert_eq!(url("file", ["a/b c/d?"]), "/files/a/b%20c/d%3F");
}

#[test]
fn routes_of_nested_applications_have_their_prefix_and_its_parameters() {
    assert_eq!(url("members", ["acme"]), "/t/acme/");
    assert_eq!(url("post", ("acme", "ada", 7)), "/t/acme/ada/posts/7");
}

#[test]
fn wrong_names_and_counts_and_values_are_errors_of_the_program() {
    assert_eq!(refusal("picture ", (7, 8)), "No URL for the route \"picture \": no route has this name");
    assert!(refusal("picture", [7]).contains("more parameters than there are values"));
    assert!(refusal("picture", [7, 8, 9]).contains("fewer parameters than there are values"));
    assert!(refusal("picture", ("", 8)).contains("at least one character"));
    assert!(refusal("file", [".."]).contains("out of a path"));
}

#[test]
fn handlers_of_nested_applications_make_urls_of_the_whole_site() {
    async fn link(exchange: &mut Exchange) -> web::Result<()> {
        let url = exchange.reverse_url("user", [exchange.path::<String>("id")?])?;
        exchange.redirect(&url)
    }

    let nested = Application::new().get("/{id}", link).fallback(async |exchange: &mut Exchange| {
        let url = exchange.reverse_url("user", ["nobody"])?;
        exchange.redirect(&url)
    });
    let handle = nested.route_names();
    let application = Application::new().nest("/n", nested).add(Route::get("/user/{id}", ok).name("user"));
    assert_eq!(get(&application, "/n/a%2Fb").header("location"), Some("/user/a%2Fb"));
    assert_eq!(get(&application, "/n/a/b").header("location"), Some("/user/nobody"));
    assert_eq!(handle.reverse_url("user", [7]).unwrap(), "/user/7", "the handle of a nested one knows the whole");
    let missing = Application::new().get("/{id}", link);
    assert_eq!(get(&missing, "/7").status, 500);
}

#[test]
#[should_panic = "the name \"x\" has two routes, \"/a\" and \"/n/b\""]
fn a_name_has_one_route() {
    let nested = Application::new().add(Route::get("/b", ok).name("x"));
    let _ = Application::new().add(Route::get("/a", ok).name("x")).nest("/n", nested);
}

/// A pattern, and what its parameters are called.
fn patterns() -> impl Strategy<Value = (String, usize)> {
    let segment = prop_oneof![
        Just(("a".to_owned(), 0)),
        Just(("caf%C3%A9".to_owned(), 0)),
        Just(("{{x}}".to_owned(), 0)),
        Just(("{#}".to_owned(), 1)),
        Just(("{#}.png".to_owned(), 1)),
        Just(("img-{#}".to_owned(), 1)),
        Just(("img-{#}.png".to_owned(), 1)),
    ];
    let rest = prop_oneof![Just(("".to_owned(), 0)), Just(("/".to_owned(), 0)), Just(("/{*#}".to_owned(), 1))];
    (vec(segment, 1..6), rest).prop_map(|(segments, (rest, last))| {
        let count = segments.iter().map(|(_, count)| count).sum::<usize>() + last;
        let mut text: String = segments.iter().map(|(segment, _)| format!("/{segment}")).collect();
        text.push_str(&rest);
        for at in 0..count {
            text = text.replacen('#', &format!("p{at}"), 1);
        }
        (text, count)
    })
}

fn values() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[ -~]{1,8}",
        "[a./\\\\%]{1,5}",
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just("//host".to_owned()),
        Just("a.png".to_owned()),
    ]
}

proptest! {
    /// Build, match, equal.
    #[test]
    fn a_url_leads_back_to_its_route_with_the_same_values(
        (pattern, count) in patterns(),
        texts in vec(values(), 6),
    ) {
        let texts = &texts[..count.min(6)];
        prop_assume!(texts.len() == count);
        let echo = async move |exchange: &mut Exchange| {
            for at in 0..count {
                exchange.write_text(exchange.path::<String>(&format!("p{at}"))?);
                exchange.write_text("\0");
            }
            Ok(())
        };
        let application = Application::new().add(Route::get(&pattern, echo).name("route"));
        match application.route_names().reverse_url("route", texts) {
            Ok(url) => {
                prop_assert!(!url.starts_with("//") && !url.starts_with("/\\"), "{}", url);
                prop_assert!(!url.split('/').any(|segment| segment == "." || segment == ".."), "{}", url);
                // The server refuses it before any route is looked for.
                prop_assert!(!url.contains("%00"), "{}", url);
                let answer = get(&application, &url);
                let expected: String = texts.iter().map(|text| format!("{text}\0")).collect();
                prop_assert_eq!(answer.status, 200, "{} {}", pattern, url);
                prop_assert_eq!(answer.text(), expected);
            }
            Err(_) => {
                let is_refused = |text: &String| {
                    text.is_empty() || text.contains('\0') || text.split('/').any(|part| matches!(part, "." | ".."))
                };
                prop_assert!(texts.iter().any(is_refused), "{:?}", texts);
            }
        }
    }
}
