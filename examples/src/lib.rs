//! What the examples share. `cargo test` compiles the code in the pages of the book here.

pub mod cli;
pub mod page;
pub mod pool;
pub mod side_car;

/// The pages of `docs/src` and the README, each as one module, so that a failing block names its page.
#[cfg(doctest)]
mod pages {
    macro_rules! pages {
        ($($name:ident: $file:literal,)*) => {
            $(#[doc = include_str!($file)] mod $name {})*
        };
    }

    pages! {
        readme: "../../README.md",
        introduction: "../../docs/src/introduction.md",
        getting_started: "../../docs/src/getting-started.md",
        ioloop: "../../docs/src/ioloop.md",
        iostream: "../../docs/src/iostream.md",
        httpserver: "../../docs/src/httpserver.md",
        web: "../../docs/src/web.md",
        routing: "../../docs/src/routing.md",
        input: "../../docs/src/input.md",
        output: "../../docs/src/output.md",
        templates: "../../docs/src/templates.md",
        locales: "../../docs/src/locales.md",
        sign_in: "../../docs/src/sign-in.md",
        static_files: "../../docs/src/static-files.md",
        compose: "../../docs/src/compose.md",
        comet: "../../docs/src/comet.md",
        working_on_it: "../../docs/src/working-on-it.md",
        testing: "../../docs/src/testing.md",
        websocket: "../../docs/src/websocket.md",
        growing: "../../docs/src/growing.md",
        ecosystem: "../../docs/src/ecosystem.md",
        coming_from_tornado: "../../docs/src/coming-from-tornado.md",
        coming_from_axum: "../../docs/src/coming-from-axum.md",
        coming_from_actix_web: "../../docs/src/coming-from-actix-web.md",
        deployment: "../../docs/src/deployment.md",
        performance: "../../docs/src/performance.md",
        decisions: "../../docs/src/decisions.md",
    }
}
