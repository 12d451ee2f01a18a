//! What is said of an answer. All of it fails with the answer in the text, at the line of the caller.

use std::fmt;

use httpserver::StatusCode;

use super::TestResponse;

impl TestResponse {
    /// Asserts the status, a number or a [`StatusCode`].
    #[track_caller]
    pub fn assert_status(&self, expected: impl PartialEq<StatusCode> + fmt::Display) -> &TestResponse {
        if expected != self.status() {
            self.fail(format_args!("expected the status {expected}, got {}", self.status().as_u16()));
        }
        self
    }

    /// Asserts that there is exactly one header line of this name, with this value.
    #[track_caller]
    pub fn assert_header(&self, name: &str, expected: impl AsRef<[u8]>) -> &TestResponse {
        let expected = expected.as_ref();
        if self.headers().get_all(name).collect::<Vec<_>>() != [expected] {
            let expected = String::from_utf8_lossy(expected);
            self.fail(format_args!("expected one line {name}: {expected}"));
        }
        self
    }

    /// Asserts that there is no header line of this name.
    #[track_caller]
    pub fn assert_no_header(&self, name: &str) -> &TestResponse {
        if self.headers().contains(name) {
            self.fail(format_args!("expected no line {name}"));
        }
        self
    }

    /// Asserts a redirect, a status of 3xx with this `Location`.
    #[track_caller]
    pub fn assert_redirect(&self, location: &str) -> &TestResponse {
        if !self.status().is_redirection() || self.header("location") != Some(location) {
            self.fail(format_args!("expected a redirect to {location}"));
        }
        self
    }

    /// Asserts the body.
    #[track_caller]
    pub fn assert_bytes(&self, expected: impl AsRef<[u8]>) -> &TestResponse {
        if self.bytes() != expected.as_ref() {
            let expected = expected.as_ref();
            self.fail(format_args!("expected another body, of {} bytes: {}", expected.len(), expected.escape_ascii()));
        }
        self
    }

    /// Asserts the body as text.
    #[track_caller]
    pub fn assert_text(&self, expected: impl AsRef<str>) -> &TestResponse {
        let expected = expected.as_ref();
        if self.text() != expected {
            self.fail(format_args!("expected the body {expected:?}, got {:?}", self.text()));
        }
        self
    }

    /// Asserts that this is somewhere in the body.
    #[track_caller]
    pub fn assert_contains(&self, expected: &str) -> &TestResponse {
        if !self.text().contains(expected) {
            self.fail(format_args!("expected {expected:?} in the body"));
        }
        self
    }

    /// Asserts that the body is JSON and has this value, such as one made by `serde_json::json!`. White space and the order
    /// of keys do not count, nor does the `Content-Type`.
    ///
    /// # Panics
    ///
    /// When it is another, and when `expected` cannot be written as JSON.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn assert_json<T: serde_core::Serialize + ?Sized>(&self, expected: &T) -> &TestResponse {
        let expected = serde_json::to_value(expected).expect("a value that JSON has a form for");
        let found: serde_json::Value = self.json();
        if found != expected {
            self.fail(format_args!("expected the JSON {expected}, got {found}"));
        }
        self
    }
}
