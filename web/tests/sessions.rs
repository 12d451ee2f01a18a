//! What is remembered of a client.

#[path = "util/session_values.rs"]
mod session_values;

use std::{cell::RefCell, rc::Rc, time::Duration};

use session_values::{get, set};
use web::{
    Application, Cookie, Error, Exchange, StatusCode,
    security::{CookieSecret, MemoryStore, SessionStore, Sessions},
    testing::{self, Level, TestClient, TestResponse, capture_log},
};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

async fn remove(exchange: &mut Exchange) -> web::Result<()> {
    exchange.session().await?.remove("value")
}

async fn rotate(exchange: &mut Exchange) -> web::Result<()> {
    exchange.session().await?.rotate()
}

async fn destroy(exchange: &mut Exchange) -> web::Result<()> {
    exchange.session().await?.destroy()
}

async fn again(exchange: &mut Exchange) -> web::Result<()> {
    let session = exchange.session().await?;
    session.destroy()?;
    session.set("value", "of another session")
}

async fn nothing(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("nothing");
    Ok(())
}

async fn fail(exchange: &mut Exchange) -> web::Result<()> {
    exchange.session().await?.set("value", "of a failure")?;
    Err(Error::http(StatusCode::FORBIDDEN, "No"))
}

fn routes() -> Application {
    Application::new()
        .get("/set", set)
        .get("/get", get)
        .get("/remove", remove)
        .get("/rotate", rotate)
        .get("/destroy", destroy)
        .get("/again", again)
        .get("/nothing", nothing)
        .get("/fail", fail)
        .cookie_secret("It's a secret to everybody")
}

fn client(sessions: Sessions) -> TestClient {
    TestClient::new(routes().wrap(sessions))
}

/// Runs a test with sessions in both places.
fn in_both(test: impl AsyncFn(Sessions)) {
    testing::run(async {
        test(Sessions::in_cookie()).await;
        test(Sessions::in_store(MemoryStore::new())).await;
    });
}

/// What a response sets, if it sets something.
fn cookie(response: &TestResponse) -> Option<&str> {
    response.header("set-cookie").map(|line| line.split(';').next().unwrap())
}

async fn value_of(client: &TestClient, cookie: &str) -> String {
    client.another().get("/get").header("Cookie", cookie).send().await.text().to_owned()
}

#[test]
fn values_are_those_of_a_client() {
    in_both(async |sessions| {
        let ada = client(sessions);
        let grace = ada.another();
        ada.get("/get").send().await.assert_text("");
        ada.get("/set").query("value", "tea; \"é\"").send().await.assert_status(200);
        grace.get("/set?value=cake").send().await.assert_status(200);
        ada.get("/get").send().await.assert_text("tea; \"é\"");
        grace.get("/get").send().await.assert_text("cake");
        ada.get("/remove").send().await.assert_status(200);
        ada.get("/get").send().await.assert_text("");
        grace.get("/get").send().await.assert_text("cake");
    });
}

#[test]
fn nothing_is_sent_when_nothing_has_changed() {
    in_both(async |sessions| {
        let client = client(sessions);
        let response = client.get("/nothing").send().await;
        response.assert_no_header("set-cookie").assert_no_header("vary");
        client.get("/get").send().await.assert_no_header("set-cookie").assert_header("vary", "Cookie");
        assert!(cookie(&client.get("/set?value=1").send().await).is_some());
        client.get("/get").send().await.assert_no_header("set-cookie");
        client.get("/set?value=1").send().await.assert_no_header("set-cookie");
        client.get("/nothing").send().await.assert_no_header("set-cookie");
    });
}

#[test]
fn the_cookie_is_protected_unless_it_says_otherwise() {
    in_both(async |sessions| {
        let response = client(sessions.clone()).get("/set?value=1").send().await;
        let (cookie, attributes) = response.header("set-cookie").unwrap().split_once("; ").unwrap();
        assert!(cookie.starts_with("session="), "{cookie}");
        assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/");

        let own = Cookie::build("__Host-id").max_age(HOUR).http_only(false);
        let response = client(sessions.cookie(own)).get("/set?value=1").send().await;
        let (cookie, attributes) = response.header("set-cookie").unwrap().split_once("; ").unwrap();
        assert!(cookie.starts_with("__Host-id="), "{cookie}");
        assert_eq!(attributes, "SameSite=Lax; Secure; Path=/; Max-Age=3600");
    });
}

#[test]
fn a_key_in_a_store_is_long_and_never_the_clients_own() {
    testing::run(async {
        let client = client(Sessions::in_store(MemoryStore::new()));
        let mut keys = std::collections::HashSet::new();
        for _ in 0..50 {
            let response = client.another().get("/set?value=1").send().await;
            let key = cookie(&response).unwrap().strip_prefix("session=").unwrap().to_owned();
            assert_eq!(key.len(), 43, "256 bits in base64");
            keys.insert(key);
        }
        assert_eq!(keys.len(), 50);
        // One that a client brings along is not taken over.
        let planted = format!("session={}", "a".repeat(43));
        let response = client.another().get("/set?value=1").header("Cookie", &planted).send().await;
        assert_ne!(cookie(&response), Some(&*planted));
        assert_eq!(value_of(&client, &planted).await, "");
    });
}

#[test]
fn a_rotated_session_has_another_key_and_the_old_one_is_no_good() {
    testing::run(async {
        let store = MemoryStore::new();
        let client = client(Sessions::in_store(store.clone()));
        let before = cookie(&client.get("/set?value=1").send().await).unwrap().to_owned();
        let after = cookie(&client.get("/rotate").send().await).unwrap().to_owned();
        assert_ne!(before, after);
        client.get("/get").send().await.assert_text("1");
        assert_eq!(value_of(&client, &after).await, "1");
        assert_eq!(value_of(&client, &before).await, "");
        assert_eq!(store.len(), 1);
    });
}

#[test]
fn a_destroyed_session_is_gone() {
    in_both(async |sessions| {
        let client = client(sessions);
        client.get("/set?value=1").send().await.assert_status(200);
        let response = client.get("/destroy").send().await;
        assert!(response.header("set-cookie").unwrap().contains("Max-Age=0"));
        client.get("/get").send().await.assert_text("").assert_no_header("set-cookie");
        // Nothing to destroy.
        client.another().get("/destroy").send().await.assert_no_header("set-cookie");
    });
}

#[test]
fn a_store_forgets_what_was_destroyed() {
    testing::run(async {
        let store = MemoryStore::new();
        let client = client(Sessions::in_store(store.clone()));
        let stolen = cookie(&client.get("/set?value=1").send().await).unwrap().to_owned();
        client.get("/destroy").send().await.assert_status(200);
        assert_eq!(value_of(&client, &stolen).await, "");
        assert!(store.is_empty());
        // A value that is set behind it is one of a new session.
        let stolen = cookie(&client.get("/set?value=1").send().await).unwrap().to_owned();
        let new = cookie(&client.get("/again").send().await).unwrap().to_owned();
        assert_ne!(stolen, new);
        assert_eq!(value_of(&client, &new).await, "of another session");
        assert_eq!(value_of(&client, &stolen).await, "");
        // One without values is none.
        client.get("/remove").send().await.assert_status(200);
        assert!(store.is_empty());
    });
}

#[test]
fn a_session_ends_when_it_was_not_used() {
    in_both(async |sessions| {
        let client = client(sessions.idle(HOUR));
        client.get("/set?value=1").send().await.assert_status(200);
        for _ in 0..5 {
            web::sleep(HOUR - Duration::from_secs(60)).await;
            client.get("/get").send().await.assert_text("1");
        }
        // Requests that do not ask for the session do not count.
        web::sleep(HOUR / 2).await;
        client.get("/nothing").send().await.assert_status(200);
        web::sleep(HOUR / 2 + Duration::from_secs(2)).await;
        client.get("/get").send().await.assert_text("");
    });
}

#[test]
fn a_session_ends_however_much_it_is_used() {
    in_both(async |sessions| {
        let client = client(sessions.idle(HOUR).lifetime(DAY));
        client.get("/set?value=1").send().await.assert_status(200);
        for _ in 0..47 {
            web::sleep(HOUR / 2).await;
            client.get("/get").send().await.assert_text("1");
        }
        web::sleep(HOUR / 2 + Duration::from_secs(2)).await;
        let response = client.get("/get").send().await;
        response.assert_text("");
        assert!(response.header("set-cookie").unwrap().contains("Max-Age=0"));
    });
}

#[test]
fn a_rotation_begins_the_lifetime_anew() {
    in_both(async |sessions| {
        let client = client(sessions.lifetime(2 * HOUR));
        client.get("/set?value=1").send().await.assert_status(200);
        web::sleep(HOUR).await;
        client.get("/rotate").send().await.assert_status(200);
        web::sleep(HOUR + HOUR / 2).await;
        client.get("/get").send().await.assert_text("1");
    });
}

#[test]
fn a_session_in_a_cookie_is_sent_anew_now_and_then() {
    testing::run(async {
        let client = client(Sessions::in_cookie().idle(HOUR));
        client.get("/set?value=1").send().await.assert_status(200);
        web::sleep(Duration::from_secs(300)).await;
        client.get("/get").send().await.assert_no_header("set-cookie");
        web::sleep(Duration::from_secs(100)).await;
        assert!(client.get("/get").send().await.header("set-cookie").is_some());
        client.get("/get").send().await.assert_no_header("set-cookie");
    });
}

#[test]
fn a_session_in_a_cookie_cannot_be_changed() {
    testing::run(async {
        let client = client(Sessions::in_cookie());
        let response = client.get("/set?value=1").send().await;
        let good = cookie(&response).unwrap();
        assert_eq!(value_of(&client, good).await, "1");
        for bad in
            [format!("{good}0"), good[..good.len() - 1].to_owned(), good.replace('|', ":"), "session=".to_owned()]
        {
            let response = client.another().get("/get").header("Cookie", &bad).send().await;
            response.assert_status(200).assert_text("");
            assert!(response.header("set-cookie").unwrap().contains("Max-Age=0"), "{bad}");
        }
    });
}

#[test]
fn a_signed_cookie_of_another_kind_is_no_session() {
    testing::run(async {
        let secret = CookieSecret::new("It's a secret to everybody");
        let client = client(Sessions::in_cookie());
        for text in ["", "{}", "[]", "ada", r#"{"c":"x","v":{}}"#, r#"{"c":1,"v":[]}"#, r#"{"v":{"value":"1"}}"#] {
            let signed = secret.sign("session", text, std::time::SystemTime::now());
            assert_eq!(value_of(&client, &format!("session={signed}")).await, "", "{text}");
        }
        let other = secret.sign("user", r#"{"c":99999999999,"v":{"value":"1"}}"#, std::time::SystemTime::now());
        assert_eq!(value_of(&client, &format!("session={other}")).await, "");
        let own = secret.sign("session", r#"{"c":99999999999,"v":{"value":"1"}}"#, std::time::SystemTime::now());
        assert_eq!(value_of(&client, &format!("session={own}")).await, "1");
    });
}

#[test]
fn a_session_that_does_not_fit_is_an_error_and_stays_as_it_was() {
    testing::run(async {
        let log = capture_log();
        for (sessions, fits, limit) in
            [(Sessions::in_cookie(), 2_500, "4096"), (Sessions::in_store(MemoryStore::new()), 60_000, "65536")]
        {
            let fill = async |exchange: &mut Exchange| {
                let length: usize = exchange.query("length")?;
                let session = exchange.session().await?;
                let result = session.set("value", &"x".repeat(length));
                let kept = session.get::<String>("value").unwrap_or_default();
                exchange.write_text(kept.len().to_string());
                result
            };
            let client = TestClient::new(routes().get("/fill", fill).wrap(sessions));
            client.get("/fill").query("length", fits).send().await.assert_text(fits.to_string());
            client.get("/fill").query("length", 2 * fits).send().await.assert_status(500);
            log.expect(Level::Error, "web", limit);
            assert_eq!(client.get("/get").send().await.text().len(), fits);
        }
    });
}

#[test]
fn a_cookie_never_has_more_than_browsers_keep() {
    testing::run(async {
        let fill = async |exchange: &mut Exchange| {
            let length: usize = exchange.query("length")?;
            exchange.session().await?.set("value", &"x".repeat(length))
        };
        let client = TestClient::new(routes().get("/fill", fill).wrap(Sessions::in_cookie()));
        let mut longest = 0;
        for length in 2_500..3_500 {
            let response = client.another().get("/fill").query("length", length).send().await;
            let Some(cookie) = cookie(&response) else { break };
            // Without the equals sign.
            longest = cookie.len() - 1;
            assert!(longest <= 4096);
        }
        assert!(longest > 4090, "{longest}");
    });
}

#[test]
fn changes_are_saved_when_the_handler_fails() {
    in_both(async |sessions| {
        let client = client(sessions);
        client.get("/fail").send().await.assert_status(403);
        client.get("/get").send().await.assert_text("of a failure");
    });
}

#[test]
fn behind_the_head_of_a_stream_no_cookie_can_be_sent() {
    testing::run(async {
        let stream = async |exchange: &mut Exchange| {
            let session = exchange.session().await?;
            session.set("value", "1")?;
            session.save().await?;
            exchange.write_text("begin ");
            exchange.flush().await?;
            let later = session.set("value", "2");
            exchange.write_text(if later.is_ok() { "changed" } else { "refused" });
            Ok(())
        };
        let late = async |exchange: &mut Exchange| {
            let session = exchange.session().await?;
            exchange.write_text("begin ");
            exchange.flush().await?;
            exchange.write_text(if session.set("value", "1").is_ok() { "changed" } else { "refused" });
            Ok(())
        };
        let later_still = async |exchange: &mut Exchange| {
            exchange.write_text("begin ");
            exchange.flush().await?;
            let session = exchange.session().await?;
            exchange.write_text(if session.set("value", "1").is_ok() { "changed" } else { "refused" });
            Ok(())
        };
        for (sessions, text, value) in [
            (Sessions::in_cookie(), "begin refused", "1"),
            // The client has the key already.
            (Sessions::in_store(MemoryStore::new()), "begin changed", "2"),
        ] {
            let routes = routes().get("/stream", stream).get("/late", late).get("/later-still", later_still);
            let client = TestClient::new(routes.wrap(sessions));
            let response = client.get("/stream").send().await;
            response.assert_text(text);
            assert!(response.header("set-cookie").is_some());
            client.get("/get").send().await.assert_text(value);
            for target in ["/late", "/later-still"] {
                let response = client.another().get(target).send().await;
                response.assert_text("begin refused").assert_no_header("set-cookie");
            }
        }
    });
}

#[test]
fn a_session_that_another_request_has_ended_does_not_come_back() {
    testing::run(async {
        let gate = Rc::new(web::sync::Event::new());
        let opened = Rc::clone(&gate);
        let slow = async move |exchange: &mut Exchange| {
            let session = exchange.session().await?;
            opened.wait().await;
            session.set("value", "too late")
        };
        let store = MemoryStore::new();
        let client = TestClient::new(routes().get("/slow", slow).wrap(Sessions::in_store(store.clone())));
        client.get("/set?value=1").send().await.assert_status(200);
        let slow = client.get("/slow").start();
        testing::settle().await;
        client.get("/destroy").send().await.assert_status(200);
        gate.set();
        slow.await.assert_status(200);
        assert!(store.is_empty());
    });
}

#[test]
fn of_two_requests_that_change_a_session_the_later_wins_and_others_do_not_count() {
    testing::run(async {
        let gate = Rc::new(web::sync::Event::new());
        let opened = Rc::clone(&gate);
        let slow = async move |exchange: &mut Exchange| {
            let session = exchange.session().await?;
            opened.wait().await;
            match exchange.query_opt::<String>("value")? {
                Some(value) => session.set("value", &value),
                None => Ok(()),
            }
        };
        let client = TestClient::new(routes().get("/slow", slow).wrap(Sessions::in_store(MemoryStore::new())));
        client.get("/set?value=1").send().await.assert_status(200);
        let (reader, writer) = (client.get("/slow").start(), client.get("/slow?value=3").start());
        testing::settle().await;
        client.get("/set?value=2").send().await.assert_status(200);
        client.get("/get").send().await.assert_text("2");
        gate.set();
        reader.await.assert_status(200);
        writer.await.assert_status(200);
        client.get("/get").send().await.assert_text("3");
    });
}

#[test]
fn without_the_wrap_there_are_no_sessions() {
    testing::run(async {
        let log = capture_log();
        TestClient::new(routes()).get("/get").send().await.assert_status(500);
        log.expect(Level::Error, "web", "`security::Sessions`");
    });
}

#[test]
#[should_panic(expected = "CookieSecret")]
fn sessions_in_cookies_without_a_secret_are_found_when_the_server_starts() {
    let _ = Application::new().get("/get", get).wrap(Sessions::in_cookie()).into_server();
}

/// Notes what it is asked, and fails when it is told to.
#[derive(Clone, Default)]
struct Noting {
    store: MemoryStore,
    calls: Rc<RefCell<Vec<&'static str>>>,
    fails: Rc<std::cell::Cell<bool>>,
}

impl Noting {
    fn note(&self, call: &'static str) -> web::Result<()> {
        self.calls.borrow_mut().push(call);
        if self.fails.get() { Err(Error::http(StatusCode::SERVICE_UNAVAILABLE, "away")) } else { Ok(()) }
    }
}

impl SessionStore for Noting {
    async fn load(&self, key: &str, keep: Duration) -> web::Result<Option<String>> {
        web::yield_now().await;
        self.note("load")?;
        self.store.load(key, keep).await
    }

    async fn insert(&self, key: &str, data: String, keep: Duration) -> web::Result<()> {
        self.note("insert")?;
        self.store.insert(key, data, keep).await
    }

    async fn update(&self, key: &str, data: String, keep: Duration) -> web::Result<bool> {
        self.note("update")?;
        self.store.update(key, data, keep).await
    }

    async fn remove(&self, key: &str) -> web::Result<()> {
        self.note("remove")?;
        self.store.remove(key).await
    }
}

#[test]
fn a_store_is_asked_for_no_more_than_is_needed() {
    testing::run(async {
        let store = Noting::default();
        let client = client(Sessions::in_store(store.clone()));
        let calls_of = async |target: &str| {
            client.get(target).send().await.assert_status(200);
            store.calls.take()
        };
        assert_eq!(calls_of("/nothing").await, [""; 0]);
        assert_eq!(calls_of("/get").await, [""; 0]);
        assert_eq!(calls_of("/set?value=1").await, ["insert"]);
        assert_eq!(calls_of("/nothing").await, [""; 0]);
        assert_eq!(calls_of("/get").await, ["load"]);
        assert_eq!(calls_of("/set?value=1").await, ["load"]);
        assert_eq!(calls_of("/set?value=2").await, ["load", "update"]);
        assert_eq!(calls_of("/rotate").await, ["load", "insert", "remove"]);
        assert_eq!(calls_of("/destroy").await, ["load", "remove"]);
        // What cannot be a key is not asked for.
        client.get("/get").header("Cookie", "session='; DROP TABLE sessions").send().await.assert_text("");
        assert_eq!(store.calls.take(), [""; 0]);
    });
}

#[test]
fn the_error_of_a_store_is_the_answer() {
    testing::run(async {
        let store = Noting::default();
        let client = client(Sessions::in_store(store.clone()));
        client.get("/set?value=1").send().await.assert_status(200);
        store.fails.set(true);
        client.get("/get").send().await.assert_status(503);
        client.another().get("/set?value=1").send().await.assert_status(503);
        client.another().get("/fail").send().await.assert_status(403);
        store.fails.set(false);
        client.get("/get").send().await.assert_text("1");
    });
}

#[test]
fn a_full_store_drops_the_session_that_is_nearest_to_its_end() {
    testing::run(async {
        let store = MemoryStore::new().max_sessions(3);
        let first = client(Sessions::in_store(store.clone()));
        let clients = [first.clone(), first.another(), first.another(), first.another()];
        for client in &clients[..3] {
            client.get("/set?value=1").send().await.assert_status(200);
            web::sleep(HOUR).await;
        }
        clients[0].get("/get").send().await.assert_text("1");
        clients[3].get("/set?value=1").send().await.assert_status(200);
        assert_eq!(store.len(), 3);
        clients[1].get("/get").send().await.assert_text("");
        for client in [&clients[0], &clients[2], &clients[3]] {
            client.get("/get").send().await.assert_text("1");
        }
        web::sleep(DAY + HOUR).await;
        assert!(store.is_empty());
    });
}

#[test]
#[should_panic(expected = "`__Host-` allows no domain")]
fn a_cookie_that_browsers_would_drop_is_refused() {
    let _ = Sessions::in_cookie().cookie(Cookie::build("__Host-session").domain("example.com"));
}
