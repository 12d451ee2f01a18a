//! Files that were compressed beforehand: `app.js.br` beside `app.js`.

use std::{
    fs::{File, Metadata},
    os::unix::fs::MetadataExt,
};

use super::root::Root;
use crate::{
    accept_encoding::{Coding, accepted},
    exchange::Exchange,
};

/// By the server's order, which decides where the client has no preference: the smallest first.
const CODINGS: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

/// A compressed sibling of a file.
pub(super) struct Sibling {
    pub(super) coding: Coding,
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

/// The sibling of the file at `path` that the client likes best. One that is older than the file is not used: the file has
/// been changed since.
#[inline]
pub(super) fn find_sibling(root: &Root, exchange: &Exchange, path: &str, original: &Metadata) -> Option<Sibling> {
    let wanted = accepted(exchange.headers().get_all("accept-encoding"), &CODINGS);
    wanted.into_iter().find_map(|coding| {
        let (file, metadata) = root.look_up(&format!("{path}.{}", extension(coding))).ok()?;
        let is_usable = metadata.is_file() && changed(&metadata) >= changed(original);
        is_usable.then_some(Sibling { coding, file, metadata })
    })
}

#[inline]
fn changed(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

#[inline]
fn extension(coding: Coding) -> &'static str {
    match coding {
        Coding::Brotli => "br",
        Coding::Zstd => "zst",
        Coding::Gzip => "gz",
    }
}
