//! Files from a directory.

mod util;

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use util::{
    Reply, Server, serve,
    site::{MODIFIED, Site},
};
use web::{Application, StaticFiles};

fn get_with(server: &Server, target: &str, headers: &str) -> Reply {
    server.send("GET", target, headers, "")
}

fn refuses(reply: &Reply, what: &str) {
    assert!(matches!(reply.status, 400 | 403 | 404), "{what}: {}", reply.status);
    assert!(!reply.text().contains("secret"), "{what}");
}

#[test]
fn a_file_has_type_length_and_validators() {
    let site = Site::new();
    let reply = site.serve().get("/static/letters.txt");
    assert_eq!(reply.status, 200);
    assert_eq!(reply.text(), "abcdefghijklmnopqrstuvwxyz");
    assert_eq!(reply.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(reply.header("content-length"), Some("26"));
    assert_eq!(reply.header("last-modified"), Some(MODIFIED));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    let etag = reply.header("etag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2);
}

#[test]
fn head_has_the_same_headers() {
    let site = Site::new();
    site.write("large.bin", vec![1; 200_000]);
    let server = site.serve();
    for target in ["/static/letters.txt", "/static/large.bin"] {
        let get = server.get(target);
        let head = server.send("HEAD", target, "", "");
        for name in ["content-type", "content-length", "last-modified", "etag", "accept-ranges"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {target}");
        }
    }
}

#[test]
fn large_files_arrive_whole() {
    let site = Site::new();
    let server = site.serve_by_tcp();
    for length in [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_003] {
        let content: Vec<u8> = (0..length).map(|at: u32| (at % 251) as u8).collect();
        site.write("data.bin", &content);
        let reply = server.get("/static/data.bin");
        assert_eq!(reply.header("content-length"), Some(length.to_string().as_str()));
        assert!(reply.body == content, "{length}");
    }
}

#[test]
fn names_are_percent_decoded() {
    let site = Site::new();
    site.write("a b+é.txt", "found");
    site.write("back\\slash", "backslash");
    let server = site.serve();
    assert_eq!(server.get("/static/a%20b+%C3%A9.txt").text(), "found");
    assert_eq!(server.get("/static/back%5cslash").text(), "backslash");
    assert_eq!(server.get("/static/%ff").status, 400);
}

#[test]
fn what_the_client_has_is_not_sent_again() {
    let site = Site::new();
    let server = site.serve();
    let target = "/static/letters.txt";
    let etag = server.get(target).header("etag").unwrap().to_owned();
    let status = |headers: &str| get_with(&server, target, headers).status;

    let reply = get_with(&server, target, &format!("If-None-Match: {etag}\r\n"));
    assert_eq!((reply.status, reply.header("etag")), (304, Some(etag.as_str())));
    assert_eq!(reply.header("content-type"), None);
    assert_eq!(status(&format!("If-None-Match: \"x\", W/{etag}\r\n")), 304);
    assert_eq!(status("If-None-Match: *\r\n"), 304);
    assert_eq!(status("If-None-Match: \"x\"\r\n"), 200);

    assert_eq!(status(&format!("If-Modified-Since: {MODIFIED}\r\n")), 304);
    assert_eq!(status("If-Modified-Since: Sun, 09 Sep 2001 01:46:41 GMT\r\n"), 304);
    assert_eq!(status("If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n"), 200);
    assert_eq!(status("If-Modified-Since: nonsense\r\n"), 200);
    assert_eq!(status("If-Modified-Since: Thu, 01 Jan 1960 00:00:00 GMT\r\n"), 200);

    // Tags alone decide where there are any.
    assert_eq!(status(&format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {MODIFIED}\r\n")), 200);
}

#[test]
fn the_tag_changes_with_the_content_and_with_the_file() {
    let site = Site::new();
    let server = site.serve();
    let tag = || server.get("/static/letters.txt").header("etag").unwrap().to_owned();
    let first = tag();
    assert_eq!(tag(), first);
    // The same size and time, but another file under the same name.
    let other = site.write("other.txt", "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    fs::rename(other, site.root().join("letters.txt")).unwrap();
    let second = tag();
    assert_ne!(second, first);
    site.write("letters.txt", "short");
    assert_ne!(tag(), second);
}

#[test]
fn one_range_is_sent_alone() {
    let site = Site::new();
    let server = site.serve();
    let range = |range: &str| get_with(&server, "/static/letters.txt", &format!("Range: {range}\r\n"));
    for (asked, body, content_range) in [
        ("bytes=2-5", "cdef", "bytes 2-5/26"),
        ("bytes=23-", "xyz", "bytes 23-25/26"),
        ("bytes=-2", "yz", "bytes 24-25/26"),
        ("bytes=25-99", "z", "bytes 25-25/26"),
    ] {
        let reply = range(asked);
        assert_eq!((reply.status, reply.text()), (206, body), "{asked}");
        assert_eq!(reply.header("content-range"), Some(content_range));
        assert_eq!(reply.header("content-length"), Some(body.len().to_string().as_str()));
    }
    for asked in ["bytes=0-", "bytes=0-25", "bytes=-99", "lines=1-2", "bytes=x", "bytes=--5"] {
        let reply = range(asked);
        assert_eq!((reply.status, reply.body.len()), (200, 26), "{asked}");
        assert_eq!(reply.header("content-range"), None);
    }
    for asked in ["bytes=26-", "bytes=5-2", "bytes=-0"] {
        let reply = range(asked);
        assert_eq!((reply.status, reply.body.len()), (416, 0), "{asked}");
        assert_eq!(reply.header("content-range"), Some("bytes */26"));
    }
}

#[test]
fn ranges_of_large_files_are_exact() {
    let site = Site::new();
    let content: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
    site.write("data.bin", &content);
    let server = site.serve_by_tcp();
    let reply = get_with(&server, "/static/data.bin", "Range: bytes=1000-200999\r\n");
    assert_eq!(reply.status, 206);
    assert!(reply.body == content[1000..201_000]);
}

#[test]
fn ranges_give_way_to_conditions() {
    let site = Site::new();
    let server = site.serve();
    let target = "/static/letters.txt";
    let etag = server.get(target).header("etag").unwrap().to_owned();
    let status = |headers: String| get_with(&server, target, &format!("Range: bytes=0-1\r\n{headers}")).status;
    assert_eq!(status(format!("If-None-Match: {etag}\r\n")), 304);
    assert_eq!(status(format!("If-Range: {etag}\r\n")), 206);
    assert_eq!(status(format!("If-Range: W/{etag}\r\n")), 200);
    assert_eq!(status("If-Range: \"other\"\r\n".to_owned()), 200);
    assert_eq!(status(format!("If-Range: {MODIFIED}\r\n")), 206);
    assert_eq!(status("If-Range: Sun, 09 Sep 2001 01:46:41 GMT\r\n".to_owned()), 200);
    // Ranges are for GET.
    let head = server.send("HEAD", target, "Range: bytes=0-1\r\n", "");
    assert_eq!((head.status, head.header("content-length")), (200, Some("26")));
}

#[test]
fn preconditions_of_files_are_412_when_they_fail() {
    let site = Site::new();
    let server = site.serve();
    let target = "/static/letters.txt";
    let etag = server.get(target).header("etag").unwrap().to_owned();
    let status = |headers: &str| get_with(&server, target, headers).status;

    let reply = get_with(&server, target, "If-Match: \"x\"\r\nRange: bytes=1-2\r\n");
    assert_eq!((reply.status, reply.header("content-range")), (412, None));
    assert!(reply.text().contains("412: Precondition Failed"), "{reply:?}");
    assert_eq!(reply.header("etag"), None);
    assert_eq!(server.send("HEAD", target, "If-Match: \"x\"\r\n", "").status, 412);
    assert_eq!(status("If-Match: *\r\n"), 200);
    assert_eq!(status(&format!("If-Match: {etag}\r\n")), 200);
    assert_eq!(status(&format!("If-Match: \"x\"\r\nIf-Match: {etag}\r\n")), 200);
    assert_eq!(status(&format!("If-Match: W/{etag}\r\n")), 412);
    assert_eq!(status("If-Match: \r\n"), 412);
    assert_eq!(status(&format!("If-Unmodified-Since: {MODIFIED}\r\n")), 200);
    assert_eq!(status("If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n"), 412);
    assert_eq!(status("If-Unmodified-Since: nonsense\r\n"), 200);
    // The first step that fails decides, and a tag makes the date of its step count for nothing.
    assert_eq!(status(&format!("If-Match: \"x\"\r\nIf-None-Match: {etag}\r\n")), 412);
    assert_eq!(status(&format!("If-Match: {etag}\r\nIf-None-Match: {etag}\r\n")), 304);
    assert_eq!(status(&format!("If-Match: {etag}\r\nIf-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT\r\n")), 200);
}

#[test]
fn a_byte_that_is_no_text_spoils_its_own_member_alone() {
    let site = Site::new();
    let server = site.serve();
    let target = "/static/letters.txt";
    let etag = server.get(target).header("etag").unwrap().to_owned();
    let status = |headers: &[&[u8]]| {
        let mut client = server.connect();
        client.request_bytes("GET", target, &headers.concat());
        client.reply().status
    };
    assert_eq!(status(&[b"If-None-Match: \"\xff\", ", etag.as_bytes(), b"\r\n"]), 304);
    assert_eq!(status(&[b"If-None-Match: \xff, ", etag.as_bytes(), b"\r\n"]), 304);
    assert_eq!(status(&[b"If-Match: \"\xff\"\r\n"]), 412);
    // A field that is there counts, even if its value says nothing.
    assert_eq!(status(&[b"Range: bytes=0-1\r\nIf-Range: \xff\r\n"]), 200);
    assert_eq!(status(&[b"If-Modified-Since: \xff\r\n"]), 200);
}

#[test]
fn a_date_does_not_vouch_for_a_range_within_the_second_of_the_change() {
    let site = Site::new();
    let path = site.root().join("letters.txt");
    let file = fs::File::options().write(true).open(path).unwrap();
    // Far enough ahead that the second of the change does not pass while the test runs.
    file.set_modified(SystemTime::now() + Duration::from_secs(600)).unwrap();
    let server = site.serve();
    let reply = server.get("/static/letters.txt");
    let (date, modified) = (reply.header("date").unwrap(), reply.header("last-modified").unwrap());
    assert_eq!(date, modified, "a change cannot be later than the answer");
    let range = format!("Range: bytes=0-1\r\nIf-Range: {modified}\r\n");
    assert_eq!(get_with(&server, "/static/letters.txt", &range).status, 200);
    // The change is over for long: now its date tells it from all others.
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    let range = format!("Range: bytes=0-1\r\nIf-Range: {MODIFIED}\r\n");
    assert_eq!(get_with(&server, "/static/letters.txt", &range).status, 206);
}

#[test]
fn a_range_that_is_not_there_is_not_cached_like_the_file() {
    let site = Site::new();
    let root = site.root();
    let server = serve(move || {
        let files = StaticFiles::new(root).unwrap().cache_control("max-age=60");
        Application::new().static_handler("/", files)
    });
    let caching = |headers: &str| {
        let reply = get_with(&server, "/letters.txt", headers);
        (reply.status, reply.header("cache-control").map(str::to_owned))
    };
    let cached = Some("max-age=60".to_owned());
    assert_eq!(caching("Range: bytes=99-\r\n"), (416, None));
    assert_eq!(caching("If-Match: \"x\"\r\n"), (412, None));
    assert_eq!(caching("Range: bytes=0-1\r\n"), (206, cached.clone()));
    assert_eq!(caching("If-None-Match: *\r\n"), (304, cached));
}

#[test]
fn several_range_lines_are_no_range() {
    let site = Site::new();
    let reply = get_with(&site.serve(), "/static/letters.txt", "Range: bytes=0-1\r\nRange: bytes=2-3\r\n");
    assert_eq!((reply.status, reply.body.len()), (200, 26));
}

#[test]
fn dot_files_are_not_found() {
    let site = Site::new();
    fs::create_dir_all(site.root().join("sub/.git")).unwrap();
    fs::create_dir_all(site.root().join(".well-known")).unwrap();
    for name in [".env", "sub/.git/config", ".well-known/security.txt", ".well-known/.hidden"] {
        site.write(name, "content");
    }
    let server = site.serve();
    for hidden in ["/.env", "/sub/.git/config", "/sub/.git", "/%2eenv", "/sub/%2egit/", "/.well-known/.hidden", "/.no"]
    {
        assert_eq!(server.get(&format!("/static{hidden}")).status, 404, "{hidden}");
    }
    assert_eq!(server.get("/static/.well-known/security.txt").text(), "content");
    assert_eq!(server.get("/static/./letters.txt").status, 200);
}

#[test]
fn nothing_outside_of_the_directory_is_served() {
    let site = Site::new();
    let server = site.serve();
    let absolute = site.0.join("secret.txt").display().to_string();
    for target in [
        "/static/../secret.txt",
        "/static/%2e%2e/secret.txt",
        "/static/%2e%2e%2fsecret.txt",
        "/static/..%2fsecret.txt",
        "/static/sub/../../secret.txt",
        "/static/../site_evil/x.txt",
        "/static/..\\secret.txt",
        "/static/..%5csecret.txt",
        "/static/%252e%252e/secret.txt",
        "/static/letters.txt%00.html",
        "/static/%00",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/....//secret.txt",
        "/static/./../secret.txt",
        "/static/letters.txt/",
        "/static/letters.txt/..",
        "/static_evil/x.txt",
    ] {
        refuses(&server.get(target), target);
    }
    refuses(&server.get(&format!("/static/{absolute}")), &absolute);
    assert_eq!(server.get("/static/../secret.txt").status, 403);
    assert_eq!(server.get("/static/%00").status, 400);
}

#[test]
fn links_are_followed_inside_only() {
    let site = Site::new();
    let root = site.root();
    symlink("letters.txt", root.join("inside")).unwrap();
    symlink("../letters.txt", root.join("sub/up")).unwrap();
    symlink("../secret.txt", root.join("outside")).unwrap();
    symlink(site.0.join("secret.txt"), root.join("absolute")).unwrap();
    symlink("../site_evil", root.join("directory")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink(root.join("letters.txt"), root.join("absolute_inside")).unwrap();
    let server = site.serve();
    for target in ["/static/inside", "/static/sub/up"] {
        assert_eq!(server.get(target).body.len(), 26, "{target}");
    }
    for target in [
        "/static/outside",
        "/static/absolute",
        "/static/absolute_inside",
        "/static/directory/x.txt",
        "/static/directory/",
        "/static/loop",
    ] {
        let reply = server.get(target);
        assert_eq!(reply.status, 403, "{target}");
        refuses(&reply, target);
    }
}

#[test]
fn directories_are_their_index_file() {
    let site = Site::new();
    site.write("index.html", "<p>root</p>");
    fs::create_dir(site.root().join("empty")).unwrap();
    let server = site.serve();
    assert_eq!(server.get("/static/").text(), "<p>root</p>");
    assert_eq!(server.get("/static/sub/").text(), "<p>sub</p>");
    for (target, location) in
        [("/static", "/static/"), ("/static/sub", "/static/sub/"), ("/static/sub?a=b", "/static/sub/?a=b")]
    {
        let reply = server.get(target);
        assert_eq!((reply.status, reply.header("location")), (301, Some(location)));
    }
    assert_eq!(server.get("/static/empty/").status, 404);
}

#[test]
fn directories_without_an_index_are_forbidden() {
    let site = Site::new();
    let root = site.root();
    let server = serve(move || {
        let files = StaticFiles::new(root).unwrap().cache_control("max-age=60");
        Application::new().static_handler("/", files)
    });
    assert_eq!(server.get("/letters.txt").header("cache-control"), Some("max-age=60"));
    for target in ["/", "/sub", "/sub/"] {
        assert_eq!(server.get(target).status, 403, "{target}");
    }
}

#[test]
fn the_redirect_of_a_directory_stays_on_its_host() {
    let site = Site::new();
    let root = site.root();
    let server = serve(move || Application::new().static_files("/", root).unwrap());
    for target in ["//sub", "///sub", "//evil.com/..%2fsub", "/%2fsub", "/\\sub", "//evil.com/%2e%2e/sub"] {
        let reply = server.get(target);
        let location = reply.header("location").unwrap_or("/");
        assert!(!location.starts_with("//") && !location.starts_with("/\\"), "{target}: {location}");
        assert_ne!(reply.status, 200, "{target}");
    }
    assert_eq!(server.get("/sub").header("location"), Some("/sub/"));
}

#[test]
fn pipes_and_sockets_are_forbidden_and_do_not_block() {
    let site = Site::new();
    nix::unistd::mkfifo(&site.root().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(site.root().join("socket")).unwrap();
    let server = site.serve();
    for target in ["/static/pipe", "/static/socket"] {
        assert_eq!(server.get(target).status, 403, "{target}");
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_ends_the_connection() {
    const LENGTH: usize = 64 * 1024 * 1024;
    let site = Site::new();
    let path = site.root().join("large.bin");
    fs::File::create(&path).unwrap().set_len(LENGTH as u64).unwrap();
    let server = site.serve_by_tcp();
    let mut client = server.connect();
    client.request("GET", "/static/large.bin", "", "");
    assert_eq!(client.head().header("content-length"), Some(LENGTH.to_string().as_str()));
    // The sockets' buffers do not hold 64 MiB, so the server is somewhere in the middle now.
    fs::File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
    assert!(client.rest().len() < LENGTH);
    assert_eq!(server.get("/static/letters.txt").status, 200);
}

#[test]
fn a_file_that_grows_while_it_is_sent_is_cut_at_its_size() {
    const LENGTH: usize = 32 * 1024 * 1024;
    let site = Site::new();
    let path = site.root().join("large.bin");
    fs::File::create(&path).unwrap().set_len(LENGTH as u64).unwrap();
    let server = site.serve_by_tcp();
    let mut client = server.connect();
    client.request("GET", "/static/large.bin", "", "");
    client.request("GET", "/static/letters.txt", "", "");
    client.head();
    fs::File::options().write(true).open(&path).unwrap().set_len(2 * LENGTH as u64).unwrap();
    assert_eq!(client.take(LENGTH).len(), LENGTH);
    assert_eq!(client.reply().text(), "abcdefghijklmnopqrstuvwxyz");
}

#[test]
fn other_methods_are_refused() {
    let site = Site::new();
    let reply = site.serve().send("POST", "/static/letters.txt", "", "x");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn a_directory_that_cannot_be_served_is_named() {
    let site = Site::new();
    for path in [Path::new("/nonexistent/assets"), &site.root().join("letters.txt")] {
        let error = StaticFiles::new(path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
    let error = StaticFiles::new("/nonexistent/assets").unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
}
