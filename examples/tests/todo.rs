//! The example `todo`: forms, tokens, a database.

// The program's own `main` is not called here.
#[path = "../src/bin/todo.rs"]
#[allow(dead_code)]
mod todo;

use rusqlite::Connection;
use web::testing::{self, TestClient, TestResponse};

fn client() -> TestClient {
    TestClient::new(todo::application(Connection::open_in_memory().unwrap()).unwrap())
}

async fn page(client: &TestClient) -> TestResponse {
    let page = client.get("/").send().await;
    page.assert_status(200).assert_template("base.html");
    page
}

/// How many items are to be done.
async fn open(client: &TestClient) -> usize {
    page(client).await.template("index.html").get("open")
}

#[test]
fn items_are_added_done_and_deleted() {
    testing::run(async {
        let client = client();
        page(&client).await.assert_contains("Enjoy the day");
        let added = client.post("/items").xsrf_form([("text", "buy <bread>")]).send().await;
        added.assert_status(303).assert_redirect("/");
        page(&client).await.assert_contains("buy &lt;bread&gt;").assert_contains("<title>1 to do</title>");
        assert_eq!(open(&client).await, 1);
        client.post("/items/1/done").xsrf().send().await.assert_status(303);
        assert_eq!(open(&client).await, 0);
        client.post("/items/1/delete").xsrf().send().await.assert_status(303);
        page(&client).await.assert_contains("Enjoy the day");
        client.post("/items/1/done").xsrf().send().await.assert_status(404);
    });
}

#[test]
fn each_form_of_the_page_has_its_token() {
    testing::run(async {
        let client = client();
        client.post("/items").xsrf_form([("text", "one")]).send().await.assert_status(303);
        let page = page(&client).await;
        let (forms, fields) = ["<form", "name=\"_xsrf\""].map(|text| page.text().matches(text).count()).into();
        assert_eq!((forms, fields), (3, 3));
        let form = [("text", "two"), ("_xsrf", page.xsrf_token())];
        client.post("/items").form(form).send().await.assert_status(303);
    });
}

#[test]
fn a_form_without_its_token_changes_nothing() {
    testing::run(async {
        let client = client();
        for token in [None, Some(""), Some("2|00000000|00000000|0")] {
            let form = [("text", "x")].into_iter().chain(token.map(|token| ("_xsrf", token)));
            client.post("/items").form(form).send().await.assert_status(403);
        }
        page(&client).await.assert_contains("Enjoy the day");
    });
}

#[test]
fn a_text_that_is_no_item_is_shown_what_is_wrong_with_it() {
    testing::run(async {
        let client = client();
        for text in [String::new(), "   ".to_owned(), "x".repeat(201)] {
            let answer = client.post("/items").xsrf_form([("text", &text)]).send().await;
            answer
                .assert_status(422)
                .template("index.html")
                .assert_value("problem", "Between 1 and 200 characters, please.");
        }
        page(&client).await.assert_contains("Enjoy the day");
    });
}
