//! The HTTP rows on axum: `axum::serve` on tokio's `current_thread`.

use axum::{
    Json, Router,
    body::Bytes,
    extract::DefaultBodyLimit,
    routing::{get, post},
    serve::ListenerExt,
};
use peers_http::{ECHO_LIMIT, HELLO, MESSAGE, Options};
use tokio::{net::TcpListener, runtime::Builder};

fn main() {
    let options = Options::from_arguments();
    let application = Router::new()
        .route("/plaintext", get(async || HELLO))
        .route("/json", get(async || Json(MESSAGE)))
        .route("/echo", post(async |body: Bytes| body))
        .layer(DefaultBodyLimit::max(ECHO_LIMIT));
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::from_std(options.listen()).expect("the runtime watches a socket");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
        // A task, as connections are: what runs the main future is not the same code.
        let server = tokio::spawn(async { axum::serve(listener, application).await });
        server.await.expect("it does not panic").expect("it does not end");
    });
}
