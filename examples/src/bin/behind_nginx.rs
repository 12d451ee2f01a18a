//! Layer: web.
//!
//! An application behind nginx, with the configuration that is in `examples/deploy`: it believes what the proxy says of its
//! clients, tells it when it is ready, and says good-bye before it ends.
//!
//! ```sh
//! cargo run --release --bin behind_nginx -- --port 8001 &
//! cargo run --release --bin behind_nginx -- --port 8002 &
//! nginx -p "$PWD" -c examples/deploy/nginx.conf -g 'daemon off; pid /tmp/nginx-example.pid; error_log stderr;' &
//! curl http://127.0.0.1:8080/            # the address of curl, not that of nginx
//! curl -N http://127.0.0.1:8080/ticks    # each as it comes
//! kill -TERM %1                          # nginx goes on with the other one; no request fails
//! ```

use std::{error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use web::{Application, Exchange, IOLoop, ServerOptions, XHeaders, event_stream::Event, metrics::readiness, sleep};

/// How long new connections are still accepted after SIGTERM, so that every balancer has noticed.
const NOTICE: Duration = Duration::from_secs(3);

/// How long requests may go on then.
const GRACE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let address = examples::cli::listen_address("An application behind nginx.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    // The headers of others are not looked at: anybody can send them.
    let nginx = XHeaders::trusting(["127.0.0.1".parse()?, "::1".parse()?]);
    let server = Application::new()
        .server_options(ServerOptions::new().xheaders(nginx))
        .get("/", index)
        .get("/ticks", ticks)
        .get("/ready", readiness)
        .listen(address)?;
    server.drain_on_signal_after(NOTICE, GRACE)?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

/// Who asks, as far as is known here. Links and redirects to this site are made of the same.
async fn index(exchange: &mut Exchange) -> web::Result<()> {
    let client = exchange.remote_ip().map_or_else(|| "somebody".to_owned(), |ip| ip.to_string());
    let url = exchange.request().full_url().unwrap_or_default();
    exchange.write_text(format!("{client} asks for {url}\n"));
    Ok(())
}

/// A number each second, through a proxy that does not hold them back.
async fn ticks(exchange: &mut Exchange) -> web::Result<()> {
    let mut events = exchange.event_stream()?;
    for number in 0u64.. {
        events.send(Event::new(number.to_string())).await?;
        sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}
