//! The settings of static files.

mod util;

use std::{
    fs,
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

use util::{Server, serve};
use web::{Application, StaticFiles};

/// A directory with one visible and one dot file, removed in the end.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Site {
        let site = Site(std::env::temp_dir().join(format!("waterspout-options-{}-{name}", std::process::id())));
        fs::create_dir_all(&site.0).unwrap();
        for file in ["a.txt", ".env"] {
            fs::write(site.0.join(file), "content").unwrap();
            let written = fs::File::options().write(true).open(site.0.join(file)).unwrap();
            written.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
        }
        site
    }

    fn serve(&self, set: fn(StaticFiles) -> StaticFiles) -> Server {
        let root = self.0.clone();
        serve(move || Application::new().static_handler("/", set(StaticFiles::new(root).unwrap())))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn dot_files_are_served_on_request() {
    let site = Site::new("dots");
    assert_eq!(site.serve(|files| files).get("/.env").status, 404);
    assert_eq!(site.serve(|files| files.serve_dot_files(true)).get("/.env").text(), "content");
}

#[test]
fn copies_on_two_machines_have_the_same_portable_tag() {
    let (one, two) = (Site::new("one"), Site::new("two"));
    let etags = |set: fn(StaticFiles) -> StaticFiles| {
        [&one, &two].map(|site| site.serve(set).get("/a.txt").header("etag").unwrap().to_owned())
    };
    let [first, second] = etags(|files| files);
    assert_ne!(first, second);
    let [first, second] = etags(|files| files.portable_etags(true));
    assert_eq!(first, second);
    fs::write(one.0.join("a.txt"), "changed content").unwrap();
    let [first, second] = etags(|files| files.portable_etags(true));
    assert_ne!(first, second);
}

#[test]
fn a_cache_is_told_that_browsers_get_a_page_where_others_get_a_404() {
    let site = Site::new("fallback");
    let server = site.serve(|files| files.fallback("a.txt"));
    let page = server.send("GET", "/users/5", "Accept: text/html\r\n", "");
    assert_eq!((page.status, page.header("vary")), (200, Some("Accept")));
    let missing = server.send("GET", "/users/5", "Accept: application/json\r\n", "");
    assert_eq!((missing.status, missing.header("vary")), (404, Some("Accept")));
    // These are the same for everybody.
    assert_eq!(server.get("/users/5.png").header("vary"), None);
    assert_eq!(server.get("/a.txt").header("vary"), None);
}
