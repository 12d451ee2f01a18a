//! A handler without a result.

use web::{Application, Exchange};

async fn hello(exchange: &mut Exchange) {
    exchange.write_text("Hello");
}

fn main() {
    let _ = Application::new().get("/", hello);
}
