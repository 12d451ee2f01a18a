//! Layer: iostream.
//!
//! Serves any program, as inetd did: each connection is piped through a process of its own.
//!
//! ```sh
//! cargo run --release --bin pipe_through -- -- sort
//! printf 'pear\napple\n' | nc -N 127.0.0.1 8888
//! ```

use std::{
    env,
    error::Error,
    ffi::OsString,
    net::SocketAddr,
    process::{Command, ExitCode, Stdio},
};

use iostream::{IOLoop, IOStream, Subprocess, TcpServer, spawn};

/// How much is passed on at a time.
const PIECE: usize = 64 * 1024;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let options: Vec<OsString> = arguments.by_ref().take_while(|argument| argument != "--").collect();
    let about = "Pipes each connection through the program that is named behind a `--`.";
    let address = examples::cli::listen_address_from(options, about);
    examples::cli::exit_code(serve(address, arguments.collect()))
}

fn serve(address: SocketAddr, command: Vec<OsString>) -> Result<(), Box<dyn Error>> {
    if command.is_empty() {
        return Err("no program is named; try --help".into());
    }
    let server = TcpServer::new(async move |client: IOStream, _peer: SocketAddr| pipe(client, &command).await);
    println!("listening on {}", server.listen(address)?.local_addr());
    IOLoop::current().start();
    Ok(())
}

async fn pipe(client: IOStream, command: &[OsString]) -> iostream::Result<()> {
    // The program answers after the end of its input.
    client.set_half_open(true);
    let mut program = Command::new(&command[0]);
    let mut child = Subprocess::spawn(program.args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()))?;
    let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { return Ok(()) };

    let input = spawn(pass_on(client.clone(), stdin));
    if let Err(error) = pass_on(stdout, client).await {
        // The client has left before the answer was complete. Nobody needs the rest.
        log::info!("ending {}: {error}", child.id());
        child.kill()?;
    }
    input.abort();
    log::info!("{} has ended: {}", child.id(), child.wait().await?);
    Ok(())
}

/// Passes on what comes, no faster than it is taken, and then the end.
async fn pass_on(from: IOStream, to: IOStream) -> iostream::Result<()> {
    loop {
        match from.read_some(PIECE).await {
            Ok(bytes) => to.write(bytes).await?,
            Err(iostream::Error::Closed { cause: None }) => return to.shutdown_write().await,
            Err(error) => return Err(error),
        }
    }
}
