//! Forms as multipart/form-data (RFC 7578): files, and the fields beside them. Feature `multipart`.
//!
//! | for | use |
//! |---|---|
//! | uploads of any size | [`Request::multipart`](crate::Request::multipart), which hands out one part after the other as they come |
//! | small forms, urlencoded ones as well | [`Request::form_data`](crate::Request::form_data), which collects all of it |
//! | a body in memory | [`FormData::parse`] |
//! | bytes from anywhere, pushed in | [`Parser`], which reads nothing by itself |
//!
//! All of them are strict, because a filter in front that reads a form in another way sees other fields: see [`Parser`].
//! Each keeps to [`FormLimits`].
//!
//! # Examples
//!
//! ```
//! use httpserver::{IOLoop, Request, Result};
//!
//! /// Counts the bytes of each file, and holds none of them.
//! async fn sizes(request: &mut Request) -> Result<Vec<(String, usize)>> {
//!     let mut form = request.multipart()?;
//!     let mut sizes = Vec::new();
//!     while let Some(mut part) = form.next_part().await? {
//!         let Some(name) = part.file_name().map(str::to_owned) else { continue };
//!         let mut size = 0;
//!         while let Some(chunk) = part.chunk().await? {
//!             size += chunk.len();
//!         }
//!         sizes.push((name, size));
//!     }
//!     Ok(sizes)
//! }
//!
//! let mut request = Request::builder()
//!     .header("Content-Type", "multipart/form-data; boundary=xyz")
//!     .body("--xyz\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nHello\r\n--xyz--\r\n")
//!     .build()?;
//! assert_eq!(IOLoop::current().run_sync(sizes(&mut request))?, [("a.txt".to_owned(), 5)]);
//! # Ok::<_, httpserver::Error>(())
//! ```

mod form_data;
mod limits;
mod params;
mod parser;
mod part_head;
mod streamed;

pub use form_data::{FormData, FormFile};
pub use limits::FormLimits;
pub use parser::{Event, Parser};
pub use part_head::PartHead;
pub use streamed::{Multipart, Part};
