//! The session of a client, without a request.

use std::rc::Rc;

use httpserver::Request;

use super::TestClient;
use crate::{
    Exchange,
    mounted::Routed,
    routing::{Home, RouteInfo},
    security::{Session, Sessions},
};

impl TestClient {
    /// Sets what [`session`](TestClient::session) uses: needed when the application has several
    /// [`Sessions`], when they are inside of a wrap of your own, and for a client
    /// [of a server](TestClient::with_server).
    #[must_use]
    pub fn sessions(self, sessions: &Sessions) -> TestClient {
        self.inner.settings.borrow_mut().keys.sessions = vec![sessions.clone()];
        self
    }

    /// Hands `look` the session of this client, an empty one if it has none, and saves what was changed: in the store or in
    /// the client's cookie, wherever the application's [`Sessions`] are kept. Returns what `look` does.
    ///
    /// A session that is begun here belongs to the client from then on: a test of what is behind a sign-in need not sign in.
    ///
    /// # Panics
    ///
    /// When the application has no [`Sessions`], or several; and when the store fails.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Exchange, security::{MemoryStore, Sessions}, testing::{self, TestClient}};
    ///
    /// async fn account(exchange: &mut Exchange) -> web::Result<()> {
    ///     let session = exchange.session().await?;
    ///     let user: Option<u32> = session.get("user");
    ///     session.set("visited", &true)?;
    ///     exchange.write_text(format!("{user:?}"));
    ///     Ok(())
    /// }
    ///
    /// testing::run(async {
    ///     let sessions = Sessions::in_store(MemoryStore::new());
    ///     let client = TestClient::new(Application::new().get("/account", account).wrap(sessions));
    ///     client.session(|session| session.set("user", &7).unwrap()).await;
    ///     client.get("/account").send().await.assert_text("Some(7)");
    ///     assert!(client.session(|session| session.get::<bool>("visited").unwrap()).await);
    /// });
    /// ```
    pub async fn session<T>(&self, look: impl FnOnce(&Session) -> T) -> T {
        let sessions = self.only_sessions();
        let host = self.inner.host();
        let cookies = self.inner.cookies.borrow().line(&host, "/");
        let request = Request::builder().header("Cookie", cookies).build().expect("cookies that were received");
        let home = Rc::<Home>::default();
        if let Some(secret) = self.inner.settings.borrow().keys.secret.as_deref() {
            home.add_state(secret.clone());
        }
        let mut exchange = Exchange::new(request, Routed::nowhere(&RouteInfo::unrouted(&home).into()));
        match sessions.outside(&mut exchange, look).await {
            Ok((result, response)) => {
                let lines = response.headers().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"));
                for (_, line) in lines {
                    self.inner.cookies.borrow_mut().set(&host, "/", &String::from_utf8_lossy(line));
                }
                result
            }
            Err(error) => panic!("the session of the client cannot be opened or saved: {error}"),
        }
    }

    fn only_sessions(&self) -> Sessions {
        let settings = self.inner.settings.borrow();
        match &settings.keys.sessions[..] {
            [only] => only.clone(),
            [] => panic!("no `Sessions` are known around the application: name them with `TestClient::sessions`"),
            all => panic!("the application has {} `Sessions`: name one with `TestClient::sessions`", all.len()),
        }
    }
}
