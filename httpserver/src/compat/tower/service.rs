//! A `tower::Service` as a service of this crate.

use std::{
    error::Error as StdError,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use super::{
    super::http_body::own_or_other,
    request_body::{Pump, RequestBody},
};
use crate::{Body, BodyStream, Error, Frame, IntoResponse, Request, Response, Result, Service};

/// Answers requests by a `tower::Service`: an `axum::Router`, or any other one of `http::Request`s.
///
/// The service is cloned for each request, as servers of tower do; its `poll_ready` is awaited. An error of the service is
/// a 500 with a line in the log, unless one of this crate's [`Error`]s is behind it, which has a status of its own. The
/// client's address is in the request's extensions, as a [`SocketAddr`](std::net::SocketAddr), when it is known.
///
/// Costs a clone of the service, the conversions of the head both ways, and for a request with a body two channels. For
/// code of one's own a [`Service`](crate::Service) is the cheaper way.
///
/// See the [module](super) for an example.
#[derive(Clone, Default)]
pub struct TowerService<S> {
    service: S,
}

impl<S> TowerService<S> {
    /// A service of this crate that asks `service`.
    #[inline]
    pub fn new(service: S) -> TowerService<S> {
        TowerService { service }
    }
}

impl<S, B> Service for TowerService<S>
where
    S: tower_service::Service<
            http::Request<RequestBody>,
            Response = http::Response<B>,
            Error: Into<Box<dyn StdError + Send + Sync>>,
        > + Clone
        + 'static,
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + 'static,
{
    // Boxed, because a framework's future is large, and every connection has room for that of its service.
    #[inline]
    fn call(&self, request: Request) -> impl Future<Output = Response> {
        Box::pin(answer(self.service.clone(), request))
    }
}

#[inline]
async fn answer<S, B>(mut service: S, request: Request) -> Response
where
    S: tower_service::Service<
            http::Request<RequestBody>,
            Response = http::Response<B>,
            Error: Into<Box<dyn StdError + Send + Sync>>,
        >,
    B: http_body::Body<Error: Into<Box<dyn StdError + Send + Sync>>> + 'static,
{
    let (request, mut pump) = match take_apart(request) {
        Ok(parts) => parts,
        Err(error) => return error.into_response(),
    };
    let answered = async {
        poll_fn(|cx| service.poll_ready(cx)).await?;
        service.call(request).await
    };
    let mut answered = pin!(answered);
    // The pump comes second: it ends when the service has dropped the body.
    let answered = poll_fn(|cx| {
        let answered = answered.as_mut().poll(cx);
        poll_pump(&mut pump, cx);
        answered
    });
    match answered.await {
        Ok(response) => Response::from(response.map(|body| with_pump(Body::from_http_body(body), pump))),
        Err(error) => own_or_other(error.into()).into_response(),
    }
}

/// The request as a tower service takes it, and what fills its body.
#[inline]
fn take_apart(request: Request) -> Result<(http::Request<RequestBody>, Option<Pump>)> {
    let peer = request.peer_addr();
    let (mut parts, body) = http::Request::<Body>::try_from(request)?.into_parts();
    if let Some(peer) = peer {
        parts.extensions.insert(peer);
    }
    let (body, pump) = RequestBody::new(body);
    Ok((http::Request::from_parts(parts, body), pump))
}

#[inline]
fn poll_pump(pump: &mut Option<Pump>, cx: &mut Context<'_>) {
    if pump.as_mut().is_some_and(|pump| pump.poll(cx).is_ready()) {
        *pump = None;
    }
}

/// An answer's body that goes on reading the request's, as long as somebody may read that.
#[inline]
fn with_pump(body: Body, pump: Option<Pump>) -> Body {
    match pump {
        // An answer that is whole is not waited for, and reads no more.
        Some(pump) if body.as_bytes().is_none() => Body::stream(Pumping { body, pump: Some(pump) }),
        _ => body,
    }
}

struct Pumping {
    body: Body,
    pump: Option<Pump>,
}

impl BodyStream for Pumping {
    #[inline]
    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        let Pumping { body, pump } = &mut *self;
        let frame = body.poll_frame(cx);
        poll_pump(pump, cx);
        frame
    }

    /// The service's other thread may go on reading while the client takes nothing.
    #[inline]
    fn poll_progress(mut self: Pin<&mut Self>, cx: &mut Context<'_>) {
        self.body.poll_progress(cx);
        poll_pump(&mut self.pump, cx);
    }

    #[inline]
    fn receiver_gone(mut self: Pin<&mut Self>, error: &Error) -> bool {
        self.body.receiver_gone(error)
    }

    #[inline]
    fn exact_size(&self) -> Option<u64> {
        self.body.content_length()
    }
}

impl<S> fmt::Debug for TowerService<S> {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TowerService")
    }
}
