//! The example `todo`: forms, tokens, a database.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{env, fs, path::PathBuf};

use support::{
    Program,
    http::{Answer, Client},
};

/// A browser with the page open.
struct Browser {
    client: Client,
    cookie: String,
    _program: Program,
    database: PathBuf,
}

impl Browser {
    fn open(name: &str) -> Browser {
        let database = env::temp_dir().join(format!("todo-{name}-{}.sqlite", std::process::id()));
        let arguments = ["--port", "0", "--database", database.to_str().expect("a path of text")];
        let mut program = Program::start(env!("CARGO_BIN_EXE_todo"), &arguments);
        let mut client = Client::connect(program.listening());
        let cookie =
            client.get("/").header("set-cookie").expect("a page with forms sets the token's cookie").to_owned();
        let cookie = cookie.split(';').next().expect("a cookie has a value").to_owned();
        Browser { client, cookie, _program: program, database }
    }

    fn page(&mut self) -> String {
        self.client.request("GET", "/", &[&format!("Cookie: {}", self.cookie)], "").body
    }

    /// Sends a form of the page, as the page has it.
    fn submit(&mut self, target: &str, fields: &str) -> Answer {
        let page = self.page();
        let token = page.split("name=\"_xsrf\" value=\"").nth(1).expect("a form has a token");
        let token = token.split('"').next().expect("a value ends").to_owned();
        self.post(target, &format!("_xsrf={}&{fields}", token.replace('|', "%7C")))
    }

    fn post(&mut self, target: &str, form: &str) -> Answer {
        let cookie = format!("Cookie: {}", self.cookie);
        self.client.request("POST", target, &["Content-Type: application/x-www-form-urlencoded", &cookie], form)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.database);
    }
}

#[test]
fn items_are_added_done_and_deleted() {
    let mut browser = Browser::open("life");
    assert!(browser.page().contains("Enjoy the day"));
    let added = browser.submit("/items", "text=buy+%3Cbread%3E");
    assert_eq!((added.status, added.header("location")), (303, Some("/")));
    let page = browser.page();
    assert!(page.contains("buy &lt;bread&gt;") && page.contains("<title>1 to do</title>"), "{page}");
    assert_eq!(browser.submit("/items/1/done", "").status, 303);
    assert!(browser.page().contains("<title>0 to do</title>"));
    assert_eq!(browser.submit("/items/1/delete", "").status, 303);
    assert!(browser.page().contains("Enjoy the day"));
    assert_eq!(browser.submit("/items/1/done", "").status, 404);
}

#[test]
fn a_form_without_its_token_changes_nothing() {
    let mut browser = Browser::open("xsrf");
    for form in ["text=x", "_xsrf=&text=x", "_xsrf=2%7C00000000%7C00000000%7C0&text=x"] {
        assert_eq!(browser.post("/items", form).status, 403, "{form}");
    }
    assert!(browser.page().contains("Enjoy the day"));
}

#[test]
fn a_text_that_is_no_item_is_shown_what_is_wrong_with_it() {
    let mut browser = Browser::open("problem");
    for text in [String::new(), "+++".to_owned(), "x".repeat(201)] {
        let answer = browser.submit("/items", &format!("text={text}"));
        assert_eq!(answer.status, 422);
        assert!(answer.body.contains("Between 1 and 200 characters"), "{}", answer.body);
    }
    assert!(browser.page().contains("Enjoy the day"));
}
