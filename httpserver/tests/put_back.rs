//! Bodies that are looked at ahead of those who read them.

mod common;

use common::run;
use httpserver::{Body, Bytes, Error, Result, yield_now};
use proptest::{collection::vec, prelude::*};

/// A body that comes in these pieces.
fn body_of(pieces: Vec<Vec<u8>>) -> Body {
    Body::writer(async move |mut out| {
        for piece in pieces {
            out.write_bytes(Bytes::from(piece)).await?;
            // Or they would come as one.
            yield_now().await;
        }
        Ok(())
    })
}

async fn rest(body: &mut Body) -> Result<Vec<u8>> {
    let mut rest = Vec::new();
    while let Some(chunk) = body.chunk().await? {
        rest.extend_from_slice(&chunk);
    }
    Ok(rest)
}

#[test]
fn what_was_put_back_comes_again() {
    run(async {
        let mut body = Body::from("twelve bytes");
        body.put_back(Bytes::new());
        assert_eq!(body.as_bytes(), Some(&b"twelve bytes"[..]));
        let ahead = body.chunk().await.unwrap().unwrap();
        assert!(body.is_end());
        body.put_back(ahead);
        assert_eq!((body.is_end(), body.content_length()), (false, Some(12)));
        assert_eq!(body.bytes(12).await.unwrap(), "twelve bytes");
    });
}

#[test]
fn limits_count_it_once() {
    run(async {
        for (limit, is_enough) in [(5, false), (6, true)] {
            let mut body = body_of(vec![b"abc".into(), b"def".into()]);
            body.limit(limit);
            let ahead = body.chunk().await.unwrap().unwrap();
            body.put_back(ahead);
            assert_eq!(rest(&mut body).await.is_ok(), is_enough, "set before, {limit}");

            let mut body = body_of(vec![b"abc".into(), b"def".into()]);
            let ahead = body.chunk().await.unwrap().unwrap();
            body.put_back(ahead);
            assert_eq!(body.current_limit(), None);
            body.set_limit(limit);
            assert_eq!(body.current_limit(), Some(limit));
            assert_eq!(rest(&mut body).await.is_ok(), is_enough, "set behind, {limit}");
        }
        // Less than was read ahead.
        let mut body = body_of(vec![b"abc".into(), b"def".into()]);
        let ahead = body.chunk().await.unwrap().unwrap();
        body.put_back(ahead);
        body.set_limit(2);
        for _ in 0..2 {
            assert!(matches!(body.chunk().await, Err(Error::BodyTooLarge { limit: 2 })));
        }
    });
}

proptest! {
    #[test]
    fn a_body_is_the_same_however_often_it_was_looked_at(
        pieces in vec(vec(any::<u8>(), 0..5), 0..6),
        looks in vec(0usize..4, 0..4),
        limit in proptest::option::of(0u64..30),
        is_early in any::<bool>(),
    ) {
        let whole = pieces.concat();
        let fits = limit.is_none_or(|limit| limit >= whole.len() as u64);
        let read = run(async move {
            let mut body = body_of(pieces);
            if let Some(limit) = limit.filter(|_| is_early) {
                body.set_limit(limit);
            }
            for count in looks {
                let mut ahead = Vec::new();
                for _ in 0..count {
                    match body.chunk().await {
                        Ok(Some(chunk)) => ahead.extend_from_slice(&chunk),
                        Ok(None) => break,
                        Err(error) => return Err(error),
                    }
                }
                body.put_back(ahead.into());
            }
            if let Some(limit) = limit.filter(|_| !is_early) {
                body.set_limit(limit);
            }
            rest(&mut body).await
        });
        match read {
            Ok(read) => prop_assert!(fits && read == whole),
            Err(error) => prop_assert!(!fits, "{}", error),
        }
    }
}
