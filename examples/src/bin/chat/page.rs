//! Layer: web.
//!
//! The page, its style and its script, built into the program: it runs from any directory.

use examples::page::{self, Asset};
use web::Application;

const ASSETS: [Asset; 7] = [
    Asset { path: "/", content: include_str!("../../../chat/index.html") },
    Asset { path: "/style.css", content: include_str!("../../../chat/style.css") },
    Asset { path: "/chat.js", content: include_str!("../../../chat/chat.js") },
    Asset { path: "/draw.js", content: include_str!("../../../chat/draw.js") },
    Asset { path: "/feed.js", content: include_str!("../../../chat/feed.js") },
    Asset { path: "/links.js", content: include_str!("../../../chat/links.js") },
    page::ICON,
];

/// Adds a route for each part of the page.
pub fn add_to(application: Application) -> Application {
    page::add_to(application, &ASSETS)
}
