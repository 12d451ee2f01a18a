//! Pages made by templates.

#[path = "util/scratch.rs"]
mod scratch;

use std::{collections::HashMap, fs, os::unix::fs::symlink};

use scratch::Scratch;
use serde::Serialize;
use web::{
    Application, Error, Exchange, Next, Route, StaticFiles,
    security::Xsrf,
    templates::{Kwargs, Serde, Templates, Value, context, from_args},
    testing::{self, TestClient, TestResponse, capture_log},
};

/// An application that renders one template, with a context that tries to break out.
fn page(template: &'static str, templates: Templates) -> Application {
    let handler = async move |exchange: &mut Exchange| -> web::Result<()> {
        exchange.render(template, context! { name => "<b>&\"'", rows => vec![1, 2, 3], empty => "" })
    };
    Application::new().get("/", handler).templates(templates)
}

fn show(name: &'static str, all: &[(&'static str, &'static str)]) -> TestResponse {
    let templates = Templates::embedded(all.iter().copied()).unwrap();
    ask(page(name, templates))
}

fn ask(application: Application) -> TestResponse {
    testing::run(async move { TestClient::new(application).get("/").send().await })
}

/// What the log says about a template that fails.
fn failure(name: &'static str, all: &[(&'static str, &'static str)]) -> String {
    let templates = Templates::embedded(all.iter().copied()).unwrap();
    failure_of(page(name, templates))
}

fn failure_of(application: Application) -> String {
    testing::run(async move {
        let log = capture_log();
        let client = TestClient::new(application);
        let page = "<html><title>500: Internal Server Error</title><body>500: Internal Server Error</body></html>";
        client.get("/").send().await.assert_status(500).assert_text(page);
        log.take().iter().filter(|line| line.target == "web").map(|line| line.message.clone()).collect()
    })
}

#[test]
fn a_page_is_html_and_escapes_what_is_put_into_it() {
    let answer = show("a.html", &[("a.html", "<p title=\"{{ name }}\">{{ name }}</p>")]);
    answer.assert_status(200).assert_header("content-type", "text/html; charset=utf-8");
    let escaped = "&lt;b&gt;&amp;&quot;&#x27;";
    answer.assert_text(format!("<p title=\"{escaped}\">{escaped}</p>"));
}

#[test]
fn text_is_not_escaped_and_never_sent_as_html() {
    let answer = show("a.txt", &[("a.txt", "{{ name }}")]);
    answer.assert_header("content-type", "text/plain; charset=utf-8").assert_text("<b>&\"'");
    show("noext", &[("noext", "{{ name }}")]).assert_header("content-type", "text/plain; charset=utf-8");
}

#[test]
fn json_and_scripts_get_json_values() {
    let answer = show("a.json", &[("a.json", "{\"name\": {{ name }}}")]);
    answer.assert_header("content-type", "application/json");
    assert_eq!(serde_json::from_str::<HashMap<String, String>>(answer.text()).unwrap()["name"], "<b>&\"'");
    let script = "<script>let name = {{ name|tojson }};</script>";
    let answer = show("a.html", &[("a.html", script)]);
    assert!(!answer.text()[9..].starts_with('<') && !answer.text().contains("<b>"), "{}", answer.text());
}

#[test]
fn safe_text_and_blocks_that_say_so_are_put_in_as_they_are() {
    show("a.html", &[("a.html", "{{ name|safe }}")]).assert_text("<b>&\"'");
    show("a.html", &[("a.html", "{% autoescape false %}{{ name }}{% endautoescape %} {{ empty }}")])
        .assert_text("<b>&\"' ");
}

#[test]
fn blocks_of_a_child_are_escaped_by_the_rule_of_where_they_stand() {
    let base = ("base.html", "base: {% block name %}{{ name }}{% endblock %}");
    show("base.html", &[base]).assert_text("base: &lt;b&gt;&amp;&quot;&#x27;");
    show(
        "a.html",
        &[base, ("a.html", "{% extends \"base.html\" %}{% block name %}extended: {{ name }}{% endblock %}")],
    )
    .assert_text("base: extended: &lt;b&gt;&amp;&quot;&#x27;");
    let plain = "{% extends \"base.html\" %}{% block name %}{{ super()|upper }}{% endblock %}";
    show("a.html", &[base, ("a.html", plain)]).assert_text("base: &LT;B&GT;&AMP;&QUOT;&#X27;");
}

#[test]
fn a_template_in_a_folder_names_its_neighbours() {
    let all = [
        ("pages/a.html", "{% include \"./part.html\" %}{% include \"../part.html\" %}{% include \"part.html\" %}"),
        ("pages/part.html", "near "),
        ("part.html", "far "),
    ];
    show("pages/a.html", &all).assert_text("near far far ");
}

#[test]
fn the_handlers_type_goes_first_and_what_was_written_stays() {
    let handler = async |exchange: &mut Exchange| -> web::Result<()> {
        exchange.set_header("Content-Type", "text/calendar")?;
        exchange.write("before ");
        exchange.render("a.txt", ())?;
        exchange.write(" behind");
        Ok(())
    };
    let templates = Templates::embedded([("a.txt", "within")]).unwrap();
    ask(Application::new().get("/", handler).templates(templates))
        .assert_header("content-type", "text/calendar")
        .assert_text("before within behind");
}

#[test]
fn a_page_can_be_rendered_without_being_written() {
    let handler = async |exchange: &mut Exchange| -> web::Result<()> {
        let mail = exchange.render_string("mail.txt", context! { to => "ada" })?;
        exchange.write_text(mail.to_uppercase());
        Ok(())
    };
    let templates = Templates::embedded([("mail.txt", "to {{ to }}")]).unwrap();
    ask(Application::new().get("/", handler).templates(templates)).assert_text("TO ADA");
}

#[test]
fn structs_are_contexts_and_context_goes_before_everything_else() {
    #[derive(Serialize)]
    struct Page {
        title: &'static str,
        theme: Option<&'static str>,
    }
    let handler = async |exchange: &mut Exchange| -> web::Result<()> {
        exchange.set_template_value("title", "hidden");
        exchange.set_template_value("wrapped", "old");
        exchange.set_template_value("wrapped", "new");
        exchange.render("a.html", Page { title: "own", theme: None })
    };
    let templates =
        Templates::embedded([("a.html", "{{ title }} {{ theme }} {{ wrapped }} {{ site }} {{ list.a[0] }}")])
            .unwrap()
            .value("title", |_| Ok("hidden"))
            .global("site", "test")
            .global("list", Value::from(Serde(HashMap::from([("a", [7])]))));
    ask(Application::new().get("/", handler).templates(templates)).assert_text("own None new test 7");
}

#[test]
fn functions_and_values_see_the_request() {
    fn greet(exchange: &Exchange, arguments: &[Value]) -> web::Result<String> {
        let (name, options): (&str, Kwargs) = from_args(arguments)?;
        let end: Option<&str> = options.get("end")?;
        options.assert_all_used()?;
        Ok(format!("{} {name}{}", exchange.query::<String>("greeting")?, end.unwrap_or(".")))
    }
    let text = "{{ greet(\"ada\", end=\"!\") }} {{ who }} {{ html() }}";
    let templates = || {
        let templates = Templates::embedded([("a.html", text), ("b.html", "{% include \"a.html\" %}")]).unwrap();
        templates
            .function("greet", greet)
            .function("html", |_, _| Ok(Value::from_safe_string("<hr>".to_owned())))
            .value("who", |exchange| Ok(exchange.remote_ip().map(|ip| ip.to_string()).unwrap_or("<nobody>".to_owned())))
    };
    testing::run(async move {
        let client = TestClient::new(page("a.html", templates()));
        client.get("/?greeting=%3Ci%3E").send().await.assert_text("&lt;i&gt; ada! 127.0.0.1 <hr>");
        let log = capture_log();
        client.get("/").send().await.assert_status(500);
        let line = log.take().iter().find(|line| line.target == "web").unwrap().message.clone();
        assert!(line.contains("greet: Missing argument greeting (in a.html:1)"), "{line}");
        let client = TestClient::new(page("b.html", templates()));
        client.get("/").send().await.assert_status(500);
        let line = log.take().iter().find(|line| line.target == "web").unwrap().message.clone();
        assert!(line.contains("(in b.html:1): ") && line.contains("(in a.html:1)"), "{line}");
    });
}

#[test]
fn templates_see_the_request() {
    let text = "{{ request.method }} {{ request.uri }} {{ request.path }} {{ request.query }} {{ request.host }} \
                {{ request.protocol }} {{ request.headers[\"user-agent\"] }} {{ request.headers.Absent }}";
    let application = page("a.html", Templates::embedded([("a.html", text)]).unwrap());
    testing::run(async move {
        let answer = TestClient::new(application).get("/?a=1&b").header("User-Agent", "<x>").header("Host", "h:1");
        answer.send().await.assert_text("GET &#x2f;?a=1&amp;b &#x2f; a=1&amp;b h:1 http &lt;x&gt; None");
    });
}

#[test]
fn templates_make_urls_of_named_routes() {
    let text = "{{ reverse_url(\"picture\", id, \"a b.png\") }} {{ reverse_url(\"home\") }}";
    let application = |text: &'static str| {
        let handler = async |exchange: &mut Exchange| exchange.render("a.html", context! { id => 7 });
        let nothing = async |_: &mut Exchange| Ok(());
        let templates = Templates::embedded([("a.html", text)]).unwrap();
        Application::new()
            .add(Route::get("/", handler).name("home"))
            .add(Route::get("/album/{id}/{name}", nothing).name("picture"))
            .templates(templates)
    };
    ask(application(text)).assert_text("&#x2f;album&#x2f;7&#x2f;a%20b.png &#x2f;");
    for wrong in
        ["{{ reverse_url(\"nowhere\") }}", "{{ reverse_url(\"picture\", 7) }}", "{{ reverse_url(\"picture\", 7, x) }}"]
    {
        let line = failure_of(application(wrong));
        assert!(line.contains("(in a.html:1)"), "{line}");
    }
}

#[test]
fn templates_make_urls_of_static_files() {
    let scratch = Scratch::new().with("app.css", "p {}");
    let mut files = StaticFiles::new(&scratch).unwrap();
    let urls = files.urls("/static");
    let expected = urls.url("app.css");
    assert!(expected.starts_with("/static/app.css?v="), "{expected}");
    let page = async |exchange: &mut Exchange| exchange.render("a.txt", ());
    let templates = || Templates::embedded([("a.txt", "{{ static_url(\"app.css\") }}")]).unwrap();
    let application = Application::new().get("/", page).templates(templates());
    ask(application.state(urls).static_handler("/static", files)).assert_text(expected);
    assert!(failure_of(Application::new().get("/", page).templates(templates())).contains("static_url: "));
}

#[test]
fn forms_carry_the_token_of_the_cookie() {
    let page = "<form>{{ xsrf_form_html() }}</form>{{ xsrf_token }}";
    let templates = Templates::embedded([("form.html", page), ("plain.html", "nothing")]).unwrap();
    let form = async |exchange: &mut Exchange| exchange.render("form.html", ());
    let string = async |exchange: &mut Exchange| {
        let text = exchange.render_string("form.html", ())?;
        exchange.write(text);
        Ok(())
    };
    let plain = async |exchange: &mut Exchange| exchange.render("plain.html", ());
    let post = async |exchange: &mut Exchange| {
        exchange.write_text("taken");
        Ok(())
    };
    let application = Application::new().wrap(Xsrf::new()).get("/", form).get("/string", string).get("/plain", plain);
    let application = application.post("/", post).templates(templates);
    testing::run(async move {
        let client = TestClient::new(application);
        client
            .get("/plain")
            .send()
            .await
            .assert_text("nothing")
            .assert_no_header("set-cookie")
            .assert_no_header("vary");
        for path in ["/", "/string"] {
            let client = client.another();
            let answer = client.get(path).send().await;
            answer.assert_status(200).assert_header("vary", "Cookie");
            assert!(answer.header("set-cookie").unwrap().starts_with("_xsrf=2|"));
            let token = answer.text().split("value=\"").nth(1).unwrap().split('"').next().unwrap();
            client.post("/").send().await.assert_status(403);
            client.post("/").form([("_xsrf", token)]).send().await.assert_status(200).assert_text("taken");
            let script = answer.text().split("</form>").nth(1).unwrap();
            client.post("/").header("X-Xsrftoken", script).send().await.assert_status(200);
            // The cookie is there now.
            client.get(path).send().await.assert_no_header("set-cookie").assert_header("vary", "Cookie");
        }
    });
}

#[test]
fn wraps_set_values_and_error_pages_are_rendered_too() {
    async fn wrap(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
        exchange.set_template_value("theme", "dark");
        next.run(exchange).await
    }
    fn error_page(exchange: &mut Exchange, error: &Error) {
        let _ = exchange.render("error.html", context! { status => error.status().as_u16(), text => error.message() });
    }
    let templates = Templates::embedded([("error.html", "{{ theme }} {{ status }} {{ text }}")]).unwrap();
    let application = Application::new().wrap(wrap).error_page(error_page).templates(templates);
    testing::run(async move {
        let answer = TestClient::new(application).get("/nothing").send().await;
        answer.assert_status(404).assert_text("dark 404 Not Found");
    });
}

#[test]
fn nested_applications_have_their_own_or_those_around_them() {
    let handler = async |exchange: &mut Exchange| exchange.render("a.txt", ());
    let with = |text| Application::new().get("/", handler).templates(Templates::embedded([("a.txt", text)]).unwrap());
    let application = with("outer").nest("/own", with("inner")).nest("/none", Application::new().get("/", handler));
    testing::run(async move {
        let client = TestClient::new(application);
        client.get("/").send().await.assert_text("outer");
        client.get("/own/").send().await.assert_text("inner");
        client.get("/none/").send().await.assert_text("outer");
    });
}

#[test]
fn a_failure_is_a_bare_500_and_the_log_has_template_and_line() {
    let line = failure("a.html", &[("a.html", "\n\n{{ secret }}")]);
    assert!(line.contains("undefined value") && line.contains("secret") && line.contains("(in a.html:3)"), "{line}");
    assert!(failure("no.html", &[]).contains("template \"no.html\" does not exist"));
    let all = [("a.html", "{% include \"b.html\" %}"), ("b.html", "\n{{ name.x.y }}")];
    let line = failure("a.html", &all);
    assert!(line.contains("(in a.html:1): ") && line.contains("(in b.html:2)"), "{line}");
    let handler = async |exchange: &mut Exchange| exchange.render("a.html", ());
    assert!(failure_of(Application::new().get("/", handler)).contains("The application has no templates"));
}

#[test]
fn a_name_that_nothing_has_is_false_and_cannot_be_printed() {
    show("a.html", &[("a.html", "{% if nothing %}a{% else %}b{% endif %}{{ nothing|default(\"c\") }}")])
        .assert_text("bc");
}

#[test]
fn what_cannot_be_serialised_is_an_error() {
    struct Broken;
    impl Serialize for Broken {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("broken on purpose"))
        }
    }
    let handler = async |exchange: &mut Exchange| exchange.render("a.html", Broken);
    let templates = Templates::embedded([("a.html", "")]).unwrap();
    let line = failure_of(Application::new().get("/", handler).templates(templates));
    assert!(line.contains("broken on purpose"), "{line}");
}

#[test]
fn malformed_templates_of_the_program_are_refused_at_once() {
    for text in [
        "{{ }}",
        "{{ x",
        "{% %}",
        "{% if x %}",
        "{% endif %}",
        "{% else %}",
        "{% nonsense %}",
        "{% extends %}",
        "{% break %}",
        "{{ x|nonsense( }}",
        "{# x",
    ] {
        let error = Templates::new().add("a.html", text).unwrap_err().to_string();
        assert!(error.starts_with("syntax error") && error.ends_with("(in a.html:1)"), "{text}: {error}");
    }
}

fn open(scratch: &Scratch) -> Templates {
    Templates::from_directory(scratch).unwrap()
}

#[test]
fn files_are_templates_at_any_depth() {
    let scratch = Scratch::new()
        .with("base.html", "<{% block body %}{% endblock %}>")
        .with("pages/deep/a.html", "{% extends \"base.html\" %}{% block body %}{{ name }}{% endblock %}");
    ask(page("pages/deep/a.html", open(&scratch))).assert_text("<&lt;b&gt;&amp;&quot;&#x27;>");
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let scratch =
        Scratch::new().with("secret.html", "secret").with("inside/a.html", "a").with("inside/.hidden.html", "h");
    let inside = scratch.path("inside");
    symlink(scratch.path("secret.html"), inside.join("link.html")).unwrap();
    symlink("../secret.html", inside.join("relative.html")).unwrap();
    symlink("..", inside.join("up")).unwrap();
    symlink("a.html", inside.join("same.html")).unwrap();
    let inside = || Templates::from_directory(&inside).unwrap();
    let absolute: &'static str = scratch.path("secret.html").display().to_string().leak();
    for name in [
        "../secret.html",
        "./../secret.html",
        absolute,
        "up/secret.html",
        "link.html",
        "relative.html",
        ".hidden.html",
        "",
    ] {
        let line = failure_of(page(name, inside()));
        assert!(line.contains("does not exist") || line.contains("leads out"), "{name}: {line}");
    }
    // A template that tries the same.
    for include in ["{% include \"../secret.html\" %}", "{% include \"link.html\" %}"] {
        let line = failure_of(page("try.html", inside().add("try.html", include).unwrap()));
        assert!(line.contains("non-existing") || line.contains("leads out"), "{include}: {line}");
    }
    ask(page("same.html", inside())).assert_text("a");
}

#[test]
fn a_changed_file_shows_when_reloading_and_only_then() {
    let scratch =
        Scratch::new().with("base.html", "1{% block b %}{% endblock %}").with("a.html", "{% extends \"base.html\" %}");
    let (kept, reloaded) = (page("a.html", open(&scratch)), page("a.html", open(&scratch).reload(true)));
    testing::run(async move {
        let (kept, reloaded) = (TestClient::new(kept), TestClient::new(reloaded));
        for client in [&kept, &reloaded] {
            client.get("/").send().await.assert_text("1");
        }
        // Of the same length, perhaps within one tick of the file system's clock: replaced, as editors do.
        fs::write(scratch.path("new"), "2{% block b %}{% endblock %}").unwrap();
        fs::rename(scratch.path("new"), scratch.path("base.html")).unwrap();
        kept.get("/").send().await.assert_text("1");
        reloaded.get("/").send().await.assert_text("2");
        fs::write(scratch.path("base.html"), "a broken {{ one").unwrap();
        kept.get("/").send().await.assert_text("1");
        reloaded.get("/").send().await.assert_status(500);
        let scratch = scratch.with("base.html", "mended");
        reloaded.get("/").send().await.assert_text("mended");
        fs::remove_file(scratch.path("a.html")).unwrap();
        kept.get("/").send().await.assert_text("1");
        reloaded.get("/").send().await.assert_status(500);
    });
}

#[test]
fn a_file_that_was_replaced_by_one_as_long_and_as_old_is_read_again() {
    let scratch = Scratch::new().with("a.html", "1");
    let time = fs::metadata(scratch.path("a.html")).unwrap().modified().unwrap();
    let application = page("a.html", open(&scratch).reload(true));
    testing::run(async {
        let client = TestClient::new(application);
        client.get("/").send().await.assert_text("1");
        fs::write(scratch.path("new"), "2").unwrap();
        fs::File::options().write(true).open(scratch.path("new")).unwrap().set_modified(time).unwrap();
        fs::rename(scratch.path("new"), scratch.path("a.html")).unwrap();
        client.get("/").send().await.assert_text("2");
    });
}

#[test]
fn of_two_values_of_a_name_the_last_one_counts() {
    let templates = Templates::embedded([("a.html", "{{ theme }}")]).unwrap();
    let templates = templates.value("theme", |_| Ok("first")).value("theme", |_| Ok("last"));
    ask(page("a.html", templates)).assert_text("last");
}

#[test]
fn what_is_shown_as_markup_is_escaped_as_markup() {
    for name in ["a.html", "a.htm", "a.xhtml", "a.xml", "a.svg", "a.svg.j2"] {
        let response = show(name, &[(name, "{{ name }}")]);
        assert!(!response.text().contains('<'), "{name}: {}", response.text());
    }
}

#[test]
fn all_files_can_be_checked_at_the_start() {
    let scratch = Scratch::new().with("a.html", "{{ x }}").with("logo.png", [0xff, 0xfe]).with(".git/b.html", "{{");
    open(&scratch).check().unwrap();
    let error = open(&scratch.with("b/c.html", "\n{{ x")).check().unwrap_err();
    assert!(error.to_string().ends_with("(in b/c.html:2)"), "{error}");
    let error = open(&Scratch::new().with("a.html", [0xff])).check().unwrap_err().to_string();
    assert!(error.contains("cannot read template \"a.html\""), "{error}");
    let error = Templates::from_directory("/nowhere/at/all").unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}
