//! The test kit: answers that were compressed.

#[path = "util/failure.rs"]
mod failure;

use failure::failure;
use web::{
    Application, Compress, Exchange,
    testing::{self, TestClient},
};

fn rose() -> String {
    "a rose is ".repeat(1000)
}

fn client() -> TestClient {
    let application = Application::new()
        .get("/text", async |exchange: &mut Exchange| {
            exchange.write_text(rose());
            Ok(())
        })
        .get("/json", async |exchange: &mut Exchange| exchange.write_json(&vec!["rose"; 1000]))
        .get("/stream", async |exchange: &mut Exchange| {
            for piece in [rose(), "the end".to_owned()] {
                exchange.write_text(piece);
                exchange.flush().await?;
            }
            Ok(())
        })
        .get("/broken", async |exchange: &mut Exchange| {
            exchange.set_header("Content-Encoding", "gzip")?;
            exchange.write("no gzip");
            Ok(())
        })
        .get("/br", async |exchange: &mut Exchange| {
            exchange.set_header("Content-Encoding", "br")?;
            exchange.write("unreadable");
            Ok(())
        })
        .wrap(Compress::new());
    TestClient::new(application).header("Accept-Encoding", "gzip")
}

#[test]
fn a_compressed_answer_has_its_text() {
    testing::run(async {
        let response = client().get("/text").send().await;
        assert_eq!(response.content_encoding(), Some("gzip"));
        assert_eq!(response.bytes()[..2], [0x1f, 0x8b]);
        assert!(response.bytes().len() < 500);
        response.assert_text(rose()).assert_contains("rose is a rose");
        assert_eq!(response.content(), rose().as_bytes());
        assert!(response.to_string().contains("a rose is a rose"), "{response}");
    });
}

#[test]
fn a_compressed_answer_has_its_json() {
    testing::run(async {
        let response = client().get("/json").send().await;
        assert_eq!(response.content_encoding(), Some("gzip"));
        response.assert_json(&vec!["rose"; 1000]);
        assert_eq!(response.json::<Vec<String>>().len(), 1000);
    });
}

#[test]
fn an_answer_that_was_not_compressed_is_as_it_was_sent() {
    testing::run(async {
        let response = client().get("/text").header("Accept-Encoding", "identity").send().await;
        assert_eq!(response.content_encoding(), None);
        assert_eq!(response.content(), response.bytes());
        response.assert_text(rose());
        let head = client().head("/text").send().await;
        head.assert_text("");
    });
}

#[test]
fn a_streamed_answer_has_its_text_when_it_is_whole() {
    testing::run(async {
        let mut stream = client().get("/stream").stream().await;
        assert_eq!(stream.content_encoding(), Some("gzip"));
        stream.chunk().await.unwrap();
        let text = failure(|| stream.text());
        assert!(text.contains("the body cannot be decoded"), "{text}");
        stream.finish().await.assert_text(rose() + "the end");
    });
}

#[test]
fn a_body_that_cannot_be_decoded_fails_the_test_and_has_its_bytes() {
    testing::run(async {
        let client = client();
        let response = client.get("/broken").send().await;
        assert!(failure(|| response.text()).contains("the body cannot be decoded"));
        response.assert_bytes("no gzip");
        let response = client.get("/br").send().await;
        assert_eq!(response.content_encoding(), Some("br"));
        assert!(failure(|| response.text()).contains("there is no decoder for br"));
    });
}
