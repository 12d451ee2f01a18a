use std::{future::Future, pin::Pin};

use iostream::IOStream;

/// What goes on with the stream of an upgraded connection: another protocol.
pub(crate) type UpgradeHandler = Box<dyn FnOnce(IOStream) -> Pin<Box<dyn Future<Output = ()>>>>;

/// Boxes a protocol, and its future when it begins.
pub(crate) fn boxed(protocol: impl AsyncFnOnce(IOStream) + 'static) -> UpgradeHandler {
    Box::new(|stream| Box::pin(async move { protocol(stream).await }))
}
