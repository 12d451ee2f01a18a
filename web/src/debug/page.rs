//! The page of an error, for those who work on the application.

use std::fmt::Write;

use super::report::{Section, sections};
use crate::{
    error::{Error, reason},
    escape::xhtml_escape,
    exchange::Exchange,
};

/// Writes the page if the application is in debug mode and the error is the server's. True if it did.
#[inline]
pub(crate) fn write_page(exchange: &mut Exchange, error: &Error) -> bool {
    let status = error.status();
    if !status.is_server_error() || !exchange.is_debug() {
        return false;
    }
    let title = format!("{}: {}", status.as_u16(), reason(status));
    let message = error.to_string();
    let sections = sections(exchange, error);
    // Scripts and curl read text more easily than HTML.
    match exchange.header("accept").is_some_and(|accept| accept.contains("text/html")) {
        true => exchange.write(html(&title, &message, &sections)),
        false => exchange.write_text(text(&title, &message, &sections)),
    }
    true
}

#[inline]
fn html(title: &str, message: &str, sections: &[Section]) -> String {
    let (title, message) = (xhtml_escape(title), xhtml_escape(message));
    let mut page = format!(
        "<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style>\
         <body><header><h1>{title}</h1><pre>{message}</pre></header>"
    );
    for Section { title, rows, text } in sections {
        page.push_str(&format!("<section><h2>{title}</h2>"));
        if !rows.is_empty() {
            page.push_str("<table>");
            for (name, value) in rows {
                // Writing to a string does not fail.
                let _ = write!(page, "<tr><th>{}<td><pre>{}</pre>", xhtml_escape(name), xhtml_escape(value));
            }
            page.push_str("</table>");
        }
        if !text.is_empty() {
            let _ = write!(page, "<pre class=\"text\">{}</pre>", xhtml_escape(text));
        }
        page.push_str("</section>");
    }
    page.push_str("<footer>Shown because <code>debug(true)</code> is set.</footer></body></html>");
    page
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:0;color:#222;background:#fff}\
header{background:#8c1c13;color:#fff;padding:1rem 2rem}h1{font-size:1.2rem;margin:0}\
header pre{font-size:1.1rem;margin:.5rem 0 0}section{padding:0 2rem}h2{font-size:1rem;margin:1.5rem 0 .3rem}\
pre{font:14px/1.5 ui-monospace,monospace;margin:0;white-space:pre-wrap;overflow-wrap:anywhere}\
.text{background:#f4f4f4;padding:1rem;overflow-x:auto;white-space:pre}\
table{border-collapse:collapse;width:100%}th{text-align:left;font-weight:normal;color:#666;vertical-align:top;\
padding:.1rem 1rem .1rem 0;width:12rem}td{padding:.1rem 0}footer{padding:2rem;color:#666}";

#[inline]
fn text(title: &str, message: &str, sections: &[Section]) -> String {
    let mut page = format!("{title}\n{message}\n");
    for Section { title, rows, text } in sections {
        let _ = write!(page, "\n{title}\n");
        for (name, value) in rows {
            let _ = writeln!(page, "  {name}: {value}");
        }
        if !text.is_empty() {
            let _ = writeln!(page, "{text}");
        }
    }
    page
}
