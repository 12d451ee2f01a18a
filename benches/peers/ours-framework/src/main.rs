//! The framework's rows on web.

use peers_framework::{Fields, ROUTES, TEMPLATE, TEMPLATE_NAME, directory, page, table};
use peers_http::{HELLO, MESSAGE, Options, announce};
use web::{
    Application, Compress, Exchange, Handler, IOLoop, Next, Route, StaticFiles, httpserver::multipart::FormLimits,
    templates::Templates,
};

fn main() -> web::Result<()> {
    let options = Options::from_arguments();
    let server = application()?.listen(options.address())?;
    announce(server.local_addr());
    IOLoop::current().start();
    Ok(())
}

fn application() -> web::Result<Application> {
    let routes = (0..ROUTES)
        .fold(Application::new(), |application, number| application.get(&format!("/r{number}/{{id}}"), parameter));
    Ok(routes
        .templates(Templates::embedded([(TEMPLATE_NAME, TEMPLATE)])?)
        .get("/plaintext", plaintext)
        .get("/json", async |exchange: &mut Exchange| exchange.write_json(&MESSAGE))
        .get("/query", query)
        .post("/form", form)
        .get("/table", async |exchange: &mut Exchange| exchange.render(TEMPLATE_NAME, table()))
        .post("/upload", upload)
        .add(Route::get("/page", whole_page()).wrap(Compress::new().level(1)))
        .add(Route::get("/page6", whole_page()).wrap(Compress::new()))
        .add(Route::get("/wrapped", plaintext).wrap(pass).wrap(pass).wrap(pass).wrap(pass))
        .static_handler("/static", StaticFiles::new(directory()?)?))
}

fn whole_page() -> impl Handler {
    let page = page();
    async move |exchange: &mut Exchange| {
        exchange.write(page.as_str());
        Ok(())
    }
}

async fn plaintext(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text(HELLO);
    Ok(())
}

async fn parameter(exchange: &mut Exchange) -> web::Result<()> {
    let id: u64 = exchange.path("id")?;
    exchange.write_text(id.to_string());
    Ok(())
}

async fn query(exchange: &mut Exchange) -> web::Result<()> {
    let fields: Fields = exchange.query_as()?;
    exchange.write_text(fields.answer());
    Ok(())
}

async fn form(exchange: &mut Exchange) -> web::Result<()> {
    let fields: Fields = exchange.form_as().await?;
    exchange.write_text(fields.answer());
    Ok(())
}

async fn pass(exchange: &mut Exchange, next: Next<'_>) -> web::Result<()> {
    next.run(exchange).await
}

async fn upload(exchange: &mut Exchange) -> web::Result<()> {
    let mut form = exchange.multipart(FormLimits::default())?;
    let mut bytes = 0;
    while let Some(mut part) = form.next_part().await? {
        while let Some(piece) = part.chunk().await? {
            bytes += piece.len();
        }
    }
    exchange.write_text(bytes.to_string());
    Ok(())
}
