//! Pages that load themselves again.

use std::{
    process,
    sync::OnceLock,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use httpserver::{Bytes, Method, Response, StatusCode};

use super::mode::DebugMode;
use crate::{
    error::{HttpError, Result},
    event_stream::{Event, EventStreamOptions},
    exchange::Exchange,
};

/// Of the paths that belong to debug mode. A segment that begins with a dot is nobody's route.
pub(super) const PREFIX: &str = "/.waterspout/";

const SCRIPT: &str = "/.waterspout/reload.js";
const CHANGES: &str = "/.waterspout/changes";

/// How soon a page asks again when the server has gone: it is being replaced.
const RETRY: Duration = Duration::from_millis(200);

/// Answers what the pages ask for.
#[inline]
pub(super) async fn answer(exchange: &mut Exchange) -> Result<()> {
    match exchange.request().path() {
        SCRIPT => write_script(exchange),
        CHANGES => send_changes(exchange).await,
        _ => Err(HttpError::new(StatusCode::NOT_FOUND).into()),
    }
}

/// The script knows which process has sent it. When another one answers, the page is that of an older program.
#[inline]
fn write_script(exchange: &mut Exchange) -> Result<()> {
    exchange.set_header("Content-Type", "text/javascript; charset=utf-8")?;
    exchange.set_header("Cache-Control", "no-store")?;
    let process = this_process();
    exchange.write(format!(
        "(() => {{\n  const source = new EventSource(\"{CHANGES}\");\n  \
         source.addEventListener(\"process\", event => {{ if (event.data !== \"{process}\") location.reload(); }});\n  \
         source.addEventListener(\"changed\", () => location.reload());\n\
         }})();\n"
    ));
    Ok(())
}

#[inline]
async fn send_changes(exchange: &mut Exchange) -> Result<()> {
    let changes = exchange.state::<DebugMode>()?.changes().clone();
    let mut known = changes.count();
    let options = EventStreamOptions::new().retry(RETRY).drain_retry(RETRY..=RETRY);
    let mut stream = exchange.event_stream_with(&options)?;
    stream.send(Event::new(this_process()).name("process")).await?;
    loop {
        known = changes.wait(known).await;
        stream.send(Event::new("").name("changed")).await?;
    }
}

/// Tells this run of the program from others.
#[inline]
fn this_process() -> &'static str {
    static PROCESS: OnceLock<String> = OnceLock::new();
    PROCESS.get_or_init(|| {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        format!("{}-{}", process::id(), time.as_nanos())
    })
}

/// Puts the script behind a page, and has the browser ask again for everything.
///
/// Only behind a page that is there as a whole and not compressed: this runs before the hooks of wraps.
#[inline]
pub(crate) fn add_script(exchange: &Exchange, response: &mut Response) {
    if !exchange.is_debug() || exchange.request().path().starts_with(PREFIX) {
        return;
    }
    // Without a word browsers guess how long a file stays as it is. What is not to be kept at all stays so.
    if !response.header_bytes("cache-control").is_some_and(|value| value.eq_ignore_ascii_case(b"no-store")) {
        // Cannot fail: name and value are valid.
        let _ = response.set_header("Cache-Control", "no-cache");
    }
    let is_html =
        response.header_bytes("content-type").is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"text/html"));
    let is_plain =
        response.header_bytes("content-encoding").is_none() && response.header_bytes("content-range").is_none();
    if !is_html || !is_plain || *exchange.method() == Method::HEAD {
        return;
    }
    let Some(page) = response.body().as_bytes().filter(|page| !page.is_empty()) else { return };
    let page = [page, format!("<script src=\"{SCRIPT}\" defer></script>\n").as_bytes()].concat();
    response.set_body(Bytes::from(page));
    response.remove_header("content-length");
}
