//! Pages that are built into an example, which then runs from any directory.

use web::{Application, Exchange};

/// A page loads nothing from elsewhere and runs only its own scripts.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A part of a page: the path it is asked for by, which tells its type, and its text.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// `/` is HTML.
    pub path: &'static str,
    /// The whole file, by `include_str!`.
    pub content: &'static str,
}

/// The icon of all examples.
pub const ICON: Asset = Asset { path: "/icon.svg", content: include_str!("../shared/icon.svg") };

/// Colours and controls that the pages have in common.
pub const BASE_STYLE: Asset = Asset { path: "/base.css", content: include_str!("../shared/base.css") };

/// Adds a route for each part of a page.
pub fn add_to(application: Application, assets: &'static [Asset]) -> Application {
    assets.iter().fold(application, |application, asset| {
        application.get(asset.path, async move |exchange: &mut Exchange| {
            exchange.set_header("Content-Type", asset.content_type())?;
            exchange.set_header("Content-Security-Policy", POLICY)?;
            exchange.set_header("X-Content-Type-Options", "nosniff")?;
            // A new build has to be seen at once; the pages are small.
            exchange.set_header("Cache-Control", "no-cache")?;
            exchange.write(asset.content);
            Ok(())
        })
    })
}

impl Asset {
    fn content_type(&self) -> &'static str {
        match self.path.rsplit_once('.') {
            Some((_, "css")) => "text/css; charset=utf-8",
            Some((_, "js")) => "text/javascript; charset=utf-8",
            Some((_, "svg")) => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        }
    }
}
