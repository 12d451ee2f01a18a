//! The example `ws_echo`, by the client of the same library.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::future::IntoFuture;

use support::{Program, http::Client};
use web::{
    Error, IOLoop, StatusCode,
    websocket::{self, CloseCode, DeflateOptions, Message, WebSocketOptions},
};

#[test]
fn messages_come_back_as_they_were() {
    let (_program, address) = Program::serve(env!("CARGO_BIN_EXE_ws_echo"));
    assert!(Client::connect(address).get("/").body.starts_with("An echo of WebSockets"));
    IOLoop::current().run_sync(async {
        let options = WebSocketOptions::new().max_message_size(16 * 1024 * 1024);
        // Compression without optimisation is slow.
        for (options, most) in
            [(options.clone(), 16 * 1024 * 1024), (options.deflate(DeflateOptions::new()), 256 * 1024)]
        {
            let connect = websocket::connect(format!("ws://{address}/ws")).options(&options);
            let (mut socket, headers) = connect.with_headers().await.unwrap();
            assert_eq!(headers.contains("sec-websocket-extensions"), most < 16 * 1024 * 1024);
            for message in [Message::from("text"), Message::from(vec![0, 255]), Message::from(vec![7; most])] {
                socket.send(message.clone()).await.unwrap();
                assert!(socket.receive().await.unwrap() == Some(message));
            }
        }
        let mut socket = websocket::connect(format!("ws://{address}/ws")).await.unwrap();
        socket.send(vec![7; 16 * 1024 * 1024 + 1]).await.unwrap();
        assert!(socket.receive().await.unwrap().is_none());
        assert_eq!(socket.close_code(), Some(CloseCode::MESSAGE_TOO_BIG));
    });
}

#[test]
fn pages_of_other_origins_need_a_flag() {
    for flag in [None, Some("--no-origin-check")] {
        let arguments: Vec<&str> = ["--port", "0"].into_iter().chain(flag).collect();
        let mut program = Program::start(env!("CARGO_BIN_EXE_ws_echo"), &arguments);
        let address = program.listening();
        let connect = websocket::connect(format!("ws://{address}/ws")).header("Origin", "https://elsewhere.example");
        match IOLoop::current().run_sync(connect.into_future()) {
            Ok(_) => assert!(flag.is_some()),
            Err(Error::WebSocketRefused(response)) => {
                assert_eq!((response.status(), flag), (StatusCode::FORBIDDEN, None));
            }
            Err(error) => panic!("{error}"),
        }
    }
}
