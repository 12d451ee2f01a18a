//! A handler that does not wait for the body.

use web::{Application, Exchange};

async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    let name: String = exchange.form("name")?;
    exchange.write_text(name);
    Ok(())
}

fn main() {
    let _ = Application::new().post("/", greet);
}
