//! Structs from queries, forms and paths.

mod util;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt::Debug,
    net::IpAddr,
    num::NonZeroU8,
};

use proptest::{collection::vec, option, prelude::*};
use serde::{Deserialize, de::DeserializeOwned};
use util::in_process::{Answer, Local};
use web::{Application, Exchange};

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Shows what `T` becomes of a query, and of a form.
fn local<T: DeserializeOwned + Debug + 'static>() -> Local {
    let query = async |exchange: &mut Exchange| {
        let value: T = exchange.query_as()?;
        exchange.write_text(format!("{value:?}"));
        Ok(())
    };
    let form = async |exchange: &mut Exchange| {
        let value: T = exchange.form_as().await?;
        exchange.write_text(format!("{value:?}"));
        Ok(())
    };
    Local(Application::new().get("/", query).post("/", form))
}

/// What `T` becomes of a query: its `Debug`, or the status with the text of the page.
fn read<T: DeserializeOwned + Debug + 'static>(query: &str) -> String {
    let local = local::<T>();
    let shown = text(&local.get(&format!("/?{query}")));
    let form = text(&local.send("POST", "/", FORM, query.to_owned().leak()));
    assert_eq!(shown, form, "{query}");
    shown
}

fn text(answer: &Answer) -> String {
    match answer.text().split_once("<body>") {
        Some((_, page)) => page.strip_suffix("</body></html>").expect("its end").to_owned(),
        None => answer.text().to_owned(),
    }
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown by Debug")]
struct Order {
    name: String,
    count: u8,
    note: Option<String>,
    price: Option<f64>,
    #[serde(default)]
    express: bool,
    #[serde(default)]
    tag: Vec<String>,
    size: Option<Size>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Size {
    Small,
    Large,
}

#[test]
fn a_struct_is_read_by_the_types_of_its_fields() {
    assert_eq!(
        read::<Order>("name=tea+pot&count=+2&note=&price=1.5&express=on&tag=a&tag=%C3%A9&size=large&other=x"),
        r#"Order { name: "tea pot", count: 2, note: Some(""), price: Some(1.5), express: true, tag: ["a", "é"], size: Some(Large) }"#
    );
    let least = r#"Order { name: "", count: 2, note: None, price: None, express: false, tag: [], size: None }"#;
    assert_eq!(read::<Order>("name=&count=1&count=2"), least, "the last one counts");
    assert_eq!(read::<Order>("name=&count=2&price=+&size="), least, "fields left blank");
}

#[test]
fn each_fault_is_400_and_names_the_field() {
    let unsigned = "expected a whole number in range, not negative";
    for (query, expected) in [
        ("count=1", "Missing argument name"),
        ("name=a", "Missing argument count"),
        ("name=a&count=", "Missing argument count"),
        ("name=a&count=256", &*format!("Invalid argument count: {unsigned}")),
        ("name=a&count=%3Cb%3E", &*format!("Invalid argument count: {unsigned}")),
        ("name=a&count=1&price=free", "Invalid argument price: expected a number"),
        ("name=a&count=1&express=perhaps", "Invalid argument express: expected true or false"),
        ("name=a&count=1&size=%3Cscript%3E", "Invalid argument size: expected one of small, large"),
        ("name=%ff&count=1", "Invalid argument value: it is not UTF-8"),
        ("name=a&count=1&%ff=", "Invalid argument name: it is not UTF-8"),
    ] {
        assert_eq!(read::<Order>(query), format!("400: {expected}"), "{query}");
    }
    assert_eq!(read::<Order>(&"name=a&".repeat(1001)), "400: Too many arguments");
}

#[test]
fn lists_are_all_arguments_of_a_name() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "shown by Debug")]
    struct Lists {
        n: Vec<i32>,
        pair: Option<(u8, char)>,
        set: Option<HashSet<u8>>,
    }
    assert_eq!(
        read::<Lists>("n=1&pair=7&n=-2&n=&pair=x&set=4&set=4"),
        "Lists { n: [1, -2], pair: Some((7, 'x')), set: Some({4}) }"
    );
    assert_eq!(read::<Lists>(""), "400: Missing argument n");
    assert_eq!(read::<Lists>("n=1&n=x"), "400: Invalid argument n: expected a whole number in range");
    assert_eq!(read::<Lists>("n=1&pair=1"), "400: Invalid argument pair: expected a tuple of size 2");
    let many = format!("Lists {{ n: {:?}, pair: None, set: None }}", vec![1; 500]);
    assert_eq!(read::<Lists>("n=1&n=&".repeat(500).trim_end_matches('&')), many, "every other one is blank");
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown by Debug")]
struct Paging {
    page: u32,
    per: Option<NonZeroU8>,
    #[serde(default)]
    all: bool,
    #[serde(default)]
    tag: Vec<String>,
    title: Option<String>,
    factor: Option<f32>,
}

#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "shown by Debug")]
struct Search {
    q: String,
    #[serde(flatten)]
    paging: Paging,
}

#[test]
fn a_flattened_struct_is_read_by_its_types_too() {
    assert_eq!(
        read::<Search>("q=7&page=2&per=3&all=on&tag=1&tag=x&title=5&factor=-2"),
        r#"Search { q: "7", paging: Paging { page: 2, per: Some(3), all: true, tag: ["1", "x"], title: Some("5"), factor: Some(-2.0) } }"#
    );
    assert_eq!(
        read::<Search>("q=7&page=7&per=&title=7&tag=7&factor="),
        r#"Search { q: "7", paging: Paging { page: 7, per: None, all: false, tag: ["7"], title: Some("7"), factor: None } }"#
    );
    for (query, expected) in [
        ("q=1", "Missing argument page"),
        ("q=1&page=x", "Invalid argument page: expected a whole number in range, not negative"),
        ("q=1&page=-1", "Invalid argument page: expected a whole number in range, not negative"),
        ("q=1&page=1&all=2", "Invalid argument all: expected true or false"),
        ("q=1&page=1&per=0", "Invalid argument per: expected a nonzero u8"),
        ("q=1&page=", "Missing argument page"),
        ("q=1&page=&per=&title=&factor=", "Missing argument page"),
    ] {
        assert_eq!(read::<Search>(query), format!("400: {expected}"), "{query}");
    }
}

#[test]
fn an_enum_with_a_tag_inside_is_read() {
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    #[expect(dead_code, reason = "shown by Debug")]
    enum Payment {
        Card { number: u64 },
        Cash,
    }
    assert_eq!(read::<Payment>("kind=card&number=12"), "Card { number: 12 }");
    assert_eq!(read::<Payment>("kind=cash"), "Cash");
    assert_eq!(read::<Payment>("kind=gold"), "400: Invalid argument kind: expected one of card, cash");
    assert_eq!(read::<Payment>("number=1"), "400: Missing argument kind");
}

#[test]
fn unknown_arguments_are_refused_where_the_struct_says_so() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "shown by Debug")]
    struct Strict {
        a: u8,
        #[serde(default)]
        b: u8,
    }
    assert_eq!(read::<Strict>("a=1"), "Strict { a: 1, b: 0 }");
    assert_eq!(read::<Strict>("a=1&%3Cb%3E=1"), "400: Unknown argument; known: a, b");
}

#[test]
fn a_map_takes_whatever_was_sent_and_names_nothing_that_could_be_markup() {
    assert_eq!(read::<BTreeMap<String, Vec<u8>>>("b=1&a=2&b=3"), r#"{"a": [2], "b": [1, 3]}"#);
    assert_eq!(read::<BTreeMap<String, Option<u8>>>("b=&a=2"), r#"{"a": Some(2), "b": None}"#);
    let fault = "expected a whole number in range, not negative";
    assert_eq!(read::<HashMap<String, u8>>("a=x"), format!("400: Invalid argument a: {fault}"));
    assert_eq!(read::<HashMap<String, u8>>("%3Cb%3E=x"), format!("400: Invalid argument value: {fault}"));
}

#[test]
fn what_a_type_says_by_itself_is_told_unless_it_repeats_the_value() {
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Even(#[expect(dead_code, reason = "shown by Debug")] u32);
    impl TryFrom<String> for Even {
        type Error = String;
        fn try_from(text: String) -> Result<Even, String> {
            match text.parse() {
                Ok(number) if number % 2 == 0 => Ok(Even(number)),
                Ok(_) => Err("only even numbers are taken".to_owned()),
                Err(_) => Err(format!("{text} is no number")),
            }
        }
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "shown by Debug")]
    struct One {
        n: Option<Even>,
        address: Option<IpAddr>,
        #[serde(alias = "other")]
        name: Option<String>,
    }
    assert_eq!(read::<One>("n=4&address=::1"), "One { n: Some(Even(4)), address: Some(::1), name: None }");
    assert_eq!(read::<One>("n=&address="), "One { n: None, address: None, name: None }");
    assert_eq!(read::<One>("n=3"), "400: Invalid argument n: only even numbers are taken");
    for hidden in ["n=secret", "n=%3C1", "n=%001"] {
        assert_eq!(read::<One>(hidden), "400: Invalid argument n: it is not valid", "{hidden}");
    }
    assert_eq!(read::<One>("address=here"), "400: Invalid argument address: invalid IP address syntax");
    assert_eq!(read::<One>("name=a&other=b"), "400: Invalid argument name: it was sent under two names");
}

#[test]
fn a_type_that_no_arguments_can_be_is_the_programs_fault() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "shown by Debug")]
    struct Outer {
        inner: Strict,
    }
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "shown by Debug")]
    struct Strict {
        a: u8,
    }
    assert_eq!(read::<Outer>("inner=1"), "500: Internal Server Error");
    assert_eq!(read::<u32>("a=1"), "500: Internal Server Error");
    assert_eq!(read::<()>("a=1"), "()");
}

#[test]
fn a_body_that_is_no_form_is_415() {
    let local = local::<HashMap<String, String>>();
    assert_eq!(local.send("POST", "/", "Content-Type: application/json\r\n", "{}").status, 415);
    assert_eq!(local.send("POST", "/", "", "a=1").status, 415);
    assert_eq!(local.send("POST", "/", &format!("{FORM}Content-Encoding: gzip\r\n"), "a=1").status, 415);
    assert_eq!(local.send("POST", "/", FORM, "").text(), "{}");
}

#[test]
fn the_parameters_of_a_path_are_a_struct() {
    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "shown by Debug")]
    struct Day {
        year: u16,
        month: u8,
        rest: Option<String>,
    }
    let day = async |exchange: &mut Exchange| {
        let day: Day = exchange.path_as()?;
        exchange.write_text(format!("{day:?}"));
        Ok(())
    };
    let local = Local(
        Application::new()
            .get("/{year}/{month}", day)
            .get("/{year}/{month}/at/{*rest}", day)
            .get("/only/this/{year}", day),
    );
    assert_eq!(local.get("/2026/11").text(), "Day { year: 2026, month: 11, rest: None }");
    assert_eq!(local.get("/2026/11/at/a/b%20").text(), r#"Day { year: 2026, month: 11, rest: Some("a/b ") }"#);
    let answer = local.get("/2026/november");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("Invalid path parameter month: expected a whole number"), "{answer:?}");
    assert_eq!(local.get("/2026/%ff").status, 400);
    assert_eq!(local.get("/only/this/2026").status, 500, "the route has no month");
}

/// All kinds of fields, and once more in a flattened struct.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
struct Everything {
    a_text: String,
    b_number: i64,
    c_share: f64,
    d_truth: bool,
    e_letter: char,
    f_maybe: Option<u16>,
    #[serde(default)]
    g_list: Vec<i32>,
    #[serde(default)]
    h_texts: Vec<String>,
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
struct Inner {
    i_text: String,
    j_number: i64,
    k_share: f64,
    l_truth: bool,
    m_maybe: Option<u16>,
    #[serde(default)]
    n_list: Vec<i32>,
    #[serde(default)]
    o_texts: Vec<String>,
}

prop_compose! {
    /// Texts that look like something else among them.
    fn any_text()(text in prop_oneof![any::<String>(), "-?[0-9]{0,3}", "true|on|off| "]) -> String { text }
}

prop_compose! {
    fn inner()(
        i_text in any_text(), j_number: i64, k_share in -1e9..1e9, l_truth: bool, m_maybe: Option<u16>,
        n_list in vec(any::<i32>(), 0..3), o_texts in vec(any_text(), 0..3),
    ) -> Inner {
        Inner { i_text, j_number, k_share, l_truth, m_maybe, n_list, o_texts }
    }
}

prop_compose! {
    fn everything()(
        a_text in any_text(), b_number: i64, c_share in -1e9..1e9, d_truth: bool, e_letter: char,
        f_maybe in option::of(any::<u16>()), g_list in vec(any::<i32>(), 0..3), h_texts in vec(any_text(), 0..3),
        inner in inner(),
    ) -> Everything {
        Everything { a_text, b_number, c_share, d_truth, e_letter, f_maybe, g_list, h_texts, inner }
    }
}

/// The fields as a form sends them. Options that are `None` are left blank.
fn encode(all: &Everything) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    let mut field = |name: &str, value: &dyn ToString| {
        form.append_pair(name, &value.to_string());
    };
    let blank = |maybe: Option<u16>| maybe.map_or(String::new(), |value| value.to_string());
    field("o_other", &"ignored");
    field("a_text", &all.a_text);
    field("b_number", &all.b_number);
    field("c_share", &all.c_share);
    field("d_truth", &all.d_truth);
    field("e_letter", &all.e_letter);
    field("f_maybe", &blank(all.f_maybe));
    all.g_list.iter().for_each(|value| field("g_list", value));
    all.h_texts.iter().for_each(|value| field("h_texts", value));
    let inner = &all.inner;
    field("i_text", &inner.i_text);
    field("j_number", &inner.j_number);
    field("k_share", &inner.k_share);
    field("l_truth", &if inner.l_truth { "on" } else { "off" });
    field("m_maybe", &blank(inner.m_maybe));
    inner.n_list.iter().for_each(|value| field("n_list", value));
    inner.o_texts.iter().for_each(|value| field("o_texts", value));
    form.finish()
}

proptest! {
    #[test]
    fn any_struct_comes_back(all in everything()) {
        let query = encode(&all);
        prop_assert_eq!(read::<Everything>(&query), format!("{:?}", all), "{}", query);
    }

    #[test]
    fn any_query_is_a_struct_or_refused(
        query in "((a_text|b_number|e_letter|f_maybe|g_list|i_text|j_number|k_share|l_truth|m_maybe|n_list)(=[0-9a-z+%]{0,4})?&){0,12}",
    ) {
        let text = read::<Everything>(query.trim_end_matches('&'));
        prop_assert!(text.starts_with("Everything {") || text.starts_with("400: "), "{}", text);
    }
}
