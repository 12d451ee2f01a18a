//! A handler that takes what it needs as arguments, as in axum, and returns text.

use web::Application;

async fn hello(name: String) -> String {
    format!("Hello, {name}")
}

fn main() {
    let _ = Application::new().get("/{name}", hello);
}
