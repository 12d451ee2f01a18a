//! The bytes of one request and what is known beforehand about its answer.

/// A request to be sent over and over.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    echoed: Option<Vec<u8>>,
}

impl Request {
    /// The request of the budgets: `GET` with Host, an 88-byte Accept and `Connection: keep-alive`, about 190 bytes.
    pub fn get(path: &str) -> Request {
        Request { bytes: format!("GET {path} HTTP/1.1\r\n{HEADERS}\r\n").into_bytes(), echoed: None }
    }

    /// [`get`](Request::get) by a client that accepts gzip.
    pub fn get_gzip(path: &str) -> Request {
        let line = "Accept-Encoding: gzip\r\n";
        Request { bytes: format!("GET {path} HTTP/1.1\r\n{HEADERS}{line}\r\n").into_bytes(), echoed: None }
    }

    /// `POST` of a body of `length` bytes, which has to come back unchanged.
    pub fn echo(path: &str, length: usize) -> Request {
        let body: Vec<u8> = (b' '..=b'~').cycle().take(length).collect();
        let mut bytes = format!("POST {path} HTTP/1.1\r\n{HEADERS}Content-Length: {length}\r\n\r\n").into_bytes();
        bytes.extend_from_slice(&body);
        Request { bytes, echoed: Some(body) }
    }

    /// `GET` with one more header line, such as `Accept-Encoding: gzip`.
    pub fn get_with(path: &str, header: &str) -> Request {
        Request { bytes: format!("GET {path} HTTP/1.1\r\n{HEADERS}{header}\r\n\r\n").into_bytes(), echoed: None }
    }

    /// `POST` of a body of this type, whose answer is another one.
    pub fn post(path: &str, content_type: &str, body: &[u8]) -> Request {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\n{HEADERS}Content-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        );
        Request { bytes: [head.as_bytes(), body].concat(), echoed: None }
    }

    /// The request as it is sent.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The body the answer must have, when it is known.
    pub fn echoed(&self) -> Option<&[u8]> {
        self.echoed.as_deref()
    }
}

const HEADERS: &str = "Host: benchmark.waterspout.test:8888\r\n\
    Accept: text/plain,text/html;q=0.9,application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.700\r\n\
    Connection: keep-alive\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_request_has_the_size_the_budgets_name() {
        let request = Request::get("/plaintext");
        let text = str::from_utf8(request.bytes()).unwrap();
        let accept = text.lines().find(|line| line.starts_with("Accept: "));
        assert_eq!(accept.unwrap().len(), "Accept: ".len() + 88);
        assert!((180..=200).contains(&text.len()), "{}", text.len());
        assert!(text.ends_with("\r\n\r\n"));
    }
}
