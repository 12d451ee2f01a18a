//! A handler that reads the body while it holds something of the request.

use web::{Application, Exchange};

async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    let agent = exchange.header("User-Agent").unwrap_or("somebody");
    let name: String = exchange.form("name").await?;
    exchange.write_text(format!("{name} by {agent}"));
    Ok(())
}

fn main() {
    let _ = Application::new().post("/", greet);
}
