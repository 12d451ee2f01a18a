//! The page that goes with an error.

use crate::{
    error::{Error, reason},
    escape::xhtml_escape,
    exchange::Exchange,
};

/// Writes the page of an application without one of its own. Title and text say the same, as in `404: Not Found`.
pub(crate) fn write_default_page(exchange: &mut Exchange, error: &Error) {
    let status = error.status();
    let code = status.as_u16();
    let title = xhtml_escape(reason(status));
    let message = error.message();
    let text = xhtml_escape(&message);
    exchange.write(format!("<html><title>{code}: {title}</title><body>{code}: {text}</body></html>"));
}
