//! Layer: web.
//!
//! One application on every processor, with data that all threads read. The words are loaded once; each thread has the same
//! memory behind an `Arc`, and counts its own requests in a `Cell`.
//!
//! ```sh
//! cargo run --release --bin dictionary -- --words /usr/share/dict/words
//! curl http://127.0.0.1:8888/words/ab?most=5
//! curl http://127.0.0.1:8888/thread
//! ```

use std::{
    cell::Cell, collections::BTreeSet, env, error::Error, fs, io, net::SocketAddr, ops::Bound, process::ExitCode,
    rc::Rc, sync::Arc, thread, time::Duration,
};

use serde_json::json;
use web::{
    Application, Exchange, IOLoop, signal,
    threads::{self, Threads},
};

/// How long connections may go on when the program is to end.
const GRACE: Duration = Duration::from_secs(10);

/// What there is without `--words`.
const FEW: &str = "abacus\nabbey\nabbot\nable\nabout\nmarble\nmarch\nwater\nwaterspout\nwave";

fn main() -> ExitCode {
    let (words, rest) = examples::cli::take_option(env::args_os().skip(1), "--words");
    let about = "Words by their beginning, on every processor.\n\n  --words F    a file with a word in each line";
    let address = examples::cli::listen_address_from(rest, about);
    examples::cli::exit_code(serve(address, words.as_deref()))
}

fn serve(address: SocketAddr, words: Option<&str>) -> Result<(), Box<dyn Error>> {
    let dictionary = Arc::new(Dictionary::load(words)?);
    println!("{} words", dictionary.words.len());
    // Waited for from here on, before anybody can be served.
    let end = signal::shutdown();
    // The closure is called once on each thread, with a pointer of its own. What it makes stays on that thread.
    let threads = threads::serve(0, address, move || Ok(application(dictionary.clone()).into_server()))?;
    println!("listening on http://{}", threads.local_addr());
    IOLoop::current().run_sync(drain_behind(end, &threads))
}

fn application(dictionary: Arc<Dictionary>) -> Application {
    let answered = Rc::new(Cell::new(0u64));
    let count = answered.clone();
    let words = async move |exchange: &mut Exchange| -> web::Result<()> {
        count.set(count.get() + 1);
        let beginning: String = exchange.path("beginning")?;
        let most = exchange.query_opt::<usize>("most")?.unwrap_or(20).min(1000);
        exchange.write_json(&dictionary.beginning_with(&beginning).take(most).collect::<Vec<_>>())
    };
    let this_thread = async move |exchange: &mut Exchange| -> web::Result<()> {
        let name = thread::current().name().unwrap_or("a thread").to_owned();
        exchange.write_json(&json!({ "thread": name, "answered": answered.get() }))
    };
    Application::new().get("/words/{beginning}", words).get("/thread", this_thread)
}

/// Words in their order. It never changes, so threads read it without a lock.
struct Dictionary {
    words: BTreeSet<String>,
}

impl Dictionary {
    fn load(file: Option<&str>) -> io::Result<Dictionary> {
        let text = file.map_or_else(|| Ok(FEW.to_owned()), fs::read_to_string)?;
        Ok(Dictionary {
            words: text.lines().map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect(),
        })
    }

    fn beginning_with(&self, beginning: &str) -> impl Iterator<Item = &str> {
        let from = (Bound::Included(beginning), Bound::Unbounded);
        self.words.range::<str, _>(from).map(String::as_str).take_while(move |word| word.starts_with(beginning))
    }
}

/// The main thread has a loop of its own, for signals alone.
async fn drain_behind(end: impl Future<Output = ioloop::Result<i32>>, threads: &Threads) -> Result<(), Box<dyn Error>> {
    end.await?;
    let report = threads.drain(GRACE).await?;
    log::info!("{} connections were cut", report.cut);
    Ok(())
}
