//! The page of a directory.

use std::{
    ffi::OsStr,
    fmt::Write,
    fs::{File, read_dir},
    io,
    os::{fd::AsRawFd, unix::ffi::OsStrExt},
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use crate::escape::xhtml_escape;

/// What a link holds as it is. Not the colon: `javascript:` is a name like any other.
const LINK: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Directories with more entries show so many of them.
const MOST_SHOWN: usize = 10_000;

/// The page of an open directory. `path` is how the client calls it.
///
/// # Errors
///
/// When the directory cannot be read.
#[inline]
pub(super) fn page(directory: &File, path: &str, shows_dot_files: bool) -> io::Result<String> {
    let mut entries = Vec::new();
    let mut is_cut = false;
    // By the descriptor: the directory that was found, whatever happens to its name.
    for entry in read_dir(format!("/proc/self/fd/{}", directory.as_raw_fd()))? {
        let entry = entry?;
        let name = entry.file_name();
        if !shows_dot_files && name.as_bytes().starts_with(b".") {
            continue;
        }
        if entries.len() == MOST_SHOWN {
            is_cut = true;
            break;
        }
        let is_file = !entry.file_type().is_ok_and(|kind| kind.is_dir());
        entries.push((is_file, name));
    }
    entries.sort();
    let title = xhtml_escape(path);
    let mut page =
        format!("<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n<ul>\n");
    if !path.trim_matches('/').is_empty() {
        page.push_str("<li><a href=\"../\">../</a>\n");
    }
    for (is_file, name) in entries {
        // Into memory, which takes everything.
        let _ = write_entry(&mut page, &name, if is_file { "" } else { "/" });
    }
    page.push_str("</ul>\n");
    if is_cut {
        let _ = writeln!(page, "<p>More than {MOST_SHOWN} entries; the rest is not shown.");
    }
    Ok(page)
}

#[inline]
fn write_entry(page: &mut String, name: &OsStr, slash: &str) -> std::fmt::Result {
    let text = name.to_string_lossy();
    let text = xhtml_escape(&text);
    // A path is text: no request leads to any other name.
    if name.to_str().is_none() {
        return writeln!(page, "<li>{text}{slash}");
    }
    let link = percent_encode(name.as_bytes(), LINK);
    writeln!(page, "<li><a href=\"./{link}{slash}\">{text}{slash}</a>")
}
