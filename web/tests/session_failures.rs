//! What becomes of a session when its request fails.

#[path = "util/session_values.rs"]
mod session_values;

use std::{cell::Cell, rc::Rc, time::Duration};

use session_values::{get, set};
use web::{
    Application, Error, Exchange, Next, StatusCode,
    security::{MemoryStore, SessionStore, Sessions},
    testing::{self, TestClient, TestResponse},
};

/// Changes the session as it is told.
async fn change(exchange: &mut Exchange) -> web::Result<()> {
    let session = exchange.session().await?;
    for step in exchange.query::<String>("do")?.split(' ') {
        match step {
            "rotate" => session.rotate()?,
            "destroy" => session.destroy()?,
            "save" => session.save().await?,
            value => session.set("value", value)?,
        }
    }
    Ok(())
}

async fn panic(exchange: &mut Exchange) -> web::Result<()> {
    change(exchange).await?;
    panic!("half-way");
}

async fn hang(exchange: &mut Exchange) -> web::Result<()> {
    change(exchange).await?;
    std::future::pending().await
}

/// Answers in place of a handler that takes long.
async fn impatient(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    let answered = web::timeout(Duration::from_secs(5), next.run(exchange)).await;
    answered.unwrap_or_else(|_| Err(Error::http(StatusCode::SERVICE_UNAVAILABLE, "Too slow")))
}

fn client(sessions: Sessions) -> TestClient {
    let routes = Application::new()
        .get("/set", set)
        .get("/get", get)
        .get("/change", change)
        .get("/panic", panic)
        .get("/hang", hang)
        .cookie_secret("It's a secret to everybody");
    TestClient::new(routes.wrap(impatient).wrap(sessions))
}

/// Runs a test with sessions in both places.
fn in_both(test: impl AsyncFn(TestClient)) {
    testing::run(async {
        test(client(Sessions::in_cookie())).await;
        test(client(Sessions::in_store(MemoryStore::new()))).await;
    });
}

fn cookie(response: &TestResponse) -> Option<&str> {
    response.header("set-cookie")
}

#[test]
fn a_handler_that_does_not_end_changes_nothing() {
    in_both(async |client| {
        client.get("/set?value=kept").send().await.assert_status(200);
        for (path, status) in [("/panic", 500), ("/hang", 503)] {
            for steps in ["other", "rotate other", "rotate", "destroy", "destroy other"] {
                let response = client.get(path).query("do", steps).send().await;
                response.assert_status(status);
                assert_eq!(cookie(&response), None, "{path} {steps}");
                client.get("/get").send().await.assert_text("kept");
            }
            let response = client.another().get(path).query("do", "new").send().await;
            response.assert_status(status).assert_no_header("set-cookie");
        }
    });
}

#[test]
fn what_was_saved_before_a_panic_stays_saved_and_is_told() {
    testing::run(async {
        let client = client(Sessions::in_store(MemoryStore::new()));
        for (path, status) in [("/panic", 500), ("/hang", 503)] {
            client.get(path).query("do", "first save").send().await.assert_status(status);
            client.get("/get").send().await.assert_text("first");
            client.get(path).query("do", "rotate second save third").send().await.assert_status(status);
            client.get("/get").send().await.assert_text("second");
            client.get(path).query("do", "destroy save").send().await.assert_status(status);
            client.get("/get").send().await.assert_text("");
        }
    });
}

/// A store that takes a second for each change, or fails.
#[derive(Clone, Default)]
struct Slow {
    store: MemoryStore,
    fails: Rc<Cell<bool>>,
}

impl Slow {
    async fn wait(&self) -> web::Result<()> {
        web::sleep(Duration::from_secs(1)).await;
        if self.fails.get() { Err(Error::http(StatusCode::BAD_GATEWAY, "away")) } else { Ok(()) }
    }
}

impl SessionStore for Slow {
    async fn load(&self, key: &str, keep: Duration) -> web::Result<Option<String>> {
        self.store.load(key, keep).await
    }

    async fn insert(&self, key: &str, data: String, keep: Duration) -> web::Result<()> {
        self.wait().await?;
        self.store.insert(key, data, keep).await
    }

    async fn update(&self, key: &str, data: String, keep: Duration) -> web::Result<bool> {
        self.wait().await?;
        self.store.update(key, data, keep).await
    }

    async fn remove(&self, key: &str) -> web::Result<()> {
        self.wait().await?;
        self.store.remove(key).await
    }
}

#[test]
fn a_key_that_the_store_did_not_take_is_not_sent() {
    testing::run(async {
        let store = Slow::default();
        let client = client(Sessions::in_store(store.clone()));
        client.get("/set?value=kept").send().await.assert_status(200);
        store.fails.set(true);
        for steps in ["other", "rotate other", "destroy", "destroy other"] {
            let response = client.get("/change").query("do", steps).send().await;
            response.assert_status(502).assert_no_header("set-cookie");
        }
        client.another().get("/set?value=new").send().await.assert_status(502).assert_no_header("set-cookie");
        store.fails.set(false);
        client.get("/get").send().await.assert_text("kept");
    });
}

#[test]
fn a_save_that_was_given_up_is_made_up_for_at_the_end() {
    testing::run(async {
        let hasty = async |exchange: &mut Exchange| {
            let session = exchange.session().await?;
            session.set("value", &exchange.query::<String>("value")?)?;
            let saved = web::timeout(Duration::from_millis(100), session.save()).await;
            exchange.write_text(if saved.is_ok() { "in time" } else { "given up" });
            Ok(())
        };
        let routes = Application::new().get("/get", get).get("/hasty", hasty);
        let client = TestClient::new(routes.wrap(Sessions::in_store(Slow::default())));
        for value in ["new", "changed"] {
            client.get("/hasty").query("value", value).send().await.assert_text("given up");
            client.get("/get").send().await.assert_text(value);
        }
    });
}
