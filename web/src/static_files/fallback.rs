//! Which requests a page answers that is drawn by a script in the browser.

use httpserver::Method;

use crate::exchange::Exchange;

/// Whether a browser could go to a page there: it reads, and asks for nothing with an extension. A picture that is missing stays
/// missing.
#[inline]
pub(super) fn may_be_page(exchange: &Exchange) -> bool {
    let is_read = matches!(*exchange.method(), Method::GET | Method::HEAD);
    let name = exchange.request().path().rsplit('/').next().unwrap_or_default();
    is_read && !name.contains('.')
}

/// Whether it is a browser that goes there: it accepts HTML by name.
#[inline]
pub(super) fn asks_for_page(exchange: &Exchange) -> bool {
    exchange.headers().get_all("accept").any(accepts_html)
}

#[inline]
fn accepts_html(line: &[u8]) -> bool {
    line.split(|&byte| byte == b',').any(|member| {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_html = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(b"text/html"));
        is_html && !parts.any(is_zero)
    })
}

/// Whether a parameter is a weight of nothing.
#[inline]
fn is_zero(parameter: &[u8]) -> bool {
    match parameter {
        [b'q' | b'Q', b'=', b'0', rest @ ..] => rest.iter().all(|byte| matches!(byte, b'.' | b'0')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::accepts_html;

    #[test]
    fn html_is_accepted_by_name() {
        for line in ["text/html", "*/*;q=0.8, TEXT/HTML ;q=0.001", "text/html;level=1;q=1"] {
            assert!(accepts_html(line.as_bytes()), "{line}");
        }
        for line in ["", "*/*", "text/*", "application/json", "text/html;q=0", "text/html; q=0.000, image/png"] {
            assert!(!accepts_html(line.as_bytes()), "{line}");
        }
    }
}
