//! Queries and forms, against the crate `form_urlencoded` and as a struct.

use std::collections::BTreeMap;

use serde::Deserialize;
use web::{Application, Arguments, Exchange, MAX_ARGUMENTS, Method, Request};

use super::in_process::send;

/// Fields of all kinds, some of them flattened.
#[derive(Debug, Deserialize)]
struct Form {
    a: String,
    b: Option<u8>,
    #[serde(default)]
    c: Vec<i64>,
    #[serde(default)]
    d: bool,
    #[serde(flatten)]
    inner: Inner,
}

#[derive(Debug, Deserialize)]
struct Inner {
    e: Option<f64>,
    #[serde(default)]
    f: Vec<String>,
    g: Option<char>,
}

/// A form.
pub fn run(form: &[u8]) {
    let Ok(arguments) = Arguments::parse(form) else {
        let separators = form.iter().filter(|&&byte| byte == b'&').count();
        return assert!(separators >= MAX_ARGUMENTS, "{separators} are refused");
    };
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let ours: Vec<_> = arguments.decoded().map(|(name, value)| (lossy(&name), lossy(&value))).collect();
    let theirs: Vec<_> = form_urlencoded::parse(form).into_owned().collect();
    assert_eq!(ours, theirs, "{}", form.escape_ascii());
    check_struct(form, &ours);
}

/// The struct has what a look-up of each field finds.
fn check_struct(form: &[u8], pairs: &[(String, String)]) {
    let last = pairs.iter().cloned().collect::<BTreeMap<_, _>>();
    let read = async move |exchange: &mut Exchange| {
        let form: Form = exchange.form_as().await?;
        assert_eq!(Some(&form.a), last.get("a"));
        assert_eq!(form.b, exchange.form_opt("b").await?);
        assert_eq!(form.c, exchange.form_all::<i64>("c").await?);
        assert_eq!(form.d, last.get("d").is_some_and(|text| matches!(text.trim_ascii(), "true" | "on")));
        assert_eq!(form.inner.f, exchange.form_all::<String>("f").await?);
        let _ = (form.inner.e, form.inner.g);
        Ok(())
    };
    let request = Request::builder().method(Method::POST).header("Content-Type", "application/x-www-form-urlencoded");
    let answer = send(&Application::new().post("/", read), request.body(form.to_vec()));
    assert!(matches!(answer.status, 200 | 400), "{}: {answer:?}", form.escape_ascii());
}
