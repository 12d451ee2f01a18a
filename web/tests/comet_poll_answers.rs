//! The answer to a long poll is shared, and its head is made in advance. Whatever an application does around it, it is the
//! answer that a handler would have made of the same bytes by itself: the model.

mod util;

use std::{cell::RefCell, rc::Rc, time::Duration};

use proptest::prelude::*;
use util::pages::{Host, Page, run_virtual};
use web::{
    Application, Compress, Exchange, Next, StatusCode,
    comet::Hub,
    security::{Cors, SecurityHeaders},
};

/// What an application does to its answers.
#[derive(Debug, Clone, Copy)]
struct Setting {
    cors: bool,
    security: bool,
    compresses: bool,
    changes_response: bool,
    before: Before,
    after: After,
}

#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    Header,
    Cookie,
    Status,
    Type,
    CacheControl,
    Vary,
    Written,
}

#[derive(Debug, Clone, Copy)]
enum After {
    Nothing,
    Header,
    Cookie,
    CacheControl,
    MoreCacheControl,
    NoCacheControl,
    Type,
    Status,
    Validator,
    Closing,
    Fails,
}

/// What the client says of itself.
#[derive(Debug, Clone, Copy)]
struct Asked {
    is_head: bool,
    is_http10: bool,
    closes: bool,
    gzip: bool,
    origin: bool,
    condition: bool,
}

fn setting() -> impl Strategy<Value = Setting> {
    use After::{CacheControl as NewCacheControl, Closing, Fails, MoreCacheControl, NoCacheControl, Validator};
    let before = prop::sample::select(vec![
        Before::Nothing,
        Before::Nothing,
        Before::Header,
        Before::Cookie,
        Before::Status,
        Before::Type,
        Before::CacheControl,
        Before::Vary,
        Before::Written,
    ]);
    let after = prop::sample::select(vec![
        After::Nothing,
        After::Nothing,
        After::Header,
        After::Cookie,
        NewCacheControl,
        MoreCacheControl,
        NoCacheControl,
        After::Type,
        After::Status,
        Validator,
        Closing,
        Fails,
    ]);
    let wraps = prop::array::uniform4(prop::bool::weighted(0.3));
    (wraps, before, after).prop_map(|([cors, security, compresses, changes_response], before, after)| Setting {
        cors,
        security,
        compresses,
        changes_response,
        before,
        after,
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    prop::array::uniform6(prop::bool::weighted(0.25)).prop_map(
        |[is_head, is_http10, closes, gzip, origin, condition]| Asked {
            is_head,
            is_http10,
            closes,
            gzip,
            origin,
            condition,
        },
    )
}

fn before(exchange: &mut Exchange, before: Before) -> web::Result<()> {
    match before {
        Before::Nothing => {}
        Before::Header => exchange.set_header("X-Before", "1")?,
        Before::Cookie => exchange.set_cookie(("before", "1"))?,
        Before::Status => exchange.set_status(StatusCode::ACCEPTED),
        Before::Type => exchange.set_header("Content-Type", "text/x")?,
        Before::CacheControl => exchange.set_header("Cache-Control", "private")?,
        Before::Vary => exchange.append_header("Vary", "Cookie")?,
        Before::Written => exchange.write(" "),
    }
    Ok(())
}

fn after(exchange: &mut Exchange, after: After) -> web::Result<()> {
    match after {
        After::Nothing => {}
        After::Header => exchange.set_header("X-After", "1")?,
        After::Cookie => exchange.set_cookie(("after", "1"))?,
        After::CacheControl => exchange.set_header("Cache-Control", "private")?,
        After::MoreCacheControl => exchange.append_header("Cache-Control", "private")?,
        After::NoCacheControl => exchange.remove_header("Cache-Control"),
        After::Type => exchange.set_header("Content-Type", "text/x")?,
        After::Status => exchange.set_status(StatusCode::ACCEPTED),
        After::Validator => exchange.set_header("ETag", "\"1\"")?,
        After::Closing => exchange.set_header("Connection", "close")?,
        After::Fails => return Err(web::Error::http(StatusCode::CONFLICT, "no")),
    }
    Ok(())
}

/// The polls of a channel at `/poll`, and at `/model` the answer made of what is in `body`.
fn host(hub: &Hub, setting: Setting, body: &Rc<RefCell<String>>) -> Host {
    let (hub, body) = (hub.clone(), Rc::clone(body));
    let mut application = Application::new()
        .get("/poll", async move |exchange: &mut Exchange| {
            before(exchange, setting.before)?;
            hub.deliver("news").long_poll(exchange).await?;
            after(exchange, setting.after)
        })
        .get("/model", async move |exchange: &mut Exchange| {
            before(exchange, setting.before)?;
            exchange.set_header("Content-Type", "application/json")?;
            exchange.write(&*body.borrow());
            exchange.set_header("Cache-Control", "no-store")?;
            after(exchange, setting.after)
        });
    if setting.changes_response {
        application = application.wrap(async |exchange: &mut Exchange, next: Next<'_>| {
            exchange.on_response(|response| {
                let seen = format!("{:?} {:?}", response.header("content-type"), response.header("Cache-Control"));
                response.set_header("X-Seen", seen).expect("a header");
                response.append_header("Cache-Control", "max-age=0").expect("a header");
            });
            next.run(exchange).await
        });
    }
    if setting.compresses {
        application = application.wrap(Compress::new().min_size(1));
    }
    if setting.security {
        application = application.wrap(SecurityHeaders::new());
    }
    if setting.cors {
        application = application.wrap(Cors::new().origin("https://a.example").expose(["X-After"]));
    }
    Host::new(application)
}

async fn ask(page: &Page, asked: Asked, target: &str) {
    let mut lines = String::from("Host: test\r\n");
    for (is_said, line) in [
        (asked.closes, "Connection: close\r\n"),
        (asked.gzip, "Accept-Encoding: gzip\r\n"),
        (asked.origin, "Origin: https://a.example\r\n"),
        (asked.condition, "If-None-Match: \"1\"\r\n"),
    ] {
        lines.push_str(if is_said { line } else { "" });
    }
    let (method, version) = (if asked.is_head { "HEAD" } else { "GET" }, u8::from(!asked.is_http10));
    let request = format!("{method} {target} HTTP/1.{version}\r\n{lines}\r\n");
    page.stream.write(request).await.expect("the server reads");
}

/// The whole answer: its lines but for the Date, in some order, and the body.
async fn answer(page: &Page) -> (Vec<String>, Vec<u8>) {
    // So that an answer ends with its connection. Before its answer the client would count as gone.
    page.stream.shutdown_write().await.expect("the server reads");
    let head = page.head().await;
    let body = page.stream.read_until_close().await.expect("a body").to_vec();
    let mut lines: Vec<_> = head.lines().filter(|line| !line.starts_with("Date: ")).map(str::to_owned).collect();
    lines.sort();
    (lines, body)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_shared_answer_is_the_one_that_would_have_been_made_for_each(
        setting in setting(),
        polls in prop::collection::vec(asked(), 1..5),
        messages in 1_u32..3,
        waits: bool,
        is_long: bool,
    ) {
        // A poll with HEAD does not wait for messages.
        let polls: Vec<_> = polls.into_iter().map(|asked| Asked { is_head: asked.is_head && !waits, ..asked }).collect();
        run_virtual(async |clock| {
            let (hub, body) = (Hub::new(), Rc::default());
            let host = host(&hub, setting, &body);
            let newest = || hub.cursor("news").expect("a name").expect("a cursor");
            let target = format!("/poll?cursor={}", newest());
            let mut texts = Vec::new();
            if !waits {
                publish(&hub, messages, is_long, &mut texts).await;
            }
            let mut pages = Vec::new();
            for asked in &polls {
                let page = host.connect();
                ask(&page, *asked, &target).await;
                pages.push(page);
            }
            clock.advance(Duration::ZERO).await;
            if waits {
                // All that is there when the first of them looks.
                publish(&hub, messages, is_long, &mut texts).await;
                clock.advance(Duration::ZERO).await;
            }
            *body.borrow_mut() = format!("{{\"cursor\":\"{}\",\"messages\":[{}]}}", newest(), texts.join(","));
            for (page, asked) in pages.iter().zip(&polls) {
                let model = host.connect();
                ask(&model, *asked, "/model").await;
                clock.advance(Duration::ZERO).await;
                let (shared, alone) = (answer(page).await, answer(&model).await);
                assert_eq!(shared, alone, "{setting:?} {asked:?}");
            }
        });
    }
}

/// Messages with different texts, which are short enough to be copied or not.
async fn publish(hub: &Hub, messages: u32, is_long: bool, texts: &mut Vec<String>) {
    for number in 0..messages {
        let text = number.to_string().repeat(if is_long { 600 } else { 1 });
        hub.publish("news", &text).await.expect("it is published");
        texts.push(format!("\"{text}\""));
    }
}
