//! Layer: web.
//!
//! The page, its style and its script, built into the program: it runs from any directory.

use web::{Application, Exchange};

/// The page loads nothing from elsewhere and runs only its own scripts.
const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const ASSETS: [Asset; 5] = [
    Asset { path: "/", content_type: "text/html; charset=utf-8", content: include_str!("../../../chat/index.html") },
    Asset {
        path: "/style.css",
        content_type: "text/css; charset=utf-8",
        content: include_str!("../../../chat/style.css"),
    },
    Asset {
        path: "/chat.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../../../chat/chat.js"),
    },
    Asset {
        path: "/links.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../../../chat/links.js"),
    },
    Asset { path: "/icon.svg", content_type: "image/svg+xml", content: include_str!("../../../chat/icon.svg") },
];

/// Adds a route for each part of the page.
pub fn add_to(application: Application) -> Application {
    ASSETS.iter().fold(application, |application, asset| {
        application.get(asset.path, async move |exchange: &mut Exchange| {
            exchange.set_header("Content-Type", asset.content_type)?;
            exchange.set_header("Content-Security-Policy", POLICY)?;
            exchange.set_header("X-Content-Type-Options", "nosniff")?;
            // A new build has to be seen at once; the page is small.
            exchange.set_header("Cache-Control", "no-cache")?;
            exchange.write(asset.content);
            Ok(())
        })
    })
}
