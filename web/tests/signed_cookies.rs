//! Signed cookies, and signed values as Tornado reads and writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proptest::prelude::*;
use web::{
    Application, Cookie, Exchange, SameSite,
    security::CookieSecret,
    testing::{self, Level, TestClient, capture_log},
};

const SECRET: &str = "It's a secret to everybody";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MONTH: Duration = Duration::from_secs(31 * 24 * 60 * 60);

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What Tornado 6.6.1 made: name, value, time and text.
const RECORDED: [(&str, &[u8], u64, &str); 5] = [
    (
        "key",
        b"value",
        1_300_000_000,
        "2|1:0|10:1300000000|3:key|8:dmFsdWU=|3d4e60b996ff9c5d5788e333a0cba6f238a22c6c0f94788870e1a9ecd482e152",
    ),
    (
        "key",
        b"\xe9",
        1_300_000_000,
        "2|1:0|10:1300000000|3:key|4:6Q==|5c017ea04a1b8435854c208b0e45aab24455874a6ab487a0ba6bf88e27abf207",
    ),
    (
        "user",
        b"",
        1_300_000_000,
        "2|1:0|10:1300000000|4:user|0:|2f1a175f263a29808497acb3905b488d18e0102a655ecdce917a2f1032ce73e0",
    ),
    (
        "a|b:c",
        "x|y:z=éx|y:z=éx|y:z=é".as_bytes(),
        1_767_225_600,
        "2|1:0|10:1767225600|5:a|b:c|32:eHx5Ono9w6l4fHk6ej3DqXh8eTp6PcOp|\
         cd2bab2d12d8d6aaf8eb8910a672c3a2aaf8b0f719c76a7631f1122390a490c4",
    ),
    (
        "k",
        b"\x00\xff\xfe\x00\xff\xfe\x3e\x3f",
        1_767_225_600,
        "2|1:0|10:1767225600|1:k|12:AP/+AP/+Pj8=|30a707c0377d0e8ec00a18c04a19987aa84f94d0dd4555cbf5a198fe8d746d92",
    ),
];

#[test]
fn values_are_those_of_tornado() {
    let secret = CookieSecret::new(SECRET);
    for (name, value, time, text) in RECORDED {
        assert_eq!(secret.sign(name, value, at(time)), text);
        assert_eq!(secret.verify(name, text, at(time), MONTH).as_deref(), Some(value), "{text}");
    }
}

#[test]
fn the_key_of_the_current_version_signs_and_all_of_them_verify() {
    let keys = [(0, "asdfbasdf"), (1, "12312312"), (2, "2342342")];
    // Of Tornado, too.
    let text = "2|1:1|10:1300000000|3:key|8:dmFsdWU=|864cf798dbb452a1a5ca4ace02e450f003794cafdb3f5055951df1be9a85910a";
    assert_eq!(CookieSecret::rotating(1, keys).sign("key", "value", at(1_300_000_000)), text);
    assert_eq!(CookieSecret::key_version(text), Some(1));

    let verify = |secret: &CookieSecret| secret.verify("key", text, at(1_300_000_000), MONTH);
    assert_eq!(verify(&CookieSecret::rotating(2, keys)).as_deref(), Some(&b"value"[..]));
    assert_eq!(verify(&CookieSecret::rotating(2, [keys[0], keys[2]])), None);
    // The same version with another key.
    assert_eq!(verify(&CookieSecret::rotating(1, [(1, "2342342")])), None);
}

#[test]
fn a_value_is_good_until_it_is_too_old_and_not_before_its_time() {
    let secret = CookieSecret::new(SECRET);
    let signed = at(1_300_000_000);
    let text = secret.sign("key", "value", signed);
    let is_good = |now: SystemTime| secret.verify("key", &text, now, MONTH).is_some();
    assert!(is_good(signed));
    assert!(is_good(signed + MONTH));
    assert!(!is_good(signed + MONTH + Duration::from_secs(1)));
    // The clock of the machine that signed may be ahead, by a little.
    assert!(is_good(signed - Duration::from_secs(60)));
    assert!(!is_good(signed - Duration::from_secs(61)));
    assert!(!is_good(UNIX_EPOCH));
}

#[test]
fn no_character_can_be_changed() {
    let secret = CookieSecret::new(SECRET);
    let now = at(1_300_000_000);
    let text = secret.sign("key", "value", now);
    for at in 0..text.len() {
        for other in ["0", "1", "a", "A", "|", ":", "", "00", "é"] {
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            if changed != text {
                assert_eq!(secret.verify("key", &changed, now, MONTH), None, "{changed}");
            }
        }
    }
    // The signature's digits have one spelling.
    let (head, signature) = text.rsplit_once('|').unwrap();
    assert_eq!(secret.verify("key", &format!("{head}|{}", signature.to_uppercase()), now, MONTH), None);
}

#[test]
fn a_value_is_good_for_its_name_alone() {
    let secret = CookieSecret::new(SECRET);
    let now = at(1_300_000_000);
    let text = secret.sign("user", "admin", now);
    assert_eq!(secret.verify("group", &text, now, MONTH), None);
    assert_eq!(secret.verify("use", &text, now, MONTH), None);
    assert_eq!(secret.verify("", &text, now, MONTH), None);
}

#[test]
fn fields_cannot_be_shifted_into_each_other() {
    let secret = CookieSecret::new(SECRET);
    let now = at(1_300_000_000);
    let text = secret.sign("key", "12345678", now);
    // As version 1 could be read: the same bytes, cut elsewhere.
    for changed in [
        text.replace("10:1300000000|3:key", "11:1300000000|2:key"),
        text.replace("3:key|12:", "4:key||11:"),
        text.replacen("2|", "1|", 1),
        text.replacen("2|", "", 1),
    ] {
        assert_ne!(changed, text);
        assert_eq!(secret.verify("key", &changed, now, MONTH), None, "{changed}");
    }
}

#[test]
fn version_1_is_not_taken() {
    // Good for Tornado, which by default still reads what it wrote before 2014.
    let text = "dmFsdWU=|1300000000|31c934969f53e48164c50768b40cbd7e2daaaa4f";
    assert_eq!(CookieSecret::new(SECRET).verify("key", text, at(1_300_000_000), MONTH), None);
}

#[test]
fn keys_are_not_shown() {
    let secret = CookieSecret::rotating(1, [(0, "first key"), (1, "second key")]);
    assert_eq!(format!("{secret:?}"), "CookieSecret { versions: [0, 1], current: 1, .. }");
}

#[test]
fn keys_that_protect_nothing_are_refused() {
    fn panics(make: impl FnOnce() -> CookieSecret + std::panic::UnwindSafe) -> bool {
        std::panic::catch_unwind(make).is_err()
    }
    assert!(panics(|| CookieSecret::new("")));
    assert!(panics(|| CookieSecret::rotating(1, [(1, "a"), (2, "")])));
    assert!(panics(|| CookieSecret::rotating(1, [(1, "a"), (1, "b")])));
    assert!(panics(|| CookieSecret::rotating(3, [(1, "a"), (2, "b")])));
    assert!(!panics(|| CookieSecret::rotating(1, [(1, "a"), (2, "b")])));
}

proptest! {
    #[test]
    fn what_was_signed_is_read_again(key in "\\PC+", name: String, value: Vec<u8>, time in 0u64..1 << 40, age in 0u64..1 << 40) {
        let secret = CookieSecret::new(key);
        let text = secret.sign(&name, &value, at(time));
        let (max_age, now) = (Duration::from_secs(age), at(time + age));
        prop_assert_eq!(secret.verify(&name, &text, now, max_age), Some(value));
        prop_assert_eq!(secret.verify(&name, &text, now + Duration::from_secs(1), max_age), None);
    }

    #[test]
    fn no_other_text_is_good(text: String, noise in "2\\|1:0\\|10:1300000000\\|3:key\\|8:dmFsdWU=\\|[0-9a-f]{64}") {
        let secret = CookieSecret::new(SECRET);
        prop_assert_eq!(secret.verify("key", &text, at(1_300_000_000), MONTH), None);
        prop_assert_eq!(secret.verify("key", &noise, at(1_300_000_000), MONTH), None);
    }
}

async fn enter(exchange: &mut Exchange) -> web::Result<()> {
    let name: String = exchange.query("name")?;
    exchange.set_signed_cookie(("user", name))
}

async fn greet(exchange: &mut Exchange) -> web::Result<()> {
    let user = exchange.signed_cookie("user")?;
    exchange.write_text(format!("{user:?}"));
    Ok(())
}

async fn recently(exchange: &mut Exchange) -> web::Result<()> {
    let user = exchange.signed_cookie_within("user", DAY)?;
    exchange.write_text(format!("{user:?}"));
    Ok(())
}

fn routes() -> Application {
    Application::new().get("/enter", enter).get("/", greet).get("/recently", recently)
}

fn client() -> TestClient {
    TestClient::new(routes().cookie_secret(SECRET))
}

#[test]
fn a_signed_cookie_comes_back() {
    testing::run(async {
        let client = client();
        client.get("/").send().await.assert_text("None");
        for name in ["ada", "", "two words; \"é\" = 😀"] {
            client.get("/enter").query("name", name).send().await.assert_status(200);
            client.get("/").send().await.assert_text(format!("{:?}", Some(name)));
        }
    });
}

#[test]
fn a_signed_cookie_is_protected_unless_it_says_otherwise() {
    testing::run(async {
        let client = client();
        let response = client.get("/enter?name=ada").send().await;
        let cookie = response.header("set-cookie").unwrap().to_owned();
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=2592000"] {
            assert!(cookie.split("; ").any(|part| part == attribute), "{attribute}: {cookie}");
        }
        assert!(!cookie.contains("Secure"), "the request came by plain HTTP: {cookie}");

        let own = async |exchange: &mut Exchange| {
            let cookie = Cookie::build(("user", "ada")).http_only(false).secure(true).same_site(SameSite::Strict);
            exchange.set_signed_cookie(cookie.max_age(Duration::from_secs(300)).path("/deep"))
        };
        let client = TestClient::new(Application::new().cookie_secret(SECRET).get("/", own));
        let response = client.get("/").send().await;
        let cookie = response.header("set-cookie").unwrap();
        let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
        assert_eq!(attributes, ["SameSite=Strict", "Secure", "Path=/deep", "Max-Age=300"]);
    });
}

#[test]
fn a_signed_cookie_expires_on_the_loops_clock() {
    testing::run(async {
        let client = client();
        let entered = client.get("/enter?name=ada").send().await;
        // As a client would that keeps it for longer than it was told.
        let stolen = entered.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let thief = client.another();
        let read = async |path: &str| thief.get(path).header("Cookie", &stolen).send().await.text().to_owned();
        assert_eq!(read("/recently").await, "Some(\"ada\")");
        web::sleep(DAY + Duration::from_secs(2)).await;
        assert_eq!(read("/recently").await, "None");
        assert_eq!(read("/").await, "Some(\"ada\")");
        web::sleep(30 * DAY).await;
        assert_eq!(read("/").await, "None");
        client.get("/").send().await.assert_text("None");
    });
}

#[test]
fn whatever_a_client_sends_is_no_error() {
    testing::run(async {
        let client = client();
        for value in ["", "2|", "2|1:x|", "2|1:0|10:1300000000|3:key|8:dmFsdWU=|", "a|1|b", "\"\\377\"", "2|1:0|é"] {
            let response = client.get("/").header("Cookie", format!("user={value}")).send().await;
            response.assert_status(200).assert_text("None");
        }
        let response = client.get("/").header("Cookie", b"user=2|1:0|\xff\xfe").send().await;
        response.assert_status(200).assert_text("None");
    });
}

#[test]
fn without_a_secret_there_are_no_signed_cookies() {
    testing::run(async {
        let log = capture_log();
        let client = TestClient::new(routes());
        client.get("/").send().await.assert_status(500);
        let response = client.get("/enter?name=ada").send().await;
        response.assert_status(500);
        assert_eq!(response.header("set-cookie"), None);
        log.expect(Level::Error, "web", "`Application::cookie_secret`");
    });
}

#[test]
fn a_nested_application_has_the_secret_of_the_one_around_it_or_its_own() {
    testing::run(async {
        let own = routes().cookie_secret("another one");
        let application = routes().cookie_secret(SECRET).nest("/shared", routes()).nest("/own", own);
        let client = TestClient::new(application);
        client.get("/enter?name=ada").send().await.assert_status(200);
        client.get("/shared/").send().await.assert_text("Some(\"ada\")");
        client.get("/own/").send().await.assert_text("None");
    });
}
