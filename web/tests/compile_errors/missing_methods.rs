//! A resource that does not say which methods it has.

use web::{Application, Exchange, RequestHandler};

struct Room;

impl RequestHandler for Room {
    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        exchange.write_text("empty");
        Ok(())
    }
}

fn main() {
    let _ = Application::new().handler("/room", Room);
}
