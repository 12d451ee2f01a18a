//! Layer: iostream.
//!
//! A chat by lines over plain TCP: the first line is the name, each further line goes to everybody.
//!
//! ```sh
//! cargo run --release --bin line_server
//! nc 127.0.0.1 8888      # in two terminals
//! curl telnet://127.0.0.1:8888
//! ```

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    rc::Rc,
};

use iostream::{IOLoop, IOStream, TcpServer, signal};

/// The longest line; a client that sends a longer one is disconnected.
const LONGEST_LINE: usize = 1024;

/// A client that does not read is disconnected once this much is queued for it.
const MOST_UNREAD: usize = 64 * 1024;

fn main() -> ExitCode {
    let address = examples::cli::listen_address("A chat by lines over plain TCP.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let lobby = Rc::new(Lobby::default());
    let server = TcpServer::new({
        let lobby = lobby.clone();
        async move |stream: IOStream, peer: SocketAddr| lobby.welcome(stream, peer).await
    });
    let server = server.listen(address)?;
    let end = signal::shutdown();
    println!("listening on {}", server.local_addr());

    IOLoop::current().spawn_detached(async move {
        if let Err(error) = end.await {
            eprintln!("cannot watch signals: {error}");
        }
        server.stop();
        lobby.close();
        IOLoop::current().stop();
    });
    IOLoop::current().start();
    Ok(())
}

/// The clients that are connected and have given a name.
#[derive(Default)]
struct Lobby {
    guests: RefCell<HashMap<u64, IOStream>>,
    next_guest: Cell<u64>,
}

impl Lobby {
    /// Serves one connection until it ends.
    async fn welcome(&self, stream: IOStream, peer: SocketAddr) -> iostream::Result<()> {
        stream.set_max_write_buffer_size(MOST_UNREAD);
        stream.write("Your name, please:\n").await?;
        let name = read_line(&stream).await?;
        log::info!("{name} is {peer}");

        let guest = self.enter(stream.clone());
        self.tell_others(guest, &format!("* {name} is here"));
        stream.write(format!("* Welcome, {name}. You are {} now.\n", self.guests.borrow().len())).await?;
        let end = self.relay(guest, &name, &stream).await;
        self.guests.borrow_mut().remove(&guest);
        self.tell_others(guest, &format!("* {name} has left"));
        // A client that leaves is the normal end, not an error to be logged.
        end.or_else(|error| if error.is_closed() { Ok(()) } else { Err(error) })
    }

    async fn relay(&self, guest: u64, name: &str, stream: &IOStream) -> iostream::Result<()> {
        loop {
            let line = read_line(stream).await?;
            if !line.is_empty() {
                self.tell_others(guest, &format!("{name}: {line}"));
            }
        }
    }

    fn enter(&self, stream: IOStream) -> u64 {
        let guest = self.next_guest.get();
        self.next_guest.set(guest + 1);
        self.guests.borrow_mut().insert(guest, stream);
        guest
    }

    /// Writes without waiting, so that a slow reader does not hold up the others: its own queue
    /// fills, and it is disconnected when a line no longer fits.
    fn tell_others(&self, speaker: u64, line: &str) {
        let others: Vec<IOStream> = self
            .guests
            .borrow()
            .iter()
            .filter(|(guest, _)| **guest != speaker)
            .map(|(_, stream)| stream.clone())
            .collect();
        for stream in others {
            let room = MOST_UNREAD.saturating_sub(stream.pending_write());
            if room > line.len() {
                drop(stream.write(format!("{line}\n")));
            } else {
                stream.close();
            }
        }
    }

    /// Says good-bye and closes. The kernel still sends what fits into its buffers; a client that does not read misses it.
    fn close(&self) {
        let guests: Vec<IOStream> = self.guests.borrow_mut().drain().map(|(_, stream)| stream).collect();
        for stream in guests {
            drop(stream.write("* The server is going down.\n"));
            stream.close();
        }
    }
}

/// One line without its end. Control characters are dropped: they could change the terminals of the others.
async fn read_line(stream: &IOStream) -> iostream::Result<String> {
    let line = stream.read_until(b"\n").max_bytes(LONGEST_LINE).await?;
    Ok(String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect())
}
