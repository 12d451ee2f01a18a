//! Clients that ask too often.

use std::{net::SocketAddr, time::Duration};

use proptest::prelude::*;
use web::{
    Application, Exchange, Route, ServerOptions, XHeaders,
    security::RateLimit,
    testing::{self, Level, TestClient, capture_log},
};

const MINUTE: Duration = Duration::from_secs(60);

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("hello");
    Ok(())
}

fn client(limit: RateLimit) -> TestClient {
    let options = ServerOptions::new().xheaders(XHeaders::trusting(["127.0.0.1".parse().unwrap()]));
    let routes = Application::new().add(Route::get("/limited", hello).wrap(limit)).get("/", hello);
    TestClient::new(routes.server_options(options))
}

/// The status of a request that comes from an address.
async fn ask(client: &TestClient, ip: &str) -> u16 {
    client.get("/limited").header("X-Forwarded-For", ip).send().await.status().as_u16()
}

#[test]
fn a_client_may_ask_at_once_and_then_at_a_rate() {
    testing::run(async {
        let client = client(RateLimit::per_address(6, MINUTE));
        for _ in 0..6 {
            assert_eq!(ask(&client, "192.0.2.1").await, 200);
        }
        let refused = client.get("/limited").header("X-Forwarded-For", "192.0.2.1").send().await;
        refused.assert_status(429).assert_header("retry-after", "10");
        // What was refused does not count.
        web::sleep(Duration::from_secs(9)).await;
        let refused = client.get("/limited").header("X-Forwarded-For", "192.0.2.1").send().await;
        refused.assert_status(429).assert_header("retry-after", "1");
        web::sleep(Duration::from_millis(500)).await;
        let refused = client.get("/limited").header("X-Forwarded-For", "192.0.2.1").send().await;
        refused.assert_status(429).assert_header("retry-after", "1");
        web::sleep(Duration::from_millis(500)).await;
        assert_eq!(ask(&client, "192.0.2.1").await, 200);
        assert_eq!(ask(&client, "192.0.2.1").await, 429);
        // After a while all of it is there again.
        web::sleep(MINUTE).await;
        for _ in 0..6 {
            assert_eq!(ask(&client, "192.0.2.1").await, 200);
        }
        assert_eq!(ask(&client, "192.0.2.1").await, 429);
        // Other routes are not limited.
        client.get("/").send().await.assert_status(200);
    });
}

#[test]
fn clients_are_told_apart_by_what_one_of_them_can_have() {
    testing::run(async {
        let client = client(RateLimit::per_address(1, MINUTE));
        assert_eq!(ask(&client, "192.0.2.1").await, 200);
        assert_eq!(ask(&client, "192.0.2.1").await, 429);
        assert_eq!(ask(&client, "192.0.2.2").await, 200);
        // The same in IPv6.
        assert_eq!(ask(&client, "::ffff:192.0.2.2").await, 429);
        // A network of 64 bits is one client.
        assert_eq!(ask(&client, "2001:db8:1:2::1").await, 200);
        assert_eq!(ask(&client, "2001:db8:1:2:ffff:ffff:ffff:ffff").await, 429);
        assert_eq!(ask(&client, "2001:db8:1:3::1").await, 200);
    });
}

#[test]
fn the_peer_counts_when_no_proxy_is_trusted() {
    testing::run(async {
        let routes = Application::new().get("/", hello).wrap(RateLimit::per_address(1, MINUTE));
        let peer: SocketAddr = "192.0.2.1:5000".parse().unwrap();
        let client = TestClient::new(routes).peer_addr(peer);
        client.get("/").header("X-Forwarded-For", "192.0.2.9").send().await.assert_status(200);
        client.get("/").header("X-Forwarded-For", "192.0.2.10").send().await.assert_status(429);
    });
}

#[test]
fn a_key_can_be_anything_and_nothing_is_not_limited() {
    testing::run(async {
        let key = |exchange: &Exchange| exchange.header("X-Api-Key").map(str::to_owned);
        let client = client(RateLimit::by(1, MINUTE, key));
        let ask = async |key: &str| client.get("/limited").header("X-Api-Key", key).send().await.status().as_u16();
        assert_eq!(ask("a").await, 200);
        assert_eq!(ask("a").await, 429);
        assert_eq!(ask("b").await, 200);
        for _ in 0..3 {
            client.get("/limited").send().await.assert_status(200);
        }
    });
}

#[test]
fn a_burst_can_be_smaller_than_what_comes_in_a_period() {
    testing::run(async {
        let client = client(RateLimit::per_address(60, MINUTE).burst(2));
        assert_eq!(ask(&client, "192.0.2.1").await, 200);
        assert_eq!(ask(&client, "192.0.2.1").await, 200);
        assert_eq!(ask(&client, "192.0.2.1").await, 429);
        web::sleep(Duration::from_secs(1)).await;
        assert_eq!(ask(&client, "192.0.2.1").await, 200);
        assert_eq!(ask(&client, "192.0.2.1").await, 429);
    });
}

#[test]
fn many_addresses_take_bounded_memory_and_do_not_free_the_loudest() {
    testing::run(async {
        let limit = RateLimit::per_address(10, MINUTE).max_clients(100);
        let client = client(limit.clone());
        for _ in 0..10 {
            assert_eq!(ask(&client, "198.51.100.1").await, 200);
        }
        for number in 0..500 {
            assert_eq!(ask(&client, &format!("10.0.{}.{}", number / 256, number % 256)).await, 200);
            assert!(limit.clients() <= 100);
        }
        assert_eq!(ask(&client, "198.51.100.1").await, 429);
        // Those with a full bucket are forgotten.
        web::sleep(MINUTE).await;
        assert_eq!(limit.clients(), 0);
    });
}

#[test]
fn refusals_write_one_line_each() {
    testing::run(async {
        let log = capture_log();
        let client = client(RateLimit::per_address(1, MINUTE));
        assert_eq!(ask(&client, "192.0.2.1").await, 200);
        assert_eq!(ask(&client, "192.0.2.1").await, 429);
        log.expect(Level::Warn, "web::access", "429 GET /limited");
        log.assert_quiet(Level::Warn);
    });
}

#[test]
#[should_panic(expected = "are none")]
fn a_limit_of_nothing_is_refused() {
    let _ = RateLimit::per_address(0, MINUTE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against a bucket that is filled up token by token.
    #[test]
    fn it_is_a_bucket_of_tokens(burst in 1u32..5, waits in proptest::collection::vec(0u64..25, 1..30)) {
        testing::run(async {
            // A token in ten seconds.
            let client = client(RateLimit::per_address(6, MINUTE).burst(burst));
            let (mut tokens, mut progress) = (burst, 0);
            for wait in waits {
                web::sleep(Duration::from_secs(wait)).await;
                progress += wait;
                while progress >= 10 {
                    progress -= 10;
                    tokens = (tokens + 1).min(burst);
                }
                if tokens == burst {
                    progress = 0;
                }
                let expected = if tokens > 0 { 200 } else { 429 };
                tokens = tokens.saturating_sub(1);
                assert_eq!(ask(&client, "192.0.2.1").await, expected);
            }
        });
    }
}
