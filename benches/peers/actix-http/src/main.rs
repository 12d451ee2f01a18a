//! The HTTP rows on actix-web: one worker, beside which the library has a thread that accepts.

use std::io;

use actix_web::{
    App, HttpResponse, HttpServer,
    http::header::ContentType,
    rt,
    web::{self, Bytes, PayloadConfig},
};
use peers_http::{ECHO_LIMIT, HELLO, IDLE_TIMEOUT, MESSAGE, Options};

fn main() -> io::Result<()> {
    let listener = Options::from_arguments().listen();
    rt::System::new().block_on(
        HttpServer::new(|| {
            App::new()
                .app_data(PayloadConfig::new(ECHO_LIMIT))
                .route("/plaintext", web::get().to(plaintext))
                .route("/json", web::get().to(json))
                .route("/echo", web::post().to(echo))
        })
        .workers(1)
        .keep_alive(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        // The runner ends servers by the signal, whose own meaning is quicker.
        .disable_signals()
        .listen(listener)?
        .run(),
    )
}

async fn plaintext() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(HELLO)
}

async fn json() -> HttpResponse {
    HttpResponse::Ok().json(MESSAGE)
}

async fn echo(body: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::octet_stream()).body(body)
}
