//! Layer: web.
//!
//! A language model's answer, sent token by token as server-sent events. Generating ends at once when the client leaves.
//! The words of a text stand in for the model.
//!
//! ```sh
//! cargo run --release --bin tokens          # then open http://127.0.0.1:8888
//! curl -N --json '{"question":"Why one thread?"}' http://127.0.0.1:8888/answers
//! curl http://127.0.0.1:8888/status
//! ```

use std::{cell::Cell, error::Error, net::SocketAddr, process::ExitCode, rc::Rc, time::Duration};

use examples::page::{self, Asset};
use serde::{Deserialize, Serialize};
use web::{Application, Exchange, IOLoop, Method, RequestHandler, StatusCode, event_stream::Event, sleep};

const ASSETS: [Asset; 6] = [
    Asset { path: "/", content: include_str!("../../tokens/index.html") },
    Asset { path: "/style.css", content: include_str!("../../tokens/style.css") },
    Asset { path: "/tokens.js", content: include_str!("../../tokens/tokens.js") },
    Asset { path: "/events.js", content: include_str!("../../tokens/events.js") },
    page::BASE_STYLE,
    page::ICON,
];

/// What the model says, whatever it is asked.
const TEXT: &str = include_str!("../../tokens/answer.txt");

/// The longest question, in characters.
const LONGEST_QUESTION: usize = 500;

fn main() -> ExitCode {
    let address = examples::cli::listen_address("Streams an answer token by token.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let model = Rc::new(Model::default());
    let server = page::add_to(Application::new(), &ASSETS)
        .handler("/answers", Answers { model: model.clone() })
        .handler("/status", Status { model })
        .listen(address)?;
    server.drain_on_signal(Duration::from_secs(5))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

/// `POST /answers`: an event for each token, whose data is the token as a JSON string, and an event `done` at the end.
///
/// A page reads it by `fetch`, because an `EventSource` can only GET, and would ask again when the answer has ended.
struct Answers {
    model: Rc<Model>,
}

impl RequestHandler for Answers {
    const METHODS: &'static [Method] = &[Method::POST];

    async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
        #[derive(Deserialize)]
        struct Prompt {
            question: String,
        }
        let Prompt { question } = exchange.json().await?;
        if question.trim().is_empty() || question.chars().count() > LONGEST_QUESTION {
            exchange.set_status(StatusCode::UNPROCESSABLE_ENTITY);
            exchange.write_text(format!("a question has 1 to {LONGEST_QUESTION} characters\n"));
            return Ok(());
        }
        // Dropped with this future when the client leaves, wherever it waits.
        let mut generation = Generation::start(&self.model);
        let mut events = exchange.event_stream()?;
        while let Some(token) = generation.next().await {
            events.send(Event::json(token)?).await?;
        }
        events.send(Event::new(generation.tokens.to_string()).name("done")).await
    }
}

/// `GET /status`: how many answers are being made, and how many were made or cancelled.
struct Status {
    model: Rc<Model>,
}

impl RequestHandler for Status {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        #[derive(Serialize)]
        struct Counts {
            running: u64,
            finished: u64,
            cancelled: u64,
        }
        exchange.set_header("Cache-Control", "no-store")?;
        let Model { started, finished, cancelled } = &*self.model;
        let (finished, cancelled) = (finished.get(), cancelled.get());
        exchange.write_json(&Counts { running: started.get() - finished - cancelled, finished, cancelled })
    }
}

/// Counts what was asked of it.
#[derive(Default)]
struct Model {
    started: Cell<u64>,
    finished: Cell<u64>,
    cancelled: Cell<u64>,
}

/// An answer that is being made.
struct Generation {
    model: Rc<Model>,
    rest: &'static str,
    tokens: u32,
}

impl Generation {
    fn start(model: &Rc<Model>) -> Generation {
        model.started.set(model.started.get() + 1);
        Generation { model: model.clone(), rest: TEXT, tokens: 0 }
    }

    /// The next word with the white space behind it. It takes as long as if somebody had thought about it.
    async fn next(&mut self) -> Option<&'static str> {
        let end = self.rest.find(char::is_whitespace)?;
        let behind = self.rest[end..].find(|c: char| !c.is_whitespace()).map_or(self.rest.len(), |length| end + length);
        let (token, rest) = self.rest.split_at(behind);
        sleep(Duration::from_millis(8 + 3 * token.len() as u64)).await;
        self.rest = rest;
        self.tokens += 1;
        Some(token)
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        let count = if self.rest.is_empty() {
            &self.model.finished
        } else {
            log::info!("cancelled after {} tokens", self.tokens);
            &self.model.cancelled
        };
        count.set(count.get() + 1);
    }
}
