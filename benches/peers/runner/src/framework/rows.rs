use benches::load::Request;
use peers_framework::{BOUNDARY, FIELDS, upload};

use crate::http::rows::{HttpRow, Load, keep_alive};

/// As many connections as are busy at a time, in all rows but those of large bodies.
const LOAD: Load = keep_alive(64, 1);

pub(crate) const ROWS: [HttpRow; 13] = [
    row("plaintext", "plaintext", || Request::get("/plaintext"), LOAD, 50_000),
    row("json", "JSON", || Request::get("/json"), LOAD, 50_000),
    row("path", "a parameter of the path, among 300 routes", || Request::get("/r150/123456"), LOAD, 50_000),
    row("query", "ten fields of a query, into a struct", query, LOAD, 30_000),
    row("form", "ten fields of a form, into a struct", form, LOAD, 30_000),
    row("template", "a template with fifty rows", || Request::get("/table"), LOAD, 3_000),
    row("static-1k", "a file of 1 KiB", || Request::get("/static/1k.bin"), LOAD, 10_000),
    row("static-100k", "a file of 100 KiB", || Request::get("/static/100k.bin"), keep_alive(16, 1), 5_000),
    row("static-10m", "a file of 10 MiB", || Request::get("/static/10m.bin"), keep_alive(4, 1), 80),
    row("gzip-1", "a page of 20 KiB, in gzip of level 1", || gzip("/page"), LOAD, 4_000),
    row("gzip-6", "the same, level 6", || gzip("/page6"), LOAD, 2_000),
    row("upload", "an upload of 64 MiB in 3 parts", upload_request, keep_alive(2, 1), 8),
    row("wraps", "plaintext inside four wraps", || Request::get("/wrapped"), LOAD, 50_000),
];

const fn row(name: &'static str, title: &'static str, request: fn() -> Request, load: Load, requests: u64) -> HttpRow {
    HttpRow { name, title, request, load, requests }
}

fn query() -> Request {
    Request::get(&format!("/query?{FIELDS}"))
}

fn form() -> Request {
    Request::post("/form", "application/x-www-form-urlencoded", FIELDS.as_bytes())
}

fn gzip(path: &str) -> Request {
    Request::get_with(path, "Accept-Encoding: gzip")
}

fn upload_request() -> Request {
    Request::post("/upload", &format!("multipart/form-data; boundary={BOUNDARY}"), &upload())
}
