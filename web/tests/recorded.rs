//! Requests against what Tornado has read out of them.

use std::collections::BTreeMap;

use web::{
    Application, Exchange, IOLoop, Request, Response,
    httpserver::{
        Service,
        httputil::{Arguments, ByteRange, parse_cookie, parse_range},
    },
    locale::Locales,
};

type Values = BTreeMap<Vec<u8>, Vec<Vec<u8>>>;

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// `name=value,value;name=value`.
fn values(text: &str) -> Values {
    let of_one = |pair: &str| {
        let (name, values) = pair.split_once('=').unwrap();
        (from_hex(name), values.split(',').map(from_hex).collect())
    };
    text.split(';').filter(|pair| !pair.is_empty()).map(of_one).collect()
}

fn answer(application: &Application, header: &str, value: &[u8]) -> Response {
    let request = Request::builder().target("/").header(header, value).build().unwrap();
    IOLoop::current().run_sync(application.call(request))
}

fn arguments(query: &[u8]) -> Values {
    let mut found = Values::new();
    for (name, value) in Arguments::parse(query).unwrap().decoded() {
        found.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    found
}

fn cookies(line: &[u8]) -> Values {
    let cookies = parse_cookie(line).map(|(name, value)| (name.into(), vec![value.as_bytes().to_vec()]));
    cookies.collect()
}

fn range(header: &[u8], size: u64) -> String {
    match parse_range(header, size) {
        ByteRange::Whole => "200".to_owned(),
        ByteRange::Unsatisfiable => "416".to_owned(),
        ByteRange::Part { start, end } if end - start == size => "200".to_owned(),
        ByteRange::Part { start, end } => format!("206 {start}-{}", end - 1),
    }
}

fn speaking() -> Application {
    let locales = ["de", "fr", "pt_BR", "es_ES", "ja"]
        .into_iter()
        .fold(Locales::new("en_US"), |locales, code| locales.csv(code, "").unwrap());
    let say = async |exchange: &mut Exchange| {
        let code = exchange.locale().code().to_owned();
        exchange.set_header("X-Code", code)
    };
    Application::new().get("/", say).locales(locales)
}

fn tagged(tag: &'static str) -> Application {
    Application::new().get("/", async move |exchange: &mut Exchange| exchange.set_header("ETag", tag))
}

#[test]
fn what_tornado_read_is_read() {
    let speaking = speaking();
    let (mut counts, mut differences) = (BTreeMap::new(), Vec::new());
    for line in include_str!("recorded/requests.tsv").lines().filter(|line| !line.starts_with('#')) {
        let [kind, sent, expected] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
        let sent = from_hex(sent);
        let is_same = match (kind, expected.split_once(' ')) {
            ("q", _) => arguments(&sent) == values(expected),
            ("c", _) => cookies(&sent) == values(expected),
            ("r", Some((size, answer))) => range(&sent, size.parse().unwrap()) == answer,
            ("l", _) => answer(&speaking, "Accept-Language", &sent).header("x-code") == Some(expected),
            ("n", Some((tag, status))) => answer(&tagged(tag), "If-None-Match", &sent).status().as_str() == status,
            _ => panic!("{line:?}"),
        };
        if !is_same {
            differences.push(format!("{kind} {:?}: {expected}", String::from_utf8_lossy(&sent)));
        }
        *counts.entry(kind).or_insert(0) += 1;
    }
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(counts.len() == 5 && counts.values().all(|count| *count >= 50), "{counts:?}");
}
