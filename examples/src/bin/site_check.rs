//! Layer: web.
//!
//! A library of tokio's from a handler: hyper-util's HTTP client, which needs that runtime, asks some sites whether they
//! are up. The runtime has a thread of its own beside the loop (`examples::side_car`).
//!
//! ```sh
//! cargo run --release --bin site_check -- --site http://example.org/ --site http://127.0.0.1:8888/health
//! curl http://127.0.0.1:8888/
//! ```

use std::{env, error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use examples::side_car::SideCar;
use http::Uri;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use web::{Application, Bytes, Exchange, IOLoop, JoinHandle, spawn};

/// How long a site may take.
const PATIENCE: Duration = Duration::from_secs(5);

type HttpClient = Client<HttpConnector, http_body_util::Empty<Bytes>>;

fn main() -> ExitCode {
    let (sites, rest) = examples::cli::take_options(env::args_os().skip(1), "--site");
    let about = "Asks sites whether they are up.\n\n  --site URL   a site, by http; may be repeated";
    let address = examples::cli::listen_address_from(rest, about);
    examples::cli::exit_code(serve(address, &sites))
}

fn serve(address: SocketAddr, sites: &[String]) -> Result<(), Box<dyn Error>> {
    let sites: Vec<Uri> = sites.iter().map(|site| site.parse()).collect::<Result<_, _>>()?;
    let side_car = SideCar::start()?;
    // It keeps connections between the checks, on the side-car's thread.
    let client: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    let report = async move |exchange: &mut Exchange| -> web::Result<()> {
        // All at once: each check is a task here that waits for one over there.
        let checks: Vec<_> =
            sites.iter().map(|site| spawn(check(side_car.clone(), client.clone(), site.clone()))).collect();
        let answers = exchange.while_connected(all(checks)).await??;
        exchange.write_json(&answers)
    };
    let health = async |exchange: &mut Exchange| -> web::Result<()> {
        exchange.write_text("up\n");
        Ok(())
    };
    let server = Application::new().get("/", report).get("/health", health).listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

/// Asks one site. What crosses to the other thread and back is `Send`: the client, the address, the outcome.
async fn check(side_car: SideCar, client: HttpClient, site: Uri) -> web::Result<Value> {
    let name = site.to_string();
    // Its timer is tokio's, because it runs over there.
    let outcome = side_car.run(async move { tokio::time::timeout(PATIENCE, client.get(site)).await }).await?;
    Ok(match outcome {
        Ok(Ok(response)) => json!({ "site": name, "status": response.status().as_u16() }),
        Ok(Err(error)) => json!({ "site": name, "error": error.to_string() }),
        Err(_elapsed) => json!({ "site": name, "error": "no answer in time" }),
    })
}

async fn all(checks: Vec<JoinHandle<web::Result<Value>>>) -> web::Result<Vec<Value>> {
    let mut answers = Vec::new();
    for check in checks {
        answers.push(check.await??);
    }
    Ok(answers)
}
