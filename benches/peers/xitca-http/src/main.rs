//! The HTTP rows on xitca-web: one worker, beside which the library has a thread that accepts.

use std::io;

use peers_http::{ECHO_LIMIT, HELLO, IDLE_TIMEOUT, MESSAGE, Message, Options};
use xitca_web::{
    App,
    bytes::Bytes,
    handler::{body::Limit, handler_service, json::Json},
    route::{get, post},
};

fn main() -> io::Result<()> {
    let listener = Options::from_arguments().listen();
    App::new()
        .at("/plaintext", get(handler_service(plaintext)))
        .at("/json", get(handler_service(json)))
        .at("/echo", post(handler_service(echo)))
        .serve()
        .worker_threads(1)
        .keep_alive_timeout(IDLE_TIMEOUT)
        .disable_signal()
        .listen(listener)?
        .run()
        .wait()
}

async fn plaintext() -> &'static str {
    HELLO
}

async fn json() -> Json<Message> {
    Json(MESSAGE)
}

async fn echo((body, _): (Bytes, Limit<ECHO_LIMIT>)) -> Bytes {
    body
}
