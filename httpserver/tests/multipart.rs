//! Forms as multipart/form-data: pushed in, read part by part, and collected.

mod common;

use common::{Client, run, serve};
use httpserver::{
    Body, Bytes, Error, Method, Request, Response,
    multipart::{Event, FormData, FormLimits, Multipart, Parser},
};
use proptest::{collection::vec, prelude::*, sample::select};

/// A part as it was sent, and as it was read: name, name of the file, content.
type Sent = (String, Option<String>, Vec<u8>);

const BOUNDARY: &str = "bound";

/// Reads a form that is pushed in pieces.
fn read(pieces: impl IntoIterator<Item = Bytes>, limits: FormLimits) -> httpserver::Result<Vec<Sent>> {
    let mut parser = Parser::new(BOUNDARY, limits)?;
    let mut parts: Vec<Sent> = Vec::new();
    let mut is_open = false;
    for piece in pieces {
        parser.push(piece)?;
        while let Some(event) = parser.next()? {
            match event {
                Event::Part(head) => {
                    assert!(!is_open);
                    is_open = true;
                    parts.push((head.name().to_owned(), head.file_name().map(str::to_owned), Vec::new()));
                }
                Event::Data(data) => {
                    assert!(is_open && !data.is_empty());
                    parts.last_mut().unwrap().2.extend_from_slice(&data);
                }
                Event::PartEnd => {
                    assert!(is_open);
                    is_open = false;
                }
            }
        }
    }
    parser.finish()?;
    assert!(!is_open);
    Ok(parts)
}

fn read_whole(body: impl Into<Vec<u8>>) -> httpserver::Result<Vec<Sent>> {
    read([Bytes::from(body.into())], FormLimits::default())
}

/// `body` in pieces of these lengths, again and again.
fn cut(body: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut rest = body;
    for &length in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, behind) = rest.split_at(length.clamp(1, rest.len()));
        pieces.push(Bytes::copy_from_slice(piece));
        rest = behind;
    }
    pieces
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

fn encode(parts: &[Sent]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file_name, content) in parts {
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{}\"", escape(name)).as_bytes(),
        );
        if let Some(file_name) = file_name {
            body.extend_from_slice(format!("; filename=\"{}\"", escape(file_name)).as_bytes());
        }
        body.extend_from_slice(b"\r\n\r\n");
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

fn form(content: &str) -> String {
    format!("--bound\r\nContent-Disposition: form-data; name=a\r\n\r\n{content}\r\n--bound--\r\n")
}

/// A request with this form.
fn request(body: impl Into<Body>) -> Request {
    Request::builder()
        .method(Method::POST)
        .header("Content-Type", "multipart/form-data; boundary=\"bound\"")
        .body(body)
        .build()
        .unwrap()
}

/// Contents that resemble boundaries.
fn a_content() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        &b"\r\n"[..],
        b"\r",
        b"\n",
        b"--",
        b"-",
        b"\r\n--",
        b"\r\n--boun",
        b"\r\n--bounD",
        b"--bound",
        b"x",
        b"\r\n--b\r\n--bo",
        b"\0\xff",
    ]);
    vec(piece, 0..12).prop_map(|pieces| pieces.concat()).prop_filter("holds its boundary", |content| {
        let line = [b"\r\n", &content[..]].concat();
        !line[2..].windows(9).any(|window| window == b"\r\n--bound")
    })
}

fn a_name() -> impl Strategy<Value = String> {
    "[a-z \"\\\\;=\u{e9}/.]{1,8}"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_content_in_any_pieces_is_the_same_form(
        parts in vec((a_name(), proptest::option::of(a_name()), a_content()), 0..5),
        cuts in vec(1usize..30, 1..6),
    ) {
        let body = encode(&parts);
        prop_assert_eq!(&read(cut(&body, &cuts), FormLimits::default()).unwrap(), &parts);
        prop_assert_eq!(&read(cut(&body, &[1]), FormLimits::default()).unwrap(), &parts);
        prop_assert_eq!(&read_whole(body).unwrap(), &parts);
    }

    #[test]
    fn any_bytes_are_the_same_in_any_pieces(
        pieces in vec(select(vec![
            "--bound", "\r\n", "\r\n--bound\r\n", "Content-Disposition: form-data; name=a", "--", "x", ":", " ", "\r\n\r\n",
            "\r\n--bound--", "\r", "\n",
        ]), 0..14),
        cuts in vec(1usize..12, 1..4),
    ) {
        let body = pieces.concat();
        let describe = |result: httpserver::Result<Vec<Sent>>| result.map_err(|error| error.to_string());
        let whole = describe(read_whole(body.clone()));
        prop_assert_eq!(&describe(read(cut(body.as_bytes(), &cuts), FormLimits::default())), &whole);
        prop_assert_eq!(&describe(read(cut(body.as_bytes(), &[1]), FormLimits::default())), &whole);
    }
}

/// Those of Tornado's `MultipartFormDataTest`; what is an error there is one here.
#[test]
fn tornados_vectors() {
    let parse = |boundary: &str, body: &str| {
        let content_type = format!("multipart/form-data; boundary={boundary}");
        FormData::parse(content_type.as_bytes(), Bytes::from(body.replace('\n', "\r\n")), FormLimits::default())
    };
    let with =
        |disposition: &str| parse("1234", &format!("--1234\nContent-Disposition: {disposition}\n\nFoo\n--1234--"));
    let check = |form: FormData, file_name: &str| {
        let file = form.file("files").unwrap();
        assert_eq!((file.file_name(), &file.body()[..]), (file_name, &b"Foo"[..]));
    };

    check(with("form-data; name=\"files\"; filename=\"ab.txt\"").unwrap(), "ab.txt");
    check(with("form-data; name=files; filename=ab.txt").unwrap(), "ab.txt");
    for name in ["a;b.txt", "a\"b.txt", "a\";b.txt", "a;\"b.txt", "a\";\";.txt", "a\\\"b.txt", "a\\b.txt"] {
        check(with(&format!("form-data; name=\"files\"; filename=\"{}\"", escape(name))).unwrap(), name);
    }
    check(with("form-data; name=\"files\"; filename=\"ab.txt\"; filename*=UTF-8''%C3%A1b.txt").unwrap(), "\u{e1}b.txt");
    let whole = "--1234\nContent-Disposition: form-data; name=\"files\"; filename=\"ab.txt\"\n\nFoo\n--1234--";
    check(parse("\"1234\"", whole).unwrap(), "ab.txt");
    // What stands behind the last boundary is ignored.
    check(parse("1234", &format!("{whole}\n")).unwrap(), "ab.txt");
    check(parse("1234", &format!("{whole} and more")).unwrap(), "ab.txt");

    let refused = |form: httpserver::Result<FormData>| {
        assert!(matches!(form, Err(Error::BadRequest(_))), "{form:?}");
    };
    refused(parse("1234", "--1234\n\nFoo\n--1234--"));
    refused(with("invalid; name=\"files\"; filename=\"ab.txt\""));
    refused(with("form-data; filename=\"ab.txt\""));
    refused(parse(
        "1234",
        "--1234\nContent-Disposition: form-data; name=\"files\"; filename=\"ab.txt\"\n\nFoo--1234--",
    ));
    // Line feeds alone, a boundary that is another, and a form without its last boundary.
    refused(FormData::parse(b"multipart/form-data; boundary=1234", Bytes::from(whole), FormLimits::default()));
    refused(parse("12345", whole));
    refused(parse("123", whole));
    refused(parse("1234", whole.strip_suffix("--").unwrap()));
    // A preamble.
    refused(parse("1234", &format!("junk\n{whole}")));
}

#[test]
fn a_line_that_only_begins_with_the_boundary_is_refused() {
    for line in
        ["\r\n--boundary", "\r\n--bound-", "\r\n--bound-x", "\r\n--bound x\r\n", "\r\n--bound\n", "\r\n--bound\r\r\n"]
    {
        let error = read_whole(form(line)).unwrap_err();
        assert!(matches!(error, Error::BadRequest(_)), "{line:?}");
    }
    // White space behind a boundary is padding.
    let padded = form("x").replace("--bound\r\n", "--bound \t \r\n");
    assert_eq!(read_whole(padded).unwrap()[0].2, b"x");
    assert!(read_whole(form("x").replace("--bound\r\n", &format!("--bound{}\r\n", " ".repeat(1000)))).is_err());
}

#[test]
fn a_form_may_have_no_part_and_an_empty_line_in_front() {
    assert_eq!(read_whole("--bound--").unwrap(), []);
    assert_eq!(read_whole(format!("\r\n{}", form("x"))).unwrap().len(), 1);
    assert!(read_whole("").is_err());
    assert!(read_whole("\r\n\r\n--bound--").is_err());
}

#[test]
fn the_boundary_is_one_parameter_of_the_right_type() {
    let boundary = |value: &str| Parser::boundary_of(value.as_bytes());
    assert_eq!(boundary("Multipart/Form-Data; charset=utf-8; Boundary=a").unwrap(), "a");
    assert!(matches!(boundary("multipart/mixed; boundary=a"), Err(Error::UnsupportedMediaType(_))));
    assert!(matches!(boundary(""), Err(Error::UnsupportedMediaType(_))));
    assert!(matches!(boundary("multipart/form-data"), Err(Error::BadRequest(_))));
    assert!(matches!(boundary("multipart/form-data; boundary=a; boundary=a"), Err(Error::BadRequest(_))));
    assert!(matches!(boundary("multipart/form-data; boundary=\"a"), Err(Error::BadRequest(_))));
    let new = |boundary: &str| Parser::new(boundary, FormLimits::default());
    for refused in ["", "a\r", "a\n", "a;", "\u{e9}", "a ", &"a".repeat(71)] {
        assert!(new(refused).is_err(), "{refused:?}");
    }
    assert!(new(&"a".repeat(70)).is_ok());
}

#[test]
fn each_limit_holds_at_its_value_and_not_above() {
    let parts = |count: usize| encode(&vec![("a".to_owned(), None, b"12345".to_vec()); count]);
    let read = |body: &[u8], limits: &FormLimits| {
        let whole = read([Bytes::copy_from_slice(body)], limits.clone());
        let bytewise = read(cut(body, &[1]), limits.clone());
        assert_eq!(whole.as_ref().err().map(Error::to_string), bytewise.as_ref().err().map(Error::to_string));
        whole.map(drop)
    };
    let default = FormLimits::default();
    for (count, is_ok) in [(99, true), (100, true), (101, false)] {
        let result = read(&parts(count), &default);
        assert!(if is_ok { result.is_ok() } else { matches!(result, Err(Error::BadRequest(_))) }, "{count}");
    }
    for (most, is_ok) in [(6, true), (5, true), (4, false), (0, false)] {
        let result = read(&parts(1), &default.clone().max_part(most));
        assert!(if is_ok {
            result.is_ok()
        } else {
            matches!(&result, Err(Error::PartTooLarge(text)) if **text == format!("part a longer than {most} bytes"))
        });
    }
    let mixed = encode(&[
        ("t".to_owned(), None, b"12345".to_vec()),
        ("f".to_owned(), Some("n".to_owned()), b"123456".to_vec()),
    ]);
    for (field, file, fault) in
        [(5, 6, None), (4, 6, Some("part t longer than 4 bytes")), (5, 5, Some("part f longer than 5 bytes"))]
    {
        let result = read(&mixed, &default.clone().max_field(field).max_file(file));
        assert_eq!(result.err().map(|error| error.to_string()).as_deref(), fault);
        let result = read(&mixed, &default.clone().max_field(field).max_file(file).max_part(3));
        assert_eq!(result.unwrap_err().to_string(), "part t longer than 3 bytes");
    }
    let markup = encode(&[("<b>".to_owned(), None, b"12345".to_vec())]);
    assert_eq!(read(&markup, &default.clone().max_field(1)).unwrap_err().to_string(), "part longer than 1 bytes");
    let body = parts(2);
    for (most, is_ok) in [(body.len() + 1, true), (body.len(), true), (body.len() - 1, false)] {
        let result = read(&body, &default.clone().max_total(most as u64));
        assert!(if is_ok { result.is_ok() } else { matches!(result, Err(Error::BodyTooLarge { .. })) }, "{most}");
    }
    let head = "Content-Disposition: form-data; name=\"a\"".len();
    for (most, is_ok) in [(head + 1, true), (head, true), (head - 1, false), (0, false)] {
        let result = read(&parts(1), &default.clone().max_part_head(most));
        assert!(if is_ok { result.is_ok() } else { matches!(result, Err(Error::BadRequest(_))) }, "{most}");
    }
    // A header without an end is refused when it is too long, not when the body ends.
    let mut parser = Parser::new(BOUNDARY, default).unwrap();
    parser.push(Bytes::from(format!("--bound\r\n{}", "x".repeat(11 * 1024)))).unwrap();
    assert!(parser.next().is_err());
    assert!(parser.next().is_err(), "the first error stays");
    assert!(parser.finish().is_err());
}

#[test]
fn collected_forms_have_a_limit_of_their_own() {
    let parse = |body: String, most: usize| {
        let limits = FormLimits::default().max_collected(most);
        FormData::parse(b"multipart/form-data; boundary=bound", Bytes::from(body), limits)
    };
    assert!(parse(form(&"x".repeat(1000)), 1200).is_ok());
    assert!(matches!(parse(form(&"x".repeat(1201)), 1200), Err(Error::BodyTooLarge { limit: 1200 })));
    let urlencoded = |body: &str, limits: FormLimits| {
        FormData::parse(
            b"application/x-www-form-urlencoded; charset=utf-8",
            Bytes::copy_from_slice(body.as_bytes()),
            limits,
        )
    };
    let limits = FormLimits::default().max_collected(3);
    assert!(urlencoded("a=b", limits.clone()).is_ok());
    assert!(matches!(urlencoded("a=bc", limits), Err(Error::BodyTooLarge { .. })));
    let limits = FormLimits::default().max_arguments(2);
    assert!(urlencoded("a=b&c", limits.clone()).is_ok());
    assert!(matches!(urlencoded("a=b&c&d", limits), Err(Error::TooManyArguments { limit: 2 })));
}

#[test]
fn a_collected_form_may_be_of_either_kind() {
    run(async {
        let mut urlencoded = Request::builder()
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("a=1&b=%ff&a=two+2")
            .build()
            .unwrap();
        let form = urlencoded.form_data().await.unwrap();
        assert_eq!(form.argument("a").unwrap(), Some("two 2"));
        assert_eq!(form.all_arguments("a").unwrap(), ["1", "two 2"]);
        assert!(matches!(form.argument("b"), Err(Error::InvalidArgument { .. })));
        assert_eq!(form.argument_bytes("b").next().map(|value| &value[..]), Some(&b"\xff"[..]));
        assert_eq!(form.argument("c").unwrap(), None);
        assert_eq!(
            urlencoded.form().await.unwrap().get("a").unwrap().as_deref(),
            Some("two 2"),
            "the body is there still"
        );

        let mut multipart = request(encode(&[
            ("a".into(), None, b"1".to_vec()),
            ("f".into(), Some("x.txt".into()), b"content".to_vec()),
            ("f".into(), Some("y.txt".into()), Vec::new()),
            ("none".into(), Some(String::new()), Vec::new()),
        ]));
        let form = multipart.form_data().await.unwrap();
        assert_eq!(form.arguments().map(|(name, _)| name).collect::<Vec<_>>(), ["a", "none"]);
        assert_eq!(form.file("f").unwrap().file_name(), "x.txt");
        assert_eq!(form.files().map(|file| file.file_name()).collect::<Vec<_>>(), ["x.txt", "y.txt"]);

        let mut other = Request::builder().header("Content-Type", "text/plain").body("a=1").build().unwrap();
        assert_eq!(other.form_data().await.unwrap().arguments().count(), 0);
        assert_eq!(other.bytes().await.unwrap(), "a=1", "another body is left alone");
    });
}

#[test]
fn a_form_with_a_content_coding_is_refused() {
    for content_type in ["multipart/form-data; boundary=bound", "application/x-www-form-urlencoded"] {
        let mut request = Request::builder()
            .header("Content-Type", content_type)
            .header("Content-Encoding", "gzip")
            .body("a=1")
            .build()
            .unwrap();
        let error = run(request.form_data()).unwrap_err();
        assert_eq!(error.status().unwrap().as_u16(), 415);
    }
}

#[test]
fn a_part_that_is_not_read_is_skipped() {
    run(async {
        let long = vec![b'x'; 300_000];
        let body = encode(&[
            ("a".into(), None, long.clone()),
            ("b".into(), None, b"short".to_vec()),
            ("c".into(), None, long.clone()),
            ("d".into(), None, b"end".to_vec()),
        ]);
        let mut form = Multipart::new(Body::from(body), BOUNDARY, FormLimits::default()).unwrap();
        assert_eq!(form.next_part().await.unwrap().unwrap().name(), "a");
        let mut part = form.next_part().await.unwrap().unwrap();
        assert_eq!(part.name(), "b");
        assert_eq!(part.text(5).await.unwrap(), "short");
        assert!(part.chunk().await.unwrap().is_none() && part.chunk().await.unwrap().is_none());
        let mut part = form.next_part().await.unwrap().unwrap();
        assert_eq!(part.name(), "c");
        assert!(part.chunk().await.unwrap().is_some());
        let mut part = form.next_part().await.unwrap().unwrap();
        assert_eq!(part.name(), "d");
        assert_eq!(part.bytes(3).await.unwrap(), "end");
        assert!(form.next_part().await.unwrap().is_none());
        assert!(form.next_part().await.unwrap().is_none());
    });
}

#[test]
fn the_first_error_stays() {
    run(async {
        let mut form =
            Multipart::new(Body::from("--bound\r\nno head\r\n\r\n"), BOUNDARY, FormLimits::default()).unwrap();
        for _ in 0..2 {
            assert!(matches!(form.next_part().await, Err(Error::BadRequest(_))));
        }
        let cut = "--bound\r\nContent-Disposition: form-data; name=a\r\n\r\nsome";
        let mut form = Multipart::new(Body::from(cut), BOUNDARY, FormLimits::default()).unwrap();
        let mut part = form.next_part().await.unwrap().unwrap();
        assert_eq!(part.chunk().await.unwrap().unwrap(), "some");
        for _ in 0..2 {
            assert!(matches!(part.chunk().await, Err(Error::BadRequest(_))));
        }
    });
}

/// Answers with the names, and the sizes of the contents.
async fn sizes(mut request: Request) -> httpserver::Result<Response> {
    let mut form = request.multipart()?;
    let mut text = String::new();
    while let Some(mut part) = form.next_part().await? {
        let mut size = 0;
        while let Some(chunk) = part.chunk().await? {
            size += chunk.len();
        }
        text += &format!("{}={size}\n", part.name());
    }
    Ok(Response::text(text))
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=bound\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[test]
fn an_upload_is_read_from_a_connection_which_goes_on() {
    let body = encode(&[
        ("a".into(), None, b"1".to_vec()),
        ("file".into(), Some("x".into()), vec![b'\r'; 3_000_000]),
        ("b".into(), None, Vec::new()),
    ]);
    run(async {
        let client = Client::connect(serve(sizes)).await;
        for _ in 0..2 {
            client.send(post(&body)).await;
            assert_eq!(client.answer().await.text(), "a=1\nfile=3000000\nb=0\n");
        }
    });
}

#[test]
fn a_malformed_upload_is_400_and_one_too_large_413() {
    run(async {
        // What can be read to its end keeps the connection.
        let client = Client::connect(serve(sizes)).await;
        client.send(post(b"--bound\r\n\r\n\r\n--bound--")).await;
        assert_eq!(client.answer().await.status(), 400);
        client.send(post(&form("x").as_bytes()[..40])).await;
        assert_eq!(client.answer().await.status(), 400);
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").await;
        assert_eq!(client.answer().await.status(), 415);
        client.send(post(form("x").as_bytes())).await;
        assert_eq!(client.answer().await.text(), "a=1\n");

        let limited = serve(async |mut request: Request| -> httpserver::Result<Response> {
            let mut form = request.multipart_limited(FormLimits::default().max_part(3))?;
            while form.next_part().await?.is_some() {}
            Ok(Response::text("small\n"))
        });
        let client = Client::connect(limited).await;
        client.send(post(form("four").as_bytes())).await;
        assert_eq!(client.answer().await.status(), 413);
    });
}

/// Tornado's advisories about time that grows with the square: of parameters, of a header without an end, of boundaries.
/// Counted in work and not in time: what is slow here takes minutes.
#[test]
fn hostile_forms_take_linear_time() {
    let parameters = format!("x=\"{}\"", ";".repeat(9_000));
    let escapes = format!("x=\"{}\"", "\\\"".repeat(4_500));
    for disposition in [&parameters, &escapes, &";".repeat(9_000), &"; x=y".repeat(1_800)] {
        let body = format!("--bound\r\nContent-Disposition: form-data; name=a; {disposition}\r\n\r\n\r\n--bound--");
        for _ in 0..100 {
            let result = read_whole(body.clone());
            assert!(result.is_ok(), "{result:?}");
        }
    }
    // Bytes one by one, in a content that is all beginnings of boundaries.
    let almost = "\r\n--boun".repeat(200_000);
    let parts = read(cut(form(&almost).as_bytes(), &[1]), FormLimits::default()).unwrap();
    assert_eq!(parts[0].2.len(), almost.len());
    let many = [&b"--bound"[..], &b"\r\n--bound".repeat(1_000_000)].concat();
    assert!(matches!(read_whole(many), Err(Error::BadRequest(_))));
}
