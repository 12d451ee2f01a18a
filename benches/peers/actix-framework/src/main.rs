//! The framework's rows on actix-web: one worker, beside which the library has a thread that accepts.

use std::io;

use actix_files::Files;
use actix_multipart::Multipart;
use actix_web::{
    App, Error, HttpResponse, HttpServer,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    error::{ErrorBadRequest, ErrorInternalServerError},
    http::header::ContentType,
    middleware::{Compress, Next, from_fn},
    rt,
    web::{self, Data, Form, PayloadConfig, Query},
};
use futures_util::StreamExt;
use minijinja::{Environment, Value, value::Serde};
use peers_framework::{Fields, ROUTES, TEMPLATE, TEMPLATE_NAME, UPLOAD_LIMIT, directory, page, table};
use peers_http::{HELLO, IDLE_TIMEOUT, MESSAGE, Options};

fn main() -> io::Result<()> {
    let listener = Options::from_arguments().listen();
    rt::System::new().block_on(
        HttpServer::new(|| App::new().configure(routes))
            .workers(1)
            .keep_alive(IDLE_TIMEOUT)
            .tcp_nodelay(true)
            // The runner ends servers by the signal, whose own meaning is quicker.
            .disable_signals()
            .listen(listener)?
            .run(),
    )
}

fn routes(config: &mut web::ServiceConfig) {
    let mut templates = Environment::new();
    templates.add_template(TEMPLATE_NAME, TEMPLATE).expect("it is well-formed");
    let page = Data::new(page());
    let wrapped = web::resource("/wrapped")
        .route(web::get().to(plaintext))
        .wrap(from_fn(pass))
        .wrap(from_fn(pass))
        .wrap(from_fn(pass))
        .wrap(from_fn(pass));
    config
        .app_data(Data::new(templates))
        .app_data(PayloadConfig::new(UPLOAD_LIMIT))
        .route("/plaintext", web::get().to(plaintext))
        .route("/json", web::get().to(async || HttpResponse::Ok().json(MESSAGE)))
        .route("/query", web::get().to(async |fields: Query<Fields>| text(fields.answer())))
        .route("/form", web::post().to(async |fields: Form<Fields>| text(fields.answer())))
        .route("/table", web::get().to(render))
        .route("/upload", web::post().to(upload))
        .service(Files::new("/static", directory().expect("a directory of files")))
        .service(web::resource("/page").app_data(page).wrap(Compress::default()).route(web::get().to(whole_page)))
        .service(wrapped);
    // Last, because actix-web tries its routes one after the other.
    for number in 0..ROUTES {
        config.route(&format!("/r{number}/{{id}}"), web::get().to(parameter));
    }
}

fn text(text: String) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(text)
}

async fn plaintext() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(HELLO)
}

async fn parameter(id: web::Path<u64>) -> HttpResponse {
    text(id.to_string())
}

async fn whole_page(page: Data<String>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::html()).body(page.to_string())
}

async fn pass(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    next.call(request).await
}

async fn render(templates: Data<Environment<'static>>) -> Result<HttpResponse, Error> {
    let rendered =
        templates.get_template(TEMPLATE_NAME).and_then(|template| template.render(Value::from(Serde(table()))));
    let rendered = rendered.map_err(ErrorInternalServerError)?;
    Ok(HttpResponse::Ok().content_type(ContentType::html()).body(rendered))
}

async fn upload(mut form: Multipart) -> Result<HttpResponse, Error> {
    let mut bytes = 0;
    while let Some(part) = form.next().await {
        let mut part = part.map_err(ErrorBadRequest)?;
        while let Some(piece) = part.next().await {
            bytes += piece.map_err(ErrorBadRequest)?.len();
        }
    }
    Ok(text(bytes.to_string()))
}
