//! A cookie that is set, and comes back.

use std::rc::Rc;

use web::{Application, Exchange, Request};

use super::in_process::{get, send};

/// A name, a zero, and a value.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (name, value) = text.split_once('\0').unwrap_or(("name", &text));
    let (name, value): (Rc<str>, Rc<str>) = (name.into(), value.into());
    let cookie = (Rc::clone(&name), Rc::clone(&value));
    let set = async move |exchange: &mut Exchange| exchange.set_cookie((cookie.0.to_string(), cookie.1.to_string()));
    let answer = get(&Application::new().get("/", set), "/");
    // What cannot be sent is the program's fault, and never sent in part.
    let Some(line) = answer.header("set-cookie") else { return assert_eq!(answer.status, 500) };
    assert_eq!(answer.status, 200);
    let sent = line.split(';').next().expect("a pair");
    let found = async move |exchange: &mut Exchange| {
        let all: Vec<_> = exchange.cookies().map(|(name, value)| (name.to_owned(), value.into_owned())).collect();
        assert_eq!(all, [(name.to_string(), value.to_string())]);
        Ok(())
    };
    let request = Request::builder().header("Cookie", sent);
    assert_eq!(send(&Application::new().get("/", found), request).status, 200, "{line}");
}
