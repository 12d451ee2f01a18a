//! The key-value server, by its protocol.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use support::{PATIENCE, Program};

/// Sends `input` in one piece and returns all answers; the server closes behind the last command.
fn talk(address: SocketAddr, input: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(input).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    stream.read_to_end(&mut answers).unwrap();
    String::from_utf8(answers).unwrap()
}

fn serve() -> (Program, SocketAddr) {
    Program::serve(env!("CARGO_BIN_EXE_key_value"))
}

/// A command as clients encode it.
fn command(words: &[&str]) -> String {
    let arguments = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    format!("*{}\r\n{}", words.len(), arguments.collect::<String>())
}

#[test]
fn values_are_set_changed_and_removed() {
    let (_program, address) = serve();
    let commands = [
        (&["SET", "k", "v"][..], "+OK\r\n"),
        (&["GET", "k"], "$1\r\nv\r\n"),
        (&["GET", "none"], "$-1\r\n"),
        (&["append", "k", "\r\n"], ":3\r\n"),
        (&["STRLEN", "k"], ":3\r\n"),
        (&["MSET", "a", "1", "b", "2"], "+OK\r\n"),
        (&["MGET", "a", "none", "b"], "*3\r\n$1\r\n1\r\n$-1\r\n$1\r\n2\r\n"),
        (&["INCR", "a"], ":2\r\n"),
        (&["DECRBY", "a", "10"], ":-8\r\n"),
        (&["INCR", "k"], "-ERR value is not an integer or out of range\r\n"),
        (&["EXISTS", "a", "a", "none"], ":2\r\n"),
        (&["DBSIZE"], ":3\r\n"),
        (&["DEL", "a", "none"], ":1\r\n"),
        (&["FLUSHALL"], "+OK\r\n"),
        (&["DBSIZE"], ":0\r\n"),
    ];
    let input: String = commands.iter().map(|(words, _)| command(words)).collect();
    let answers: String = commands.iter().map(|(_, answer)| *answer).collect();
    assert_eq!(talk(address, input.as_bytes()), answers);
}

#[test]
fn values_expire() {
    let (_program, address) = serve();
    let input = [
        command(&["SET", "k", "v", "EX", "100"]),
        command(&["TTL", "k"]),
        command(&["PERSIST", "k"]),
        command(&["TTL", "k"]),
        command(&["PEXPIRE", "k", "100000"]),
        command(&["TTL", "k"]),
        command(&["TTL", "none"]),
        command(&["SET", "k", "v", "EX", "0"]),
        command(&["SET", "k", "v", "XX"]),
    ];
    let answers = "+OK\r\n:100\r\n:1\r\n:-1\r\n:1\r\n:100\r\n:-2\r\n\
        -ERR value is not an integer or out of range\r\n-ERR syntax error\r\n";
    assert_eq!(talk(address, input.concat().as_bytes()), answers);
}

#[test]
fn commands_may_be_typed_and_the_connection_be_ended() {
    let (_program, address) = serve();
    let answers = talk(address, b"PING\r\n\r\nping \"x\n*1\r\n$4\r\nQUIT\r\nPING\r\n");
    assert_eq!(answers, "+PONG\r\n$2\r\n\"x\r\n+OK\r\n");
}

#[test]
fn what_is_wrong_is_said() {
    let (_program, address) = serve();
    let answers = talk(address, b"GET\r\nno\x1bthing\r\nGET a b\r\n*1\r\n$x\r\nPING\r\n");
    let expected = "-ERR wrong number of arguments for 'GET' command\r\n-ERR unknown command 'no\\x1bthing'\r\n\
        -ERR wrong number of arguments for 'GET' command\r\n-ERR Protocol error: invalid bulk length\r\n";
    assert_eq!(answers, expected);
}

#[test]
fn a_value_of_several_megabytes_comes_back_whole() {
    let (_program, address) = serve();
    let value = "0123456789abcdef".repeat(512 * 1024);
    let input = [command(&["SET", "k", &value]), command(&["GET", "k"])].concat();
    let answers = talk(address, input.as_bytes());
    assert!(answers == format!("+OK\r\n${}\r\n{value}\r\n", value.len()));
}
