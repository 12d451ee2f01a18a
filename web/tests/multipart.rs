//! Forms with files, as handlers read them.

mod util;

use httpserver::multipart::FormLimits;
use util::{Server, serve};
use web::{
    Application, Exchange, Route,
    testing::{self, MultipartForm, TestClient},
};

const BODY: &str = "--b\r\nContent-Disposition: form-data; name=\"name\"\r\n\r\nAda\r\n\
    --b\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"a.png\"\r\n\r\n12345\r\n--b--\r\n";
const HEADERS: &str = "Content-Type: multipart/form-data; boundary=b\r\n";

async fn parts(exchange: &mut Exchange) -> web::Result<()> {
    if exchange.query_opt::<String>("after")?.is_some() {
        // What was read before is the form all the same.
        exchange.bytes().await?;
    }
    let mut form = exchange.multipart(FormLimits::default())?;
    while let Some(mut part) = form.next_part().await? {
        let content = part.text(100).await?;
        exchange.write(format!("{}={content} ({:?})\n", part.name(), part.file_name()));
    }
    let left = exchange.bytes().await?.len();
    exchange.write(format!("{left} left\n"));
    Ok(())
}

async fn whole(exchange: &mut Exchange) -> web::Result<()> {
    let form = exchange.form_data(FormLimits::default().max_parts(2)).await?;
    let files: Vec<_> = form.files().map(|file| format!("{}:{}", file.file_name(), file.body().len())).collect();
    exchange.write_text(format!("{:?} {files:?}", form.argument("name")?));
    Ok(())
}

fn application() -> Application {
    Application::new().post("/parts", parts).post("/whole", whole).add(Route::post("/small", whole).body_limit(50))
}

fn post(server: &Server, target: &str, headers: &str, body: &str) -> (u16, String) {
    let reply = server.send("POST", target, headers, body);
    (reply.status, reply.text().to_owned())
}

#[test]
fn parts_come_one_by_one() {
    let server = serve(application);
    let expected = "name=Ada (None)\npicture=12345 (Some(\"a.png\"))\n0 left\n".to_owned();
    assert_eq!(post(&server, "/parts", HEADERS, BODY), (200, expected.clone()));
    assert_eq!(post(&server, "/parts?after=1", HEADERS, BODY), (200, expected));
}

#[test]
fn the_forms_of_the_test_kit_are_read_as_they_were_made() {
    testing::run(async {
        let client = TestClient::new(application());
        let form = MultipartForm::new().text("na\"me", "--form-0--").file("file", "a\r\nb.txt", "text/plain", "x");
        let expected = "na%22me=--form-0-- (None)\nfile=x (Some(\"a%0D%0Ab.txt\"))\n0 left\n";
        client.post("/parts").multipart(&form).send().await.assert_status(200).assert_text(expected);
        let form = MultipartForm::new().text("name", "Ada").file("file", "f", "image/png", [0, 159, 13, 10]);
        client.post("/whole").multipart(&form).send().await.assert_text("Some(\"Ada\") [\"f:4\"]");
        client.post("/parts").multipart(&MultipartForm::new()).send().await.assert_text("0 left\n");
    });
}

#[test]
fn whole_forms_may_be_of_either_kind() {
    let server = serve(application);
    assert_eq!(post(&server, "/whole", HEADERS, BODY), (200, "Some(\"Ada\") [\"a.png:5\"]".to_owned()));
    let urlencoded = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(post(&server, "/whole", urlencoded, "name=Ada+L"), (200, "Some(\"Ada L\") []".to_owned()));
    assert_eq!(post(&server, "/whole", "Content-Type: text/plain\r\n", "x"), (200, "None []".to_owned()));
}

#[test]
fn faults_of_a_form_have_the_right_status() {
    let server = serve(application);
    assert_eq!(post(&server, "/parts", "Content-Type: text/plain\r\n", "x").0, 415);
    assert_eq!(post(&server, "/parts", "Content-Type: multipart/form-data\r\n", BODY).0, 400);
    assert_eq!(post(&server, "/parts", HEADERS, "--b\r\n\r\nno head\r\n--b--").0, 400);
    let another = "--b\r\nContent-Disposition: form-data; name=\"more\"\r\n\r\n\r\n";
    assert_eq!(post(&server, "/whole", HEADERS, &format!("{another}{BODY}")).0, 400);
    assert_eq!(post(&server, "/small", HEADERS, BODY).0, 413);
    assert_eq!(post(&server, "/whole", &format!("{HEADERS}Content-Encoding: gzip\r\n"), BODY).0, 415);
}
