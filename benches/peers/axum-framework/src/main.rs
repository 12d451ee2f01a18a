//! The framework's rows on axum: `axum::serve` on tokio's `current_thread`, files and compression by tower-http.

use std::sync::Arc;

use axum::{
    Form, Json, Router,
    extract::{DefaultBodyLimit, Multipart, Path, Query, Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{Html, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use minijinja::{Environment, Value, value::Serde};
use peers_framework::{Fields, ROUTES, TEMPLATE, TEMPLATE_NAME, UPLOAD_LIMIT, directory, page, table};
use peers_http::{HELLO, MESSAGE, Options};
use tokio::{net::TcpListener, runtime::Builder};
use tower_http::{CompressionLevel, compression::CompressionLayer, services::ServeDir};

fn main() {
    let options = Options::from_arguments();
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::from_std(options.listen()).expect("the runtime watches a socket");
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).expect("a socket"));
        // A task, as connections are: what runs the main future is not the same code.
        let server = tokio::spawn(async { axum::serve(listener, application()).await });
        server.await.expect("it does not panic").expect("it does not end");
    });
}

fn application() -> Router {
    let mut templates = Environment::new();
    templates.add_template(TEMPLATE_NAME, TEMPLATE).expect("it is well-formed");
    let page: Arc<str> = page().into();
    let compressed = |path, level| {
        let page = page.clone();
        let quality = CompressionLevel::Precise(level);
        let route = Router::new().route(path, get(async move || Html(page.to_string())));
        route.layer(CompressionLayer::new().gzip(true).quality(quality))
    };
    let wrapped = Router::new()
        .route("/wrapped", get(async || HELLO))
        .layer(middleware::from_fn(pass))
        .layer(middleware::from_fn(pass))
        .layer(middleware::from_fn(pass))
        .layer(middleware::from_fn(pass));
    (0..ROUTES)
        .fold(Router::new(), |router, number| router.route(&format!("/r{number}/{{id}}"), get(parameter)))
        .route("/plaintext", get(async || HELLO))
        .route("/json", get(async || Json(MESSAGE)))
        .route("/query", get(async |Query(fields): Query<Fields>| fields.answer()))
        .route("/form", post(async |Form(fields): Form<Fields>| fields.answer()))
        .route("/table", get(render))
        .route("/upload", post(upload).layer(DefaultBodyLimit::max(UPLOAD_LIMIT)))
        .nest_service("/static", ServeDir::new(directory().expect("a directory of files")))
        .merge(compressed("/page", 1))
        .merge(compressed("/page6", 6))
        .merge(wrapped)
        .with_state(Arc::new(templates))
}

async fn parameter(Path(id): Path<u64>) -> String {
    id.to_string()
}

async fn pass(request: Request, next: Next) -> Response {
    next.run(request).await
}

async fn render(State(templates): State<Arc<Environment<'static>>>) -> Result<Html<String>, StatusCode> {
    let template =
        templates.get_template(TEMPLATE_NAME).and_then(|template| template.render(Value::from(Serde(table()))));
    template.map(Html).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn upload(mut form: Multipart) -> Result<String, StatusCode> {
    let mut bytes = 0;
    while let Some(mut part) = form.next_field().await.map_err(|_| StatusCode::BAD_REQUEST)? {
        while let Some(piece) = part.chunk().await.map_err(|_| StatusCode::BAD_REQUEST)? {
            bytes += piece.len();
        }
    }
    Ok(bytes.to_string())
}
