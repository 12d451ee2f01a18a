//! Layer: web.
//!
//! One application on every processor, by threads that share nothing. Each counts its own requests. With `--hand-off`
//! behind a `--` one more thread accepts, and gives each connection to the thread that has the fewest.
//!
//! ```sh
//! cargo run --release --bin several_cores
//! for i in 1 2 3 4 5; do curl http://127.0.0.1:8888/; done
//! ```

use std::{cell::Cell, env, error::Error, ffi::OsString, net::SocketAddr, process::ExitCode, thread, time::Duration};

use web::{
    Application, Exchange, HttpServer, IOLoop,
    httpserver::iostream,
    signal,
    threads::{self, Threads},
};

/// How long connections may go on when the program is to end.
const GRACE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let options: Vec<OsString> = arguments.by_ref().take_while(|argument| argument != "--").collect();
    let about = "HTTP on every processor. `-- --hand-off` has one thread accept for all.";
    let address = examples::cli::listen_address_from(options, about);
    examples::cli::exit_code(serve(address, arguments.any(|argument| argument == "--hand-off")))
}

fn serve(address: SocketAddr, hands_off: bool) -> Result<(), Box<dyn Error>> {
    // Waited for from here on, before anybody can be served.
    let end = signal::shutdown();
    // 0 is a thread for each processor.
    let threads = if hands_off { threads::hand_off(0, address, setup) } else { threads::serve(0, address, setup) }?;
    println!("listening on http://{}", threads.local_addr());
    println!("{} threads", threads.count());
    IOLoop::current().run_sync(drain_behind(end, &threads))
}

/// Called once on each thread. What it makes stays there, so it may be `Rc` and `Cell`.
fn setup() -> iostream::Result<HttpServer> {
    let count = Cell::new(0);
    let index = async move |exchange: &mut Exchange| -> web::Result<()> {
        count.set(count.get() + 1);
        let thread = thread::current();
        let name = thread.name().unwrap_or("a thread");
        exchange.write_text(format!("request {} of {name}\n", count.get()));
        Ok(())
    };
    Ok(Application::new().get("/", index).into_server())
}

/// The main thread has a loop of its own, for signals alone.
async fn drain_behind(end: impl Future<Output = ioloop::Result<i32>>, threads: &Threads) -> Result<(), Box<dyn Error>> {
    end.await?;
    let report = threads.drain(GRACE).await?;
    log::info!("{} connections were cut", report.cut);
    Ok(())
}
