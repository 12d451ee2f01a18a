//! The body of an answer as it was before it was compressed.

use super::TestResponse;

impl TestResponse {
    /// How the body is encoded: `gzip`, for example. `None` when it is not.
    pub fn content_encoding(&self) -> Option<&str> {
        self.header("content-encoding")
    }

    /// The body, decompressed if it was compressed; [`bytes`](TestResponse::bytes) is as it was sent. `gzip` needs the
    /// feature `compression`.
    ///
    /// # Panics
    ///
    /// When it is encoded in another way, is malformed, or has not come whole.
    ///
    /// # Examples
    ///
    /// ```
    /// use web::{Application, Compress, Exchange, testing::{self, TestClient}};
    ///
    /// async fn rose(exchange: &mut Exchange) -> web::Result<()> {
    ///     exchange.write_text("a rose is ".repeat(1000));
    ///     Ok(())
    /// }
    ///
    /// testing::run(async {
    ///     let client = TestClient::new(Application::new().get("/", rose).wrap(Compress::new()));
    ///     let response = client.get("/").header("Accept-Encoding", "gzip").send().await;
    ///     assert_eq!(response.content_encoding(), Some("gzip"));
    ///     assert!(response.bytes().len() < 1000);
    ///     assert_eq!(response.content().len(), 10_000);
    ///     response.assert_contains("a rose is a rose");
    /// });
    /// ```
    #[track_caller]
    pub fn content(&self) -> &[u8] {
        match self.decode() {
            Ok(content) => content,
            Err(reason) => self.fail(format_args!("the body cannot be decoded: {reason}")),
        }
    }

    /// # Errors
    ///
    /// Why it cannot be decoded.
    pub(super) fn decode(&self) -> Result<&[u8], String> {
        match self.content_encoding() {
            None | Some("identity") => Ok(&self.body),
            // The head alone of an answer to HEAD, or a 304.
            _ if self.body.is_empty() => Ok(&self.body),
            #[cfg(feature = "compression")]
            Some("gzip") => {
                if let Some(known) = self.decoded.get() {
                    return Ok(known);
                }
                let decoded = gunzip(&self.body).map_err(|error| error.to_string())?;
                Ok(self.decoded.get_or_init(|| decoded))
            }
            Some(other) => Err(format!("there is no decoder for {other}")),
        }
    }

    /// More of the body has come.
    pub(super) fn push_body(&mut self, chunk: &[u8]) {
        self.body.extend_from_slice(chunk);
        #[cfg(feature = "compression")]
        self.decoded.take();
    }

    /// The last bytes are given back.
    pub(super) fn shorten_body(&mut self, by: usize) {
        self.body.truncate(self.body.len() - by);
        #[cfg(feature = "compression")]
        self.decoded.take();
    }
}

#[cfg(feature = "compression")]
fn gunzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    use std::io::Read;

    let mut content = Vec::new();
    // Several members make one content (RFC 1952, section 2.2).
    flate2::read::MultiGzDecoder::new(body).read_to_end(&mut content)?;
    Ok(content)
}
