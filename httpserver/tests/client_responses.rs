//! What a client makes of responses: of good ones in any pieces, of bad ones, of long ones and of none.

#[path = "common/asking.rs"]
mod asking;
mod common;

use std::time::Duration;

use asking::{ask, body_of, get, head_of_request, is_closed, pieces, post, scripted};
use common::{run, run_virtual, turns};
use httpserver::{Error, Limits, client::Connection, iostream::memory, spawn};
use proptest::{collection::vec, prelude::*};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_response_is_the_same_in_any_pieces(
        content in vec(any::<u8>(), 0..300),
        kind in 0..3,
        chunk in 1usize..50,
        lengths in vec(1usize..40, 1..4),
        interim in 0usize..3,
    ) {
        let mut answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(interim).into_bytes();
        answer.extend_from_slice(b"HTTP/1.1 200 Fine\r\nX: y\r\n");
        match kind {
            0 => answer.extend_from_slice(format!("Content-Length: {}\r\n\r\n", content.len()).as_bytes()),
            1 => answer.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n"),
            _ => answer.extend_from_slice(b"\r\n"),
        }
        match kind {
            1 => {
                for piece in content.chunks(chunk) {
                    answer.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    answer.extend_from_slice(piece);
                    answer.extend_from_slice(b"\r\n");
                }
                answer.extend_from_slice(b"0\r\n\r\n");
            }
            _ => answer.extend_from_slice(&content),
        }
        let ends = kind == 2;
        let (status, reason, read, reusable) = run(async {
            let (mut connection, far) = scripted();
            let server = spawn(async move {
                head_of_request(&far).await;
                let mut rest = &answer[..];
                for length in lengths.iter().cycle() {
                    let (piece, behind) = rest.split_at((*length).min(rest.len()));
                    far.write(piece).await.unwrap();
                    turns(1).await;
                    rest = behind;
                    if rest.is_empty() {
                        break;
                    }
                }
                if ends {
                    far.shutdown_write().await.unwrap();
                }
                far
            });
            let mut response = connection.send(get("/")).await.unwrap();
            let read = body_of(&mut response).await.unwrap();
            let _far = server.await;
            (response.status(), response.reason().to_vec(), read, connection.is_reusable())
        });
        prop_assert_eq!((status.as_u16(), &reason[..]), (200, &b"Fine"[..]));
        prop_assert_eq!(&read[..], &content[..]);
        prop_assert_eq!(reusable, !ends);
    }
}

#[test]
fn a_response_that_can_be_read_in_two_ways_is_refused() {
    run(async {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n",
            "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n",
            "HTTP/1.1 200 OK\r\nX: a\rb\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
            "HTTP/2.0 200 OK\r\n",
            "HTTP/1.1 20 OK\r\n",
            "HTTP/1.1 099 OK\r\n",
            "\r\nHTTP/1.1 200 OK\r\n",
            "220 mail ready\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n",
        ] {
            let (response, connection, far) = ask(get("/"), format!("{head}\r\nhello"), false).await;
            assert!(
                matches!(response, Err(Error::BadResponse(_) | Error::VersionNotSupported)),
                "{head:?}: {response:?}"
            );
            assert_eq!(response.unwrap_err().status(), None, "{head:?}");
            assert!(!connection.is_reusable() && is_closed(&far), "{head:?}");
        }
        for body in
            ["x\r\n", "5 \r\nhello\r\n", "5\r\nhelloXX", "-1\r\n", "0\r\nContent-Length: 5\r\n\r\n", "5\nhello\n0\n\n"]
        {
            let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            let (response, connection, far) = ask(get("/"), answer, false).await;
            let mut response = response.unwrap();
            let error = body_of(&mut response).await.unwrap_err();
            assert!(matches!(error, Error::BadResponse(_)), "{body:?}: {error}");
            let again = response.body_mut().chunk().await.unwrap_err();
            assert_eq!(error.to_string(), again.to_string(), "the first failure stays");
            assert!(!connection.is_reusable() && is_closed(&far), "{body:?}");
        }
    });
}

#[test]
fn what_no_request_asked_for_ends_the_connection() {
    run(async {
        // Behind a response, in the same piece and later; and before any request.
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        for (first, second) in [(format!("{answer}{answer}"), ""), (answer.to_owned(), answer)] {
            let (response, mut connection, far) = ask(get("/"), first, false).await;
            assert_eq!(body_of(&mut response.unwrap()).await.unwrap(), "ok");
            far.write(second).await.unwrap();
            let error = connection.send(get("/")).await.unwrap_err();
            assert!(matches!(error, Error::BadResponse(_)), "{error}");
            assert!(is_closed(&far));
            let error = connection.send(get("/")).await.unwrap_err();
            assert!(matches!(error, Error::AlreadyTaken(_)), "{error}");
        }
        let (mut connection, far) = scripted();
        far.write(answer).await.unwrap();
        assert!(matches!(connection.send(get("/")).await, Err(Error::BadResponse(_))));
    });
}

/// Tornado 6.5.9: each interim response was a deeper call, and there was no end to them.
#[test]
fn interim_responses_are_passed_over_up_to_a_number() {
    run(async {
        let interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
        let end = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        let (response, connection, _far) = ask(get("/"), interim.repeat(16) + end, false).await;
        assert_eq!(body_of(&mut response.unwrap()).await.unwrap(), "ok");
        assert!(connection.is_reusable());
        let (response, ..) = ask(get("/"), interim.repeat(17) + end, false).await;
        assert!(matches!(response, Err(Error::BadResponse(_))));
    });
}

#[test]
fn a_body_may_end_with_the_connection_but_not_break_off() {
    run(async {
        let (response, connection, far) = ask(get("/"), "HTTP/1.0 200 OK\r\n\r\nall there is", true).await;
        let mut response = response.unwrap();
        assert_eq!(body_of(&mut response).await.unwrap(), "all there is");
        assert!(response.body_mut().chunk().await.unwrap().is_none());
        assert!(!connection.is_reusable() && is_closed(&far));

        for answer in [
            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ] {
            let (response, ..) = ask(get("/"), answer, true).await;
            let error = body_of(&mut response.unwrap()).await.unwrap_err();
            assert!(matches!(error, Error::BadResponse(_)), "{error}");
        }
        for answer in ["", "HTTP/1.1 200", "HTTP/1.1 100 Continue\r\n\r\n"] {
            let (response, ..) = ask(get("/"), answer, true).await;
            assert!(matches!(response, Err(Error::Stream(_))), "{answer:?}: {response:?}");
        }
        // A reset, because the server has left bytes unread.
        let (mut connection, far) = scripted();
        spawn(async move {
            far.read_bytes(3).await.unwrap();
            far.write("HTTP/1.1 200 OK\r\n\r\nhalf of it").await.unwrap();
            turns(3).await;
            far.close();
        });
        let large = post(pieces(vec![vec![0; 500_000]])).build().unwrap();
        if let Ok(mut response) = connection.send(large).await {
            assert!(body_of(&mut response).await.is_err());
        }
    });
}

#[test]
fn limits_of_a_response_hold() {
    run(async {
        for (limits, head, length, is_ok) in [
            (Limits::default().max_body(10), "Content-Length: 10\r\n", 10, true),
            (Limits::default().max_body(10), "Content-Length: 11\r\n", 11, false),
            (Limits::default().max_body(10), "", 10, true),
            (Limits::default().max_body(10), "", 11, false),
            (Limits::default().max_head(100), "X: y\r\n", 1, true),
            (Limits::default().max_head(20), "X: y\r\n", 1, false),
            (Limits::default().max_headers(1), "X: y\r\n", 1, true),
            (Limits::default().max_headers(1), "X: y\r\nX: y\r\n", 1, false),
        ] {
            let (near, far) = memory::pair(64 * 1024);
            let mut connection = Connection::with_limits(near, limits);
            let answer = format!("HTTP/1.1 200 OK\r\n{head}\r\n{}", "x".repeat(length));
            spawn(async move {
                head_of_request(&far).await;
                far.write(answer).await.unwrap();
                far.shutdown_write().await.unwrap();
                turns(5).await;
            });
            let result = match connection.send(get("/")).await {
                Ok(mut response) => body_of(&mut response).await,
                Err(error) => Err(error),
            };
            match result {
                Ok(body) => assert!(is_ok && body.len() == length, "{head:?}"),
                Err(error) => assert!(!is_ok && matches!(error, Error::BadResponse(_)), "{head:?}: {error}"),
            }
        }
        // A reader's own limit says nothing about its client either.
        let (response, ..) = ask(get("/"), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", false).await;
        let error = response.unwrap().body_mut().bytes(4).await.unwrap_err();
        assert_eq!(error.status(), None);
    });
}

#[test]
fn a_server_that_is_silent_is_given_up() {
    run_virtual(|clock| async move {
        let (mut connection, far) = scripted();
        let sent = spawn(async move { connection.send(get("/")).await });
        head_of_request(&far).await;
        clock.advance(Duration::from_secs(59)).await;
        assert!(!is_closed(&far));
        clock.advance(Duration::from_secs(1)).await;
        assert!(matches!(sent.await.unwrap(), Err(Error::ServerTimeout(_))));
        assert!(is_closed(&far));

        let (mut connection, far) = scripted();
        let read = spawn(async move {
            let mut response = connection.send(get("/")).await?;
            body_of(&mut response).await
        });
        head_of_request(&far).await;
        clock.advance(Duration::from_secs(50)).await;
        far.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel").await.unwrap();
        // The time of the head is over, that of the body counts anew.
        clock.advance(Duration::from_secs(59)).await;
        assert!(!is_closed(&far));
        clock.advance(Duration::from_secs(1)).await;
        assert!(matches!(read.await.unwrap(), Err(Error::ServerTimeout(_))));
    });
}
