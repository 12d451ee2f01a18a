//! Structs that take more than one attempt to read: blank fields, and many flattened ones.

mod util;

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Debug,
};

use serde::{Deserialize, de::DeserializeOwned};
use util::in_process::Local;
use web::{Application, Exchange};

/// What `T` becomes of a query: its `Debug`, or the status with the text of the page.
fn read<T: DeserializeOwned + Debug + 'static>(query: &str) -> String {
    let show = async |exchange: &mut Exchange| {
        let value: T = exchange.query_as()?;
        exchange.write_text(format!("{value:?}"));
        Ok(())
    };
    let answer = Local(Application::new().get("/", show)).get(&format!("/?{query}"));
    match answer.text().split_once("<body>") {
        Some((_, page)) => page.strip_suffix("</body></html>").expect("its end").to_owned(),
        None => answer.text().to_owned(),
    }
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown by Debug")]
struct Search {
    #[serde(default = "ten")]
    limit: u8,
    #[serde(default)]
    exact: bool,
    #[serde(default)]
    size: Shape,
    #[serde(flatten)]
    pages: Pages,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown by Debug")]
struct Pages {
    #[serde(default = "ten")]
    page: u8,
    last: Option<u8>,
}

#[derive(Debug, Default, Deserialize)]
enum Shape {
    #[default]
    Round,
    Flat,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown by Debug")]
struct Pair {
    one: u8,
    two: u8,
}

fn ten() -> u8 {
    10
}

#[test]
fn a_field_left_blank_has_its_default() {
    let read = read::<Search>;
    let all = "Search { limit: 10, exact: false, size: Round, pages: Pages { page: 10, last: None } }";
    assert_eq!(read("limit=&exact=&size=&page=&last="), all);
    assert_eq!(read("limit=+&page=+"), all);
    assert_eq!(read("limit=1&limit="), all, "of several the last one counts");
    assert_eq!(read(""), all);
    let other = "Search { limit: 2, exact: true, size: Flat, pages: Pages { page: 3, last: Some(4) } }";
    assert_eq!(read("limit=&limit=2&exact=on&size=Flat&page=3&last=4"), other);
    assert_eq!(read("size=Square&page="), "400: Invalid argument size: expected one of Round, Flat");
    // Without a default it is missing, or what the type says of it.
    assert_eq!(self::read::<Pair>("one=1&two="), "400: Missing argument two");
    assert_eq!(self::read::<HashMap<String, u8>>("a=1&b="), "{\"a\": 1}");
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown by Debug")]
struct Rest<T> {
    #[serde(flatten)]
    rest: BTreeMap<String, T>,
}

#[test]
fn a_flattened_map_takes_as_many_values_as_may_be_sent() {
    let query = |count: usize, value: &str| {
        let pairs: Vec<String> = (0..count).map(|at| format!("k{at:03}={value}")).collect();
        pairs.join("&")
    };
    let read = read::<Rest<u32>>;
    let numbers: BTreeMap<String, u32> = (0..900).map(|at| (format!("k{at:03}"), 7)).collect();
    assert_eq!(read(&query(900, "7")), format!("{:?}", Rest { rest: numbers }));
    assert!(read(&(query(900, "7") + "&x=abc")).contains("Invalid argument x"));
    assert!(read(&(query(900, "7") + "&x=1.5")).contains("Invalid argument x"));
    // Blank ones are missing, but not any number of them: each takes an attempt.
    assert_eq!(read("k0=&k1=&k2=7"), "Rest { rest: {\"k2\": 7} }");
    assert!(read(&query(900, "")).contains("Missing argument"));
    let lists: BTreeMap<String, Vec<i8>> = (0..450).map(|at| (format!("k{at:03}"), vec![-7, -7])).collect();
    let both = format!("{}&{}", query(450, "-7"), query(450, "-7"));
    assert_eq!(self::read::<Rest<Vec<i8>>>(&both), format!("{:?}", Rest { rest: lists }));
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown by Debug")]
struct Wide {
    #[serde(flatten)]
    columns: Columns,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown by Debug")]
struct Columns {
    a: u8,
    b: u8,
    c: u8,
    d: i64,
    e: f64,
    f: u8,
    g: u8,
    h: u8,
    i: u8,
    j: Vec<u8>,
    k: String,
    l: u8,
    m: String,
    n: Vec<String>,
    o: u8,
    p: String,
}

#[test]
fn a_wide_flattened_struct_may_have_texts_that_look_like_numbers() {
    let query: Vec<String> = ('a'..='p').map(|name| format!("{name}=5")).collect();
    let columns = "Columns { a: 5, b: 5, c: 5, d: 5, e: 5.0, f: 5, g: 5, h: 5, i: 5, j: [5], k: \"5\", l: 5, m: \"5\", \
                   n: [\"5\"], o: 5, p: \"5\" }";
    assert_eq!(read::<Wide>(&query.join("&")), format!("Wide {{ columns: {columns} }}"));
}
