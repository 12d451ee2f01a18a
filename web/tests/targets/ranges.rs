//! `Range` on a static file.

use std::{env, fs, path::PathBuf, process, sync::LazyLock};

use web::{Application, Bytes, Request, StaticFiles};

use super::in_process::send;

const SIZE: usize = 1000;

/// A directory with one file.
static SITE: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = env::temp_dir().join(format!("waterspout-ranges-{}", process::id()));
    fs::create_dir_all(&path).expect("a directory");
    fs::write(path.join("file.bin"), content()).expect("a file");
    path
});

/// No two slices of it are the same, if they are longer than a byte.
fn content() -> Vec<u8> {
    (0..SIZE).map(|at| if at % 2 == 0 { (at / 2 / 256) as u8 } else { (at / 2) as u8 }).collect()
}

/// The value of the header.
pub fn run(value: &[u8]) {
    let Ok(text) = std::str::from_utf8(value) else { return };
    if text.bytes().any(|byte| byte.is_ascii_control()) || text != text.trim() {
        return;
    }
    let files = StaticFiles::new(SITE.as_path()).expect("it was made above");
    let application = Application::new().static_handler("/static", files);
    let answer = send(&application, Request::builder().target("/static/file.bin").header("Range", text));
    let body = answer.body.as_ref().expect("a whole body");
    match (answer.status, answer.header("content-range")) {
        (200, None) => assert_eq!(body, &content(), "{text}"),
        (206, Some(range)) => check_slice(range, body),
        (206, None) => check_slices(answer.header("content-type").expect("a type"), body),
        (416, Some(range)) => assert_eq!(range, format!("bytes */{SIZE}"), "{text}"),
        other => panic!("{text}: {other:?}"),
    }
}

fn check_slice(range: &str, body: &[u8]) {
    let numbers = range.strip_prefix("bytes ").and_then(|rest| rest.strip_suffix(&format!("/{SIZE}")));
    let (first, last) = numbers.and_then(|numbers| numbers.split_once('-')).expect("a range");
    let (first, last): (usize, usize) = (first.parse().expect("a number"), last.parse().expect("a number"));
    assert_eq!(body, &content()[first..=last], "{range}");
}

/// Each part is what it says, and all of them are not much more than the file.
fn check_slices(content_type: &str, body: &Bytes) {
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("several ranges");
    let delimiter = format!("--{boundary}");
    let mut rest = &body[..];
    let (mut count, mut sum) = (0, 0);
    loop {
        let at = find(rest, delimiter.as_bytes()).expect("a boundary");
        rest = &rest[at + delimiter.len()..];
        if rest.starts_with(b"--") {
            break;
        }
        let head_end = find(rest, b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(rest[..head_end].to_ascii_lowercase()).expect("text");
        let range = head.lines().find_map(|line| line.strip_prefix("content-range: ")).expect("a range");
        let content = &rest[head_end + 4..];
        let end = find(content, format!("\r\n{delimiter}").as_bytes()).expect("the next boundary");
        check_slice(range, &content[..end]);
        (count, sum) = (count + 1, sum + end);
        rest = &content[end..];
    }
    assert!(count > 1 && sum <= SIZE, "{count} parts of {sum} bytes");
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}
