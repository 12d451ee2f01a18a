//! The example `collaborate`, by the client of the same library.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::net::SocketAddr;

use support::{PATIENCE, Program, http::Client};
use web::{
    IOLoop, timeout,
    websocket::{self, CloseCode, WebSocket},
};

const STROKE: [u8; 11] = [1, 4, 3, 0, 10, 0, 20, 1, 0, 2, 0];

fn board() -> (Program, SocketAddr) {
    Program::serve(env!("CARGO_BIN_EXE_collaborate"))
}

/// Somebody who comes to the board, and the number they are given.
async fn come(address: SocketAddr) -> (WebSocket, [u8; 2]) {
    let mut socket = websocket::connect(format!("ws://{address}/board")).await.unwrap();
    let hello = next(&mut socket).await;
    assert_eq!((hello[0], hello.len()), (5, 3));
    (socket, [hello[1], hello[2]])
}

async fn next(socket: &mut WebSocket) -> Vec<u8> {
    let message = timeout(PATIENCE, socket.receive()).await.expect("a message comes in time");
    message.unwrap().expect("the socket is open").as_bytes().to_vec()
}

/// A message as others get it.
fn from(number: [u8; 2], message: &[u8]) -> Vec<u8> {
    [&message[..1], &number, &message[1..]].concat()
}

#[test]
fn a_stroke_is_with_all_at_once_and_with_those_who_come_later() {
    let (_program, address) = board();
    IOLoop::current().run_sync(async {
        let ((mut ann, number), (mut bob, _)) = (come(address).await, come(address).await);
        ann.send(STROKE.to_vec()).await.unwrap();
        for socket in [&mut ann, &mut bob] {
            assert_eq!(next(socket).await, from(number, &STROKE));
        }
        let (mut cid, _) = come(address).await;
        assert_eq!(next(&mut cid).await, from(number, &STROKE));
    });
}

#[test]
fn pointers_are_shown_and_not_kept_and_a_wiped_board_is_empty() {
    let (_program, address) = board();
    IOLoop::current().run_sync(async {
        let ((ann, number), (mut bob, other)) = (come(address).await, come(address).await);
        let pointer = [2, 0, 1, 0, 2];
        for message in [&STROKE[..], &pointer, &[3]] {
            ann.send(message.to_vec()).await.unwrap();
            assert_eq!(next(&mut bob).await, from(number, message));
        }
        let (mut cid, _) = come(address).await;
        bob.close(CloseCode::NORMAL, "").unwrap();
        while bob.receive().await.unwrap().is_some() {}
        assert_eq!(next(&mut cid).await, from(other, &[4]));
    });
}

#[test]
fn what_is_no_message_of_the_board_ends_the_connection_alone() {
    let (_program, address) = board();
    IOLoop::current().run_sync(async {
        let ((mut ann, _), (mut bob, number)) = (come(address).await, come(address).await);
        ann.send("text").await.unwrap();
        while ann.receive().await.unwrap().is_some() {}
        assert_eq!(ann.close_code(), Some(CloseCode::UNSUPPORTED_DATA));
        bob.send(vec![3]).await.unwrap();
        while next(&mut bob).await != from(number, &[3]) {}
    });
}

#[test]
fn the_page_and_its_parts_are_served() {
    let (_program, address) = board();
    let mut browser = Client::connect(address);
    for (path, part) in
        [("/", "<canvas"), ("/collaborate.js", "new Wire("), ("/wire.js", "WebSocket("), ("/style.css", ".pointer")]
    {
        let answer = browser.get(path);
        assert!(answer.status == 200 && answer.body.contains(part), "{path}");
    }
}
