//! As much of an HTTP client as the tests need.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
};

use serde_json::Value;

use super::PATIENCE;

/// A connection that stays open between requests.
pub struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    /// The value of a header line; the name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("the example listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out above zero");
        Client { stream: BufReader::new(stream) }
    }

    pub fn get(&mut self, target: &str) -> Answer {
        self.request("GET", target, &[], "")
    }

    pub fn post_json(&mut self, target: &str, json: &Value) -> Answer {
        self.request("POST", target, &["Content-Type: application/json"], &json.to_string())
    }

    pub fn request(&mut self, method: &str, target: &str, headers: &[&str], body: &str) -> Answer {
        self.send(method, target, headers, body);
        self.answer_to(method)
    }

    /// Sends a request and does not wait.
    pub fn send(&mut self, method: &str, target: &str, headers: &[&str], body: &str) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        headers.iter().for_each(|line| head += &format!("{line}\r\n"));
        if !body.is_empty() && !headers.iter().any(|line| line.starts_with("Transfer-Encoding")) {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.raw(&format!("{head}\r\n{body}"));
    }

    pub fn raw(&mut self, bytes: &str) {
        self.stream.get_mut().write_all(bytes.as_bytes()).expect("the connection stands");
    }

    /// Receives the answer to a request of this method.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        let status_line = self.line();
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let mut answer = Answer {
            status: status.unwrap_or_else(|| panic!("no status in {status_line:?}")),
            headers: self.headers(),
            body: String::new(),
        };
        let without_body = method == "HEAD" || matches!(answer.status, 204 | 304);
        if !without_body {
            answer.body = self.body(&answer);
        }
        answer
    }

    /// Whether the server closes the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return headers;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no header: {line:?}"));
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    fn body(&mut self, answer: &Answer) -> String {
        if answer.header("transfer-encoding") == Some("chunked") {
            return self.chunks();
        }
        let length = answer.header("content-length").expect("an answer says how long it is");
        self.exactly(length.parse().expect("a length is a number"))
    }

    fn chunks(&mut self) -> String {
        let mut body = String::new();
        loop {
            let size = usize::from_str_radix(&self.line(), 16).expect("a chunk has a size");
            body += &self.exactly(size);
            assert_eq!(self.line(), "", "after a chunk");
            if size == 0 {
                return body;
            }
        }
    }

    fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).expect("the whole body comes");
        String::from_utf8(bytes).expect("the examples answer in text")
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("an answer comes");
        assert!(line.ends_with("\r\n"), "the connection ended in {line:?}");
        line.truncate(line.len() - 2);
        line
    }
}
