//! Typed values from every part of a request: required, optional, with a default, repeated.

mod util;

use proptest::prelude::*;
use util::{
    in_process::{Answer, Local},
    serve,
};
use web::{Application, Error, Exchange, Route, Source, StatusCode};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Answers with what `read` returns.
fn local<T: std::fmt::Debug>(read: impl AsyncFn(&mut Exchange) -> web::Result<T> + Clone + 'static) -> Local {
    let answer = async move |exchange: &mut Exchange| {
        let value = read(exchange).await?;
        exchange.write_text(format!("{value:?}"));
        Ok(())
    };
    let application = Application::new().get("/", answer.clone()).post("/", answer.clone());
    Local(application.add(Route::get("/at/{id}", answer.clone())).add(Route::get("/at/{id}/{*rest}", answer)))
}

fn shown(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.text())
}

/// What the default page says.
fn page(answer: &Answer) -> (u16, &str) {
    let text = answer.text().split_once("<body>").expect("a page").1;
    (answer.status, text.strip_suffix("</body></html>").expect("its end"))
}

#[test]
fn each_source_has_the_same_four_ways() {
    let query = local(async |x: &mut Exchange| {
        Ok((x.query::<u32>("a")?, x.query_opt::<u32>("b")?, x.query_or("c", 7)?, x.query_all::<u8>("d")?))
    });
    assert_eq!(shown(&query.get("/?a=1")), (200, "(1, None, 7, [])"));
    assert_eq!(shown(&query.get("/?a=0&a=1&b=2&c=3&d=4&d=5")), (200, "(1, Some(2), 3, [4, 5])"));

    let form = local(async |x: &mut Exchange| {
        let (a, b) = (x.form::<u32>("a").await?, x.form_opt::<u32>("b").await?);
        Ok((a, b, x.form_or("c", 7).await?, x.form_all::<u8>("d").await?))
    });
    assert_eq!(shown(&form.send("POST", "/?b=9", FORM, "a=1")), (200, "(1, None, 7, [])"));
    assert_eq!(shown(&form.send("POST", "/", FORM, "a=1&b=2&c=3&d=4&d=5")), (200, "(1, Some(2), 3, [4, 5])"));

    let argument = local(async |x: &mut Exchange| {
        let (a, b) = (x.argument::<u32>("a").await?, x.argument_opt::<u32>("b").await?);
        Ok((a, b, x.argument_or("c", 7).await?, x.argument_all::<u8>("d").await?))
    });
    assert_eq!(shown(&argument.send("POST", "/?a=9&b=2&d=1", FORM, "a=1&d=2")), (200, "(1, Some(2), 7, [1, 2])"));

    let header = local(async |x: &mut Exchange| {
        let (a, b) = (x.required_header::<u32>("X-A")?, x.header_opt::<u32>("X-B")?);
        Ok((a, b, x.header_or("X-C", 7)?, x.header_all::<u8>("X-D")?))
    });
    assert_eq!(shown(&header.send("GET", "/", "X-A: 1\r\n", "")), (200, "(1, None, 7, [])"));
    let lines = "X-A: 1\r\nX-A: 9\r\nx-b: 2\r\nX-C: 3\r\nX-D: 4, 5\r\nX-D: 6\r\n";
    assert_eq!(shown(&header.send("GET", "/", lines, "")), (200, "(1, Some(2), 3, [4, 5, 6])"));

    let cookie = local(async |x: &mut Exchange| {
        let (a, b) = (x.required_cookie::<u32>("a")?, x.cookie_opt::<u32>("b")?);
        Ok((a, b, x.cookie_or("c", 7)?, x.cookie_all::<u8>("d")?))
    });
    assert_eq!(shown(&cookie.send("GET", "/", "Cookie: a=1\r\n", "")), (200, "(1, None, 7, [])"));
    let line = "Cookie: a=1; b=2; c=\"3\"; d=4; d=5\r\n";
    assert_eq!(shown(&cookie.send("GET", "/", line, "")), (200, "(1, Some(2), 3, [4, 5])"));

    let path = local(async |x: &mut Exchange| Ok((x.path::<u32>("id")?, x.path_opt::<String>("rest")?)));
    assert_eq!(shown(&path.get("/at/1")), (200, "(1, None)"));
    assert_eq!(shown(&path.get("/at/1/a%20b/c")), (200, "(1, Some(\"a b/c\"))"));
}

#[test]
fn each_failure_is_400_and_names_what_is_wrong() {
    let query = local(async |x: &mut Exchange| x.query::<u8>("age"));
    assert_eq!(page(&query.get("/")), (400, "400: Missing argument age"));
    let range = "expected a whole number in range, not negative";
    for bad in ["-1", "256", "one", "1.0", "0x10", "%3Cb%3E", "1+2"] {
        assert_eq!(page(&query.get(&format!("/?age={bad}"))), (400, &*format!("400: Invalid argument age: {range}")));
    }
    assert_eq!(page(&query.get("/?age=%ff")), (400, "400: Invalid argument age: it is not UTF-8"));
    let number = local(async |x: &mut Exchange| x.form::<f64>("x").await);
    assert_eq!(page(&number.send("POST", "/", FORM, "x=y")), (400, "400: Invalid argument x: expected a number"));
    let truth = local(async |x: &mut Exchange| x.argument::<bool>("x").await);
    assert_eq!(page(&truth.get("/?x=1")), (400, "400: Invalid argument x: expected true or false"));
    let header = local(async |x: &mut Exchange| x.required_header::<i8>("X-Turn"));
    assert_eq!(page(&header.get("/")), (400, "400: Missing header X-Turn"));
    let answer = header.send("GET", "/", "X-Turn: <b>\r\n", "");
    assert_eq!(page(&answer), (400, "400: Invalid header X-Turn: expected a whole number in range"));
    let cookie = local(async |x: &mut Exchange| x.required_cookie::<char>("c"));
    assert_eq!(page(&cookie.get("/")), (400, "400: Missing cookie c"));
    let answer = cookie.send("GET", "/", "Cookie: c=ab\r\n", "");
    assert_eq!(page(&answer), (400, "400: Invalid cookie c: expected one character"));
    let path = local(async |x: &mut Exchange| x.path::<std::net::IpAddr>("id"));
    assert_eq!(page(&path.get("/at/here")), (400, "400: Invalid path parameter id: it cannot be parsed"));
}

#[test]
fn a_header_that_is_not_utf8_is_400_where_it_is_asked_for_typed() {
    let server = serve(|| {
        Application::new().get("/", async |x: &mut Exchange| {
            assert_eq!(x.header("X-Name"), None);
            let all = x.header_all::<String>("X-Name").expect_err("it is not UTF-8");
            assert_eq!(all.status(), StatusCode::BAD_REQUEST);
            x.header_opt::<String>("X-Name").map(drop)
        })
    });
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Name: \xff\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("Invalid header X-Name: it is not UTF-8"), "{reply:?}");
}

#[test]
fn a_field_left_blank_is_missing_where_it_cannot_be_blank() {
    let blank = local(async |x: &mut Exchange| {
        Ok((x.query_opt::<u8>("n")?, x.query_or("m", 3_u8)?, x.query_all::<i8>("l")?, x.query_opt::<String>("s")?))
    });
    assert_eq!(shown(&blank.get("/?n=&m=+&l=1&l=&l=2&s=")), (200, "(None, 3, [1, 2], Some(\"\"))"));
    let required = local(async |x: &mut Exchange| x.query::<u8>("n"));
    assert_eq!(page(&required.get("/?n=")), (400, "400: Missing argument n"));
    // The form has the field, so the query is not asked.
    let argument = local(async |x: &mut Exchange| x.argument_opt::<u8>("n").await);
    assert_eq!(shown(&argument.send("POST", "/?n=1", FORM, "n=")), (200, "None"));
}

#[test]
fn white_space_is_taken_off_what_cannot_have_it_and_text_stays_as_it_is() {
    let both = local(async |x: &mut Exchange| Ok((x.query::<i32>("n")?, x.query::<String>("s")?)));
    assert_eq!(shown(&both.get("/?n=+42%0d%0a&s=+a%00%1fb+")), (200, "(42, \" a\\0\\u{1f}b \")"));
}

#[test]
fn an_error_tells_source_and_name() {
    let application = local(async |x: &mut Exchange| {
        let missing = x.required_cookie::<u8>("sid").expect_err("it was not sent");
        assert!(matches!(&missing, Error::MissingArgument { source: Source::Cookie, name } if **name == *"sid"));
        let invalid = x.query::<u8>("q").expect_err("it is no number");
        assert!(matches!(&invalid, Error::InvalidArgument { source: Source::Argument, name, .. } if **name == *"q"));
        Ok(invalid.message().into_owned())
    });
    let answer = application.get("/?q=%3Cscript%3E");
    assert!(!answer.text().contains("script"), "{answer:?}");
}

#[test]
fn what_is_not_utf8_is_not_named_by_what_the_client_called_it() {
    let all = local(async |x: &mut Exchange| {
        x.query_arguments()?.iter().collect::<Result<Vec<_>, _>>()?;
        Ok(())
    });
    for target in ["/?%3Cb%3E=%ff", "/?%ff%3Cb%3E=1"] {
        let answer = all.get(target);
        assert_eq!(answer.status, 400);
        assert!(!answer.text().contains("b&gt;") && answer.text().contains("it is not UTF-8"), "{answer:?}");
    }
}

/// The vectors of Tornado for queries and forms; `get_argument` there also strips, and replaces control characters.
#[test]
fn tornados_vectors_are_read_as_there() {
    let all = local(async |x: &mut Exchange| x.query_all::<String>("foo"));
    for (query, expected) in [
        ("foo=a&foo=b", r#"["a", "b"]"#),
        ("foo=a;foo=b", r#"["a;foo=b"]"#),
        ("foo=a+b%20c", r#"["a b c"]"#),
        ("foo=%zz%4", r#"["%zz%4"]"#),
        ("foo=&foo", r#"["", ""]"#),
        ("f%6fo=%C3%A9", "[\"\u{e9}\"]"),
        ("foo=a=b", r#"["a=b"]"#),
        ("&&foo=a&", r#"["a"]"#),
    ] {
        assert_eq!(shown(&all.get(&format!("/?{query}"))), (200, expected), "{query}");
    }
}

#[test]
fn floods_of_arguments_are_refused_in_a_query_and_in_a_form() {
    let any = local(async |x: &mut Exchange| x.argument_opt::<u8>("n").await);
    assert_eq!(page(&any.get(&format!("/?{}", "a&".repeat(1000)))), (400, "400: Too many arguments"));
    let flood: &'static str = "a=&".repeat(300_000).leak();
    assert_eq!(page(&any.send("POST", "/", FORM, flood)), (400, "400: Too many arguments"));
    // One that is large is only passed over.
    let long: &'static str = format!("{}=1&n=2", "%41".repeat(300_000)).leak();
    assert_eq!(shown(&any.send("POST", "/", FORM, long)), (200, "Some(2)"));
    let encoded = local(async |x: &mut Exchange| x.form::<u8>("n").await);
    let answer = encoded.send("POST", "/", &format!("{FORM}Content-Encoding: gzip\r\n"), "n=1");
    assert_eq!(answer.status, 415);
}

proptest! {
    #[test]
    fn any_values_come_back_typed(
        name in "[a-z<>&=%+ é]{1,8}",
        numbers in proptest::collection::vec(any::<i64>(), 1..6),
        texts in proptest::collection::vec(any::<String>(), 1..6),
        truth: bool,
    ) {
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        for number in &numbers {
            encoded.append_pair(&name, &number.to_string());
        }
        for text in &texts {
            encoded.append_pair("text", text);
        }
        let target = format!("/?{}", encoded.append_pair("truth", &truth.to_string()).finish());
        prop_assume!(name != "text" && name != "truth");
        let answer = local(async move |x: &mut Exchange| {
            assert_eq!(x.query_all::<i64>(&name)?, numbers);
            assert_eq!(Some(&x.query::<i64>(&name)?), numbers.last());
            assert_eq!(x.query_all::<String>("text")?, texts);
            assert_eq!(x.query_or("truth", !truth)?, truth);
            Ok(())
        })
        .get(&target);
        prop_assert_eq!(shown(&answer), (200, "()"));
    }
}
