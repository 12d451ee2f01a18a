//! Tests of an application without sockets and without waiting. Feature `testing`.
//!
//! [`run`] gives a test a loop with a [virtual clock](httpserver::iostream::ioloop::VirtualClock). A [`TestClient`] in it
//! talks HTTP to an application over streams in memory: everything from the parser to the handler runs as it does behind
//! a port, limits and time-outs included. Only TLS and the sockets are missing.
//!
//! | to | there is |
//! |---|---|
//! | send a request | [`TestClient::get`] and the like, [`TestRequest::send`] |
//! | look at an answer | [`TestResponse`], whose `assert_..` show the whole answer when they fail |
//! | have several requests under way | [`TestRequest::start`] |
//! | read an answer piece by piece | [`TestRequest::stream`] |
//! | follow an event stream, reconnect | [`TestRequest::events`] |
//! | open a WebSocket | `TestRequest::websocket`, with the feature `websocket` |
//! | send a form with files | [`MultipartForm`] |
//! | send a body piece by piece | [`TestRequest::upload`] |
//! | see which templates were rendered, and with what | `TestResponse::template`, with the feature `templates` |
//! | send a form with its token | `TestRequest::xsrf_form`, with the feature `xsrf` |
//! | be somebody who has signed in | `TestClient::session`, `TestClient::set_signed_cookie`, with their features |
//! | read a compressed answer | [`TestResponse::content`], [`TestResponse::text`] |
//! | go away | drop what was started, or the stream |
//! | be somebody else | [`TestClient::another`] |
//! | let time pass | [`advance`], [`settle`], [`elapsed`] |
//! | look at the log | [`capture_log`] |
//! | send bytes as they are | [`TestClient::connect`] |
//!
//! A test that waits for what never comes fails, and says what it waits for. What it logs is shown when it fails.
//!
//! # Examples
//!
//! ```
//! use web::{Application, Exchange, testing::{self, TestClient}};
//!
//! async fn visits(exchange: &mut Exchange) -> web::Result<()> {
//!     let visits = 1 + exchange.cookie("visits").and_then(|text| text.parse().ok()).unwrap_or(0);
//!     exchange.set_cookie(("visits", visits.to_string()))?;
//!     exchange.write_text(format!("visit {visits}"));
//!     Ok(())
//! }
//!
//! // #[test]
//! fn visitors_are_counted_one_by_one() {
//!     testing::run(async {
//!         let ada = TestClient::new(Application::new().get("/", visits));
//!         ada.get("/").send().await.assert_status(200).assert_text("visit 1");
//!         ada.get("/").send().await.assert_text("visit 2");
//!
//!         let grace = ada.another();
//!         grace.get("/").send().await.assert_text("visit 1");
//!     });
//! }
//! # visitors_are_counted_one_by_one();
//! ```

mod assertions;
mod client;
mod content;
mod cookie_jar;
mod events;
mod keys;
mod log;
mod multipart_form;
mod notes;
mod patience;
mod request;
mod response;
mod run;
#[cfg(feature = "sessions")]
mod sessions;
#[cfg(feature = "signed-cookies")]
mod signed_cookies;
mod started;
mod streamed;
#[cfg(feature = "templates")]
mod templates;
mod upload;
#[cfg(feature = "websocket")]
mod websocket;
#[cfg(feature = "xsrf")]
mod xsrf;

pub use ::log::Level;

#[cfg(feature = "templates")]
pub use self::templates::RenderedTemplate;
#[cfg(feature = "templates")]
pub(crate) use self::templates::{note_part, note_value, noted};
#[cfg(feature = "websocket")]
pub use self::websocket::TestWebSocket;
pub use self::{
    client::TestClient,
    events::TestEvents,
    log::{LogCapture, LogLine, capture_log},
    multipart_form::MultipartForm,
    request::TestRequest,
    response::TestResponse,
    run::{Runner, advance, clock, elapsed, run, settle, take_panics},
    started::Started,
    streamed::StreamedResponse,
    upload::Upload,
};
