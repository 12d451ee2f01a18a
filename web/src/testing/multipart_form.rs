/// A form with files, as a browser sends it: `multipart/form-data`. For [`TestRequest::multipart`](super::TestRequest::multipart).
///
/// # Examples
///
/// ```
/// use web::{Application, Exchange, testing::{self, MultipartForm, TestClient}};
///
/// async fn size(exchange: &mut Exchange) -> web::Result<()> {
///     exchange.write_text(exchange.header("content-type").unwrap_or_default().to_owned());
///     Ok(())
/// }
///
/// testing::run(async {
///     let client = TestClient::new(Application::new().post("/upload", size));
///     let form = MultipartForm::new().text("title", "At sea").file("picture", "sea.png", "image/png", b"\x89PNG..");
///     client.post("/upload").multipart(&form).send().await.assert_contains("multipart/form-data; boundary=");
/// });
/// ```
#[derive(Debug, Clone, Default)]
pub struct MultipartForm {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
struct Part {
    /// Without a line end.
    head: String,
    content: Vec<u8>,
}

impl MultipartForm {
    /// A form without fields.
    pub fn new() -> MultipartForm {
        MultipartForm::default()
    }

    /// Adds a field that is text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> MultipartForm {
        let head = format!("Content-Disposition: form-data; name=\"{}\"", escaped(name));
        self.parts.push(Part { head, content: value.as_bytes().to_owned() });
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, name: &str, file_name: &str, content_type: &str, content: impl AsRef<[u8]>) -> MultipartForm {
        let (name, file_name) = (escaped(name), escaped(file_name));
        let head = format!(
            "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\nContent-Type: {content_type}"
        );
        self.parts.push(Part { head, content: content.as_ref().to_owned() });
        self
    }

    /// The content type and the body.
    pub(super) fn encode(&self) -> (String, Vec<u8>) {
        let boundary = self.boundary();
        let mut body = Vec::new();
        for part in &self.parts {
            body.extend_from_slice(format!("--{boundary}\r\n{}\r\n\r\n", part.head).as_bytes());
            body.extend_from_slice(&part.content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body)
    }

    /// The same for the same form, so that a test can be repeated, and found in no content.
    fn boundary(&self) -> String {
        let is_free = |boundary: &String| {
            let pattern = boundary.as_bytes();
            !self.parts.iter().any(|part| part.content.windows(pattern.len()).any(|window| window == pattern))
        };
        (0..u32::MAX).map(|number| format!("form-{number}")).find(is_free).unwrap_or_default()
    }
}

/// As browsers do (WHATWG HTML, multipart/form-data encoding).
fn escaped(name: &str) -> String {
    name.replace('\r', "%0D").replace('\n', "%0A").replace('"', "%22")
}
