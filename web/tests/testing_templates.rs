//! The test kit: which templates were rendered, and with what.

#[path = "util/failure.rs"]
mod failure;

use failure::failure;
use serde::{Deserialize, Serialize};
use web::{
    Application, Error, Exchange, Next, StatusCode, spawn,
    templates::{Templates, context, minijinja},
    testing::{self, Level, TestClient, capture_log},
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Item {
    name: String,
    price: u32,
}

#[derive(Serialize)]
struct Page {
    title: &'static str,
    items: Vec<Item>,
}

fn items() -> Vec<Item> {
    vec![Item { name: "tea".to_owned(), price: 4 }, Item { name: "milk".to_owned(), price: 1 }]
}

fn templates() -> Templates {
    let templates = Templates::embedded([
        ("base.html", "<title>{{ title }}</title>{% block body %}{% endblock %}{% include 'part/foot.html' %}"),
        ("part/foot.html", "<p>{{ user }} likes {{ theme }}</p>"),
        (
            "items.html",
            "{% extends 'base.html' %}{% from 'macros.html' import price %}\
             {% block body %}{% for item in items %}{{ price(item) }}{% endfor %}{% endblock %}",
        ),
        ("macros.html", "{% macro price(item) %}{{ item.name }}: {{ item.price }} {% endmacro %}"),
        ("choice.html", "{% include ['missing.html', 'part/foot.html'] %}{% include 'none.html' ignore missing %}"),
        ("mail.txt", "Dear {{ name }}"),
        ("broken.html", "{{ missing.attribute }}"),
        ("error.html", "{{ status }}"),
    ]);
    templates.unwrap().value("user", |_| Ok("ada")).value("unused", |_| Ok("never asked for"))
}

async fn theme(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    exchange.set_template_value("theme", "none");
    exchange.set_template_value("theme", "dark");
    exchange.set_template_value("title", "of the request");
    next.run(exchange).await
}

async fn index(exchange: &mut Exchange) -> web::Result<()> {
    exchange.render("items.html", Page { title: "Shop", items: items() })
}

fn client() -> TestClient {
    let application = Application::new()
        .get("/", index)
        .get("/choice", async |exchange: &mut Exchange| exchange.render("choice.html", ()))
        .get("/plain", async |exchange: &mut Exchange| {
            exchange.write_text("no template");
            Ok(())
        })
        .get("/mail", async |exchange: &mut Exchange| {
            let name: String = exchange.query("name")?;
            let mail = exchange.render_string("mail.txt", context! { name })?;
            exchange.write_text(mail.len().to_string());
            Ok(())
        })
        .get("/broken", async |exchange: &mut Exchange| exchange.render("broken.html", context! { missing => 1 }))
        .get("/unknown", async |exchange: &mut Exchange| exchange.render("unknown.html", ()))
        .get("/teapot", async |_: &mut Exchange| Err(Error::http(StatusCode::IM_A_TEAPOT, "short and stout")))
        .error_page(|exchange, error| {
            let _ = exchange.render("error.html", context! { status => error.status().as_u16() });
        })
        .wrap(theme)
        .templates(templates());
    TestClient::new(application)
}

#[test]
fn an_answer_tells_which_template_was_rendered_and_with_what() {
    testing::run(async {
        let response = client().get("/").send().await;
        response.assert_template("items.html");
        let names: Vec<String> = response.templates().iter().map(|rendered| rendered.name().to_owned()).collect();
        assert_eq!(names, ["items.html"]);
        let page = response.template("items.html");
        assert_eq!(page.get::<Vec<Item>>("items"), items());
        page.assert_value("items", items()).assert_value("title", "Shop");
        assert_eq!(page.context().get_attr("title").unwrap().as_str(), Some("Shop"));
        assert_eq!(page.text(), Some(response.text()));
    });
}

#[test]
fn arrays_tuples_and_lists_are_lists_to_a_template() {
    testing::run(async {
        let application = Application::new().templates(templates()).get("/", async |exchange: &mut Exchange| {
            let rows = vec![context! { cells => vec![1, 2] }, context! { cells => vec![3] }];
            exchange
                .render_string("mail.txt", context! { name => "ada", pair => ("a", 1), list => vec!["b"], rows })?;
            Ok(())
        });
        let mail = TestClient::new(application).get("/").send().await.template("mail.txt");
        mail.assert_value("list", ["b"]).assert_value("list", vec!["b"]).assert_value("pair", ("a", 1));
        mail.assert_value("rows", [context! { cells => [1, 2] }, context! { cells => (3,) }]);
        for (name, other) in [("list", vec!["c"]), ("list", vec!["b", "b"]), ("list", vec![])] {
            failure(|| mail.assert_value(name, other));
        }
        failure(|| mail.assert_value("rows", [context! { cells => [1, 2] }, context! { cells => [4] }]));
        failure(|| mail.assert_value("rows", [context! { cells => [1, 2] }, context! { others => [3] }]));
    });
}

#[test]
fn values_of_the_request_are_known_and_computed_ones_if_the_template_has_asked() {
    testing::run(async {
        let page = client().get("/").send().await.template("items.html");
        page.assert_value("theme", "dark").assert_value("user", "ada");
        assert_eq!(page.value("unused"), None);
        assert_eq!(page.value("nothing"), None);
        page.assert_value("title", "Shop");
    });
}

#[test]
fn what_a_template_extends_includes_and_imports_are_its_parts() {
    testing::run(async {
        let client = client();
        let response = client.get("/").send().await;
        for name in ["base.html", "macros.html", "part/foot.html"] {
            response.assert_template(name);
        }
        response.assert_no_template("mail.txt");
        let mut parts = response.template("items.html").parts();
        parts.sort();
        assert_eq!(parts, ["base.html", "macros.html", "part/foot.html"]);

        let response = client.get("/choice").send().await;
        assert_eq!(response.template("choice.html").parts(), ["part/foot.html"], "those that there are");
    });
}

#[test]
fn each_answer_has_its_own_templates() {
    testing::run(async {
        let client = client();
        client.get("/").send().await.assert_template("items.html");
        assert!(client.get("/plain").send().await.templates().is_empty(), "on the same connection");

        let (ada, grace) = (client.get("/mail?name=ada").start(), client.another().get("/mail?name=grace").start());
        let (ada, grace) = (ada.await, grace.await);
        ada.template("mail.txt").assert_value("name", "ada");
        assert_eq!(grace.template("mail.txt").text(), Some("Dear grace"));
        grace.assert_no_template("items.html");
    });
}

#[test]
fn error_pages_are_templates_too_and_one_that_failed_has_no_text() {
    testing::run(async {
        let log = capture_log();
        let client = client();
        client.get("/teapot").send().await.template("error.html").assert_value("status", 418);
        let response = client.get("/broken").send().await;
        assert_eq!(response.template("broken.html").text(), None);
        response.template("error.html").assert_value("status", 500);
        let response = client.get("/unknown").send().await;
        assert_eq!(response.template("unknown.html").text(), None);
        log.expect(Level::Error, "web", "unknown.html");
    });
}

#[test]
fn a_streamed_answer_gets_its_templates_one_by_one() {
    testing::run(async {
        let application = Application::new().templates(templates()).get("/", async |exchange: &mut Exchange| {
            for name in ["ada", "grace"] {
                let text = exchange.render_string("mail.txt", context! { name })?;
                exchange.write_text(text);
                exchange.flush().await?;
                web::sleep(std::time::Duration::from_secs(1)).await;
            }
            Ok(())
        });
        let mut stream = TestClient::new(application).get("/").stream().await;
        stream.assert_next("Dear ada").await;
        assert_eq!(stream.templates().len(), 1);
        let response = stream.finish().await;
        assert_eq!(response.templates().len(), 2);
        response.template("mail.txt").assert_value("name", "grace");
    });
}

#[test]
fn an_application_that_is_asked_by_a_handler_renders_for_the_same_answer() {
    use web::{Request, httpserver::Service};

    testing::run(async {
        let inner = std::rc::Rc::new(Application::new().templates(templates()).get("/", index).wrap(theme));
        let outer = Application::new().get("/", async move |exchange: &mut Exchange| {
            let inner = std::rc::Rc::clone(&inner);
            let mut response = inner.call(Request::builder().target("/").build()?).await;
            exchange.write(response.body_mut().bytes(10_000).await?);
            Ok(())
        });
        TestClient::new(outer).get("/").send().await.assert_template("items.html");
    });
}

#[test]
fn what_no_test_client_has_asked_for_is_rendered_all_the_same() {
    use web::{Request, httpserver::Service};

    testing::run(async {
        let client = client();
        let other = spawn(async {
            let application = Application::new().templates(templates()).get("/", index).wrap(theme);
            application.call(Request::builder().target("/").build().unwrap()).await.status()
        });
        assert_eq!(other.await.unwrap(), 200);
        client.get("/").send().await.assert_template("items.html");
    });
}

#[test]
fn a_failure_says_what_was_rendered() {
    testing::run(async {
        let client = client();
        let response = client.get("/choice").send().await;
        let text = failure(|| response.template("other.html"));
        assert!(text.contains("expected the template other.html to be rendered"), "{text}");
        assert!(text.contains("choice.html (with part/foot.html)"), "{text}");
        let text = failure(|| response.assert_no_template("part/foot.html"));
        assert!(text.contains("not to be rendered"), "{text}");
        let plain = client.get("/plain").send().await;
        assert!(failure(|| plain.assert_template("x.html")).contains("and none was"));

        let page = client.get("/").send().await.template("items.html");
        assert!(failure(|| page.assert_value("title", "Other")).contains("to be 'Other', got 'Shop'"));
        assert!(failure(|| page.get::<u8>("no")).contains("no \"no\""));
        assert!(failure(|| page.get::<u8>("title")).contains("is 'Shop'"));
    });
}

#[test]
fn an_environment_with_joining_of_its_own_works_without_parts() {
    testing::run(async {
        let templates = templates().environment(|environment: &mut minijinja::Environment<'static>| {
            environment.set_path_join_callback(|name, _| name.into());
        });
        let client = TestClient::new(Application::new().get("/", index).wrap(theme).templates(templates));
        let page = client.get("/").send().await.template("items.html");
        assert!(page.parts().is_empty());
        assert!(page.text().is_some());
    });
}

async fn letters(exchange: &mut Exchange) -> web::Result<()> {
    let mut socket = exchange.websocket().await?;
    while let Some(message) = socket.receive().await? {
        let name = message.as_text().unwrap_or_default().to_owned();
        let letter = exchange.render_string("mail.txt", context! { name })?;
        socket.send(letter).await?;
    }
    Ok(())
}

#[test]
fn what_a_websocket_renders_is_noted_with_it() {
    testing::run(async {
        let application = Application::new().get("/letters", letters).templates(templates());
        let client = TestClient::new(application);
        let (mut first, mut second) =
            (client.get("/letters").websocket().await, client.get("/letters").websocket().await);
        assert!(first.templates().is_empty());
        let text = failure(|| first.template("mail.txt"));
        assert!(text.contains("expected the template mail.txt to be rendered, and none was"), "{text}");
        for name in ["ada", "grace"] {
            first.send(name).await;
            first.assert_next(format!("Dear {name}").as_str()).await;
        }
        second.send("alan").await;
        second.assert_next("Dear alan").await;
        assert_eq!(first.templates().len(), 2);
        first.template("mail.txt").assert_value("name", "grace");
        second.template("mail.txt").assert_value("name", "alan");
    });
}
