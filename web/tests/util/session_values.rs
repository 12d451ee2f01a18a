//! Handlers that write and read a value of the session.

use web::Exchange;

/// Writes the argument `value`.
pub(crate) async fn set(exchange: &mut Exchange) -> web::Result<()> {
    let value: String = exchange.query("value")?;
    exchange.session().await?.set("value", &value)
}

/// Answers with it, or with nothing.
pub(crate) async fn get(exchange: &mut Exchange) -> web::Result<()> {
    let value: Option<String> = exchange.session().await?.get("value");
    exchange.write_text(value.unwrap_or_default());
    Ok(())
}
