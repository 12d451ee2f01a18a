//! Layer: web.
//!
//! A drawing board that many share, over WebSockets with binary messages. What somebody draws is with all others at once, and
//! who comes later gets the board as it is.
//!
//! ```sh
//! cargo run --release --bin collaborate     # then open http://127.0.0.1:8888 in two windows
//! ```
//!
//! A message begins with a byte that says what it is; numbers of two bytes are big-endian. The server puts the number of who
//! sent it behind the first byte, and sends it to all, the sender included: so all see the same order.
//!
//! | byte | what | behind it |
//! |---|---|---|
//! | 1 | a part of a stroke | colour, width (a byte each), two to 128 points `x y` (two bytes each) |
//! | 2 | where somebody points | `x y` |
//! | 3 | the board is wiped | |
//! | 4 | somebody has left (server only) | |
//! | 5 | the receiver's own number, before the board (server only) | |

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    error::Error,
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use examples::page::{self, Asset};
use web::{
    Application, Exchange, IOLoop,
    websocket::{CloseCode, Message, PreparedMessage, SlowReader, WebSocketHandler, WebSocketOptions, WebSocketSender},
};

const ASSETS: [Asset; 6] = [
    Asset { path: "/", content: include_str!("../../collaborate/index.html") },
    Asset { path: "/style.css", content: include_str!("../../collaborate/style.css") },
    Asset { path: "/collaborate.js", content: include_str!("../../collaborate/collaborate.js") },
    Asset { path: "/wire.js", content: include_str!("../../collaborate/wire.js") },
    page::BASE_STYLE,
    page::ICON,
];

const STROKE: u8 = 1;
const POINTER: u8 = 2;
const WIPE: u8 = 3;
const LEFT: u8 = 4;
const HELLO: u8 = 5;

/// How many bytes of strokes the board keeps. Beyond it the oldest part fades from what a newcomer gets.
const BOARD: usize = 512 * 1024;

const MOST_POINTS: usize = 128;

fn main() -> ExitCode {
    let address = examples::cli::listen_address("A drawing board that many share.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let server = page::add_to(Application::new(), &ASSETS).websocket("/board", Board::new()).listen(address)?;
    server.drain_on_signal(Duration::from_secs(2))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

struct Board {
    options: WebSocketOptions,
    /// The parts of strokes, as they were sent, and their size.
    strokes: RefCell<VecDeque<PreparedMessage>>,
    size: Cell<usize>,
    people: RefCell<Vec<WebSocketSender>>,
    last_number: Cell<u16>,
}

impl WebSocketHandler for Board {
    /// The number of who is connected.
    type Session = u16;

    async fn prepare(&self, _: &mut Exchange) -> web::Result<u16> {
        // After 65,536 people a number comes again, which mixes up two pointers at worst.
        self.last_number.set(self.last_number.get().wrapping_add(1));
        Ok(self.last_number.get())
    }

    async fn open(&self, number: &mut u16, socket: &WebSocketSender) -> web::Result<()> {
        let strokes = self.strokes.borrow().clone();
        self.people.borrow_mut().push(socket.clone());
        socket.send(from_somebody(HELLO, *number, &[])).await?;
        // No `send` waits on these sockets, so nothing comes in between.
        for stroke in &strokes {
            socket.send_prepared(stroke).await?;
        }
        Ok(())
    }

    async fn on_message(&self, number: &mut u16, socket: &WebSocketSender, message: Message) -> web::Result<()> {
        let Some((kind, rest)) = checked(&message) else {
            return socket.close(CloseCode::UNSUPPORTED_DATA, "no message of this board");
        };
        let message = PreparedMessage::new(from_somebody(kind, *number, rest));
        match kind {
            STROKE => self.keep(&message),
            WIPE => self.wipe(),
            _ => {}
        }
        self.tell_all(&message).await;
        Ok(())
    }

    fn options(&self) -> WebSocketOptions {
        self.options.clone()
    }

    fn on_close(&self, number: u16, socket: &WebSocketSender) {
        self.people.borrow_mut().retain(|person| person != socket);
        let left = PreparedMessage::new(from_somebody(LEFT, number, &[]));
        let people = self.people.borrow().clone();
        web::spawn(async move { tell(&people, &left).await });
    }
}

impl Board {
    fn new() -> Board {
        Board {
            // A page that does not keep up is disconnected, and comes back. It gets the board as it is then, in one go: the
            // queue has room for all of it.
            options: WebSocketOptions::new()
                .max_message_size(1024)
                .slow_reader(SlowReader::Disconnect)
                .max_queue(2 * BOARD),
            strokes: RefCell::default(),
            size: Cell::new(0),
            people: RefCell::default(),
            last_number: Cell::new(0),
        }
    }

    fn keep(&self, stroke: &PreparedMessage) {
        let mut strokes = self.strokes.borrow_mut();
        self.size.set(self.size.get() + stroke.len());
        strokes.push_back(stroke.clone());
        while self.size.get() > BOARD {
            let Some(oldest) = strokes.pop_front() else { break };
            self.size.set(self.size.get() - oldest.len());
        }
    }

    fn wipe(&self) {
        self.strokes.borrow_mut().clear();
        self.size.set(0);
    }

    async fn tell_all(&self, message: &PreparedMessage) {
        let people = self.people.borrow().clone();
        tell(&people, message).await;
    }
}

/// The message is framed once for all.
async fn tell(people: &[WebSocketSender], message: &PreparedMessage) {
    for person in people {
        // Who has gone is no reason not to tell the others.
        let _ = person.send_prepared(message).await;
    }
}

fn from_somebody(kind: u8, number: u16, rest: &[u8]) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    [&[kind, high, low], rest].concat()
}

/// What a page may send, in its parts.
fn checked(message: &Message) -> Option<(u8, &[u8])> {
    let Message::Binary(bytes) = message else { return None };
    let (&kind, rest) = bytes.split_first()?;
    let is_good = match kind {
        STROKE => rest.len() >= 10 && rest.len() <= 2 + 4 * MOST_POINTS && rest.len() % 4 == 2,
        POINTER => rest.len() == 4,
        WIPE => rest.is_empty(),
        _ => false,
    };
    is_good.then_some((kind, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_keeps_the_newest_strokes_within_its_bound() {
        let board = Board::new();
        let stroke = |number| PreparedMessage::new(from_somebody(STROKE, number, &[0; 509]));
        let most = (BOARD / 512) as u16;
        (0..most + 3).for_each(|number| board.keep(&stroke(number)));
        let strokes = board.strokes.borrow();
        assert_eq!(strokes.len(), usize::from(most));
        assert_eq!(strokes[0].as_bytes()[..3], [STROKE, 0, 3]);
    }

    #[test]
    fn only_messages_of_the_board_are_taken() {
        let good: [&[u8]; 3] = [&[1, 7, 3, 0, 1, 0, 2, 0, 3, 0, 4], &[2, 0, 1, 0, 2], &[3]];
        for bytes in good {
            assert_eq!(checked(&bytes.into()), Some((bytes[0], &bytes[1..])));
        }
        let long = vec![1; 3 + 4 * MOST_POINTS + 4];
        for bytes in [&[][..], &[0], &[1, 7, 3, 0, 1, 0, 2], &[1, 7, 3, 0, 1, 0, 2, 0], &[2], &[3, 0], &[4], &long] {
            assert_eq!(checked(&bytes.into()), None, "{bytes:?}");
        }
        assert_eq!(checked(&"1".into()), None);
    }
}
