//! What the servers of the framework's rows have in common: the data they answer with and the files they serve.
//!
//! | path | what it answers |
//! |---|---|
//! | `GET /plaintext`, `GET /json` | as in the HTTP rows |
//! | `GET /r0/{id}` to `/r299/{id}` | the parameter of the path |
//! | `GET /query`, `POST /form` | the sum of ten [`Fields`], from a query or a form |
//! | `GET /table` | [`TEMPLATE`] with fifty [`lines`], by minijinja |
//! | `GET /static/NAME` | one of [`FILES`], from a directory |
//! | `GET /page`, `GET /page6` | [`page`], in gzip of level 1 and 6 for those who accept it |
//! | `POST /upload` | how many bytes the parts of a multipart form had, each read piece by piece |
//! | `GET /wrapped` | as `/plaintext`, inside four wraps that do nothing |

use std::{env, fs, io, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The routes `/r0/{id}`, `/r1/{id}` and so on.
pub const ROUTES: usize = 300;

/// The most that `POST /upload` takes.
pub const UPLOAD_LIMIT: usize = 128 << 20;

/// The name of the template.
pub const TEMPLATE_NAME: &str = "table.html";

/// A table of [`Line`]s, for any engine with Jinja2's language. What it puts in is escaped.
pub const TEMPLATE: &str = "<!doctype html><title>{{ title }}</title><table>\n\
    {% for line in lines %}<tr><td>{{ line.id }}<td>{{ line.name }}<td>{{ line.price }}</tr>\n{% endfor %}</table>\n";

/// What is in the template.
#[derive(Debug, Serialize)]
pub struct Table {
    /// Of the page.
    pub title: &'static str,
    /// Its rows.
    pub lines: Vec<Line>,
}

/// A row of the table.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Counts from 1.
    pub id: u32,
    /// Has something to escape.
    pub name: String,
    /// In cents.
    pub price: u32,
}

/// The table, made for each request as from a database.
pub fn table() -> Table {
    let line = |id| Line { id, name: format!("nuts & bolts <{id}>"), price: id * 199 };
    Table { title: "Fifty things", lines: (1..=50).map(line).collect() }
}

/// Ten fields of a query or a form.
#[derive(Debug, Deserialize)]
#[expect(missing_docs, reason = "they mean nothing")]
pub struct Fields {
    pub name: String,
    pub city: String,
    pub street: String,
    pub comment: String,
    pub age: u32,
    pub height: u32,
    pub width: u64,
    pub ratio: f64,
    pub member: bool,
    pub language: String,
}

/// The fields as they are sent.
pub const FIELDS: &str = "name=Ada+Lovelace&city=London&street=St.+James%27s+Square&comment=100%25+analytical&age=36\
    &height=165&width=40&ratio=0.25&member=true&language=en";

impl Fields {
    /// Something that depends on all of them.
    pub fn answer(&self) -> String {
        let text = self.name.len() + self.city.len() + self.street.len() + self.comment.len() + self.language.len();
        let numbers = u64::from(self.age + self.height) + self.width + u64::from(self.member);
        format!("{} {}", text as u64 + numbers, self.ratio)
    }
}

/// A page of 20 KiB that compresses as pages do.
pub fn page() -> String {
    let mut page = String::with_capacity(21 * 1024);
    for id in 1u32.. {
        let random = id.wrapping_mul(2_654_435_761);
        page +=
            &format!("<li class=\"item\"><a href=\"/items/{random:x}\">The item {id}</a> <em>{}</em>\n", random % 977);
        if page.len() >= 20 * 1024 {
            break;
        }
    }
    page.truncate(20 * 1024);
    page
}

/// The files below [`directory`], with their sizes in bytes.
pub const FILES: [(&str, usize); 3] = [("1k.bin", 1 << 10), ("100k.bin", 100 << 10), ("10m.bin", 10 << 20)];

/// A directory with the [`FILES`], made if it is not there.
pub fn directory() -> io::Result<PathBuf> {
    let directory = env::temp_dir().join("peers-framework-files");
    fs::create_dir_all(&directory)?;
    for (name, size) in FILES {
        let path = directory.join(name);
        if fs::metadata(&path).map_or(0, |file| file.len()) != size as u64 {
            // Renamed, because several servers do it at the same time.
            let draft = directory.join(format!("{name}.{}", std::process::id()));
            fs::write(&draft, (b' '..=b'~').cycle().take(size).collect::<Vec<_>>())?;
            fs::rename(&draft, &path)?;
        }
    }
    Ok(directory)
}

/// The boundary of [`upload`].
pub const BOUNDARY: &str = "a-line-that-is-not-in-the-files";

/// A multipart form of 64 MiB: three files.
pub fn upload() -> Vec<u8> {
    let file = (b' '..=b'~').cycle().take((64 << 20) / 3).collect::<Vec<_>>();
    let mut body = Vec::with_capacity(65 << 20);
    for number in 1..=3 {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{number}.bin\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}
