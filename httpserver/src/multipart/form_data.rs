use bytes::Bytes;

use super::{Event, FormLimits, Multipart, Parser, PartHead};
use crate::{Error, Request, Result, built_headers::without_params, httputil::Arguments};

/// A whole form in memory: its fields, and the files that came with it. It may have been multipart or urlencoded.
///
/// A part with a name of a file that is not empty is a file, every other one a field, as in Tornado.
///
/// # Examples
///
/// ```
/// use httpserver::{IOLoop, Request};
///
/// let mut request = Request::builder()
///     .header("Content-Type", "multipart/form-data; boundary=xyz")
///     .body(concat!(
///         "--xyz\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nHolidays\r\n",
///         "--xyz\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"sea.jpg\"\r\n",
///         "Content-Type: image/jpeg\r\n\r\n(...)\r\n--xyz--\r\n",
///     ))
///     .build()?;
/// let form = IOLoop::current().run_sync(request.form_data())?;
/// assert_eq!(form.argument("title")?, Some("Holidays"));
/// let photo = form.file("photo").expect("sent above");
/// assert_eq!((photo.file_name(), photo.content_type()), ("sea.jpg", Some("image/jpeg")));
/// assert_eq!(photo.body(), "(...)");
/// # Ok::<_, httpserver::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FormData {
    arguments: Vec<(String, Bytes)>,
    files: Vec<FormFile>,
}

/// A file of a [`FormData`].
#[derive(Clone, Debug)]
pub struct FormFile {
    head: PartHead,
    body: Bytes,
}

impl FormFile {
    /// The name of the form's field.
    #[inline]
    pub fn name(&self) -> &str {
        self.head.name()
    }

    /// The name of the file, never empty; see [`PartHead::file_name`].
    #[inline]
    pub fn file_name(&self) -> &str {
        self.head.file_name().unwrap_or_default()
    }

    /// The value of the part's `Content-Type`; `None` if there is none, where Tornado has `application/unknown`.
    #[inline]
    pub fn content_type(&self) -> Option<&str> {
        self.head.content_type()
    }

    /// The content.
    #[inline]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The head of the part.
    #[inline]
    pub fn head(&self) -> &PartHead {
        &self.head
    }
}

impl Request {
    /// Reads the form in the body, multipart or urlencoded, into memory, with the default [`FormLimits`]: at most 1 MiB. A
    /// body that is something else is an empty form, and is left alone.
    ///
    /// A multipart body is gone from the request afterwards. For large files use [`multipart`](Request::multipart).
    ///
    /// # Errors
    ///
    /// As [`FormData::parse`] and [`Body::chunk`](crate::Body::chunk).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: what was collected is lost with the future.
    #[inline]
    pub async fn form_data(&mut self) -> Result<FormData> {
        self.form_data_limited(FormLimits::default()).await
    }

    /// [`form_data`](Request::form_data) with other limits.
    ///
    /// # Errors
    ///
    /// As [`form_data`](Request::form_data).
    ///
    /// # Cancel safety
    ///
    /// As [`form_data`](Request::form_data).
    #[inline]
    pub async fn form_data_limited(&mut self, limits: FormLimits) -> Result<FormData> {
        if self.is_form()? {
            let body = self.bytes_limited(limits.max_collected).await?;
            let form = FormData::urlencoded(&body, &limits);
            self.set_body(body);
            return form;
        }
        match is_multipart(self.headers().get_bytes("content-type").unwrap_or_default()) {
            true => self.multipart_limited(limits.clone())?.collect(limits.max_collected).await,
            false => Ok(FormData::default()),
        }
    }
}

impl FormData {
    /// Reads the form in `body`, which `content_type` says the kind of; an empty form if it is of another kind.
    ///
    /// This is Tornado's `parse_body_arguments`.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`], [`Error::TooManyArguments`] and [`Error::InvalidArgument`] (400) when it is malformed, has too
    /// many parts or arguments, or names that are not UTF-8; [`Error::BodyTooLarge`] (413) when it is too long.
    #[inline]
    pub fn parse(content_type: &[u8], body: Bytes, limits: FormLimits) -> Result<FormData> {
        if without_params(content_type).eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            return FormData::urlencoded(&body, &limits);
        }
        if !is_multipart(content_type) {
            return Ok(FormData::default());
        }
        let mut collector = Collector::new(limits.max_collected);
        let mut parser = Parser::new(&Parser::boundary_of(content_type)?, limits)?;
        parser.push(body)?;
        while let Some(event) = parser.next()? {
            collector.take(event)?;
        }
        parser.finish()?;
        Ok(collector.form)
    }

    /// The value of the field `name`; the last one if there are several, `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] (400) when it is not UTF-8.
    #[inline]
    pub fn argument(&self, name: &str) -> Result<Option<&str>> {
        self.argument_bytes(name).last().map(|value| text_of(name, value)).transpose()
    }

    /// All values of the field `name`, in the order in which they were sent.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] (400) when one is not UTF-8.
    #[inline]
    pub fn all_arguments(&self, name: &str) -> Result<Vec<&str>> {
        self.argument_bytes(name).map(|value| text_of(name, value)).collect()
    }

    /// All values of the field `name` as bytes.
    #[inline]
    pub fn argument_bytes(&self, name: &str) -> impl Iterator<Item = &Bytes> {
        self.arguments.iter().filter(move |(known, _)| known == name).map(|(_, value)| value)
    }

    /// All fields that are no files, as name and value, in the order in which they were sent.
    #[inline]
    pub fn arguments(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.arguments.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The file in the field `name`; the first one if there are several.
    #[inline]
    pub fn file(&self, name: &str) -> Option<&FormFile> {
        self.files.iter().find(|file| file.name() == name)
    }

    /// All files, in the order in which they were sent.
    #[inline]
    pub fn files(&self) -> impl Iterator<Item = &FormFile> {
        self.files.iter()
    }

    #[inline]
    fn urlencoded(encoded: &[u8], limits: &FormLimits) -> Result<FormData> {
        if encoded.len() > limits.max_collected {
            return Err(Error::BodyTooLarge { limit: limits.max_collected as u64 });
        }
        let mut form = FormData::default();
        for (name, value) in Arguments::parse_limited(encoded, limits.max_arguments)?.decoded() {
            let name = text_of("name", &name)?.to_owned();
            form.arguments.push((name, Bytes::from(value.into_owned())));
        }
        Ok(form)
    }

    #[inline]
    fn add(&mut self, head: PartHead, body: Bytes) {
        match head.file_name() {
            Some(file_name) if !file_name.is_empty() => self.files.push(FormFile { head, body }),
            _ => self.arguments.push((head.name().to_owned(), body)),
        }
    }
}

impl Multipart {
    /// Reads all parts into memory.
    #[inline]
    async fn collect(&mut self, max: usize) -> Result<FormData> {
        let mut collector = Collector::new(max);
        while let Some(event) = self.next_event().await? {
            collector.take(event)?;
        }
        Ok(collector.form)
    }
}

/// Puts a form together.
struct Collector {
    form: FormData,
    part: Option<(PartHead, Vec<u8>)>,
    /// How many bytes may still be held, of `max`.
    left: usize,
    max: usize,
}

impl Collector {
    #[inline]
    fn new(max: usize) -> Collector {
        Collector { form: FormData::default(), part: None, left: max, max }
    }

    #[inline]
    fn take(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Part(head) => {
                // The lines have their copy, and the names.
                self.hold(2 * head.headers().iter().map(|(name, value)| name.len() + value.len()).sum::<usize>())?;
                self.part = Some((head, Vec::new()));
            }
            Event::Data(data) => {
                self.hold(data.len())?;
                if let Some((_, content)) = &mut self.part {
                    // A copy: a slice would keep all that arrived with it.
                    content.extend_from_slice(&data);
                }
            }
            Event::PartEnd => {
                if let Some((head, content)) = self.part.take() {
                    self.form.add(head, Bytes::from(content));
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn hold(&mut self, count: usize) -> Result<()> {
        self.left = self.left.checked_sub(count).ok_or(Error::BodyTooLarge { limit: self.max as u64 })?;
        Ok(())
    }
}

#[inline]
fn is_multipart(content_type: &[u8]) -> bool {
    without_params(content_type).eq_ignore_ascii_case(b"multipart/form-data")
}

#[inline]
fn text_of<'v>(name: &str, value: &'v [u8]) -> Result<&'v str> {
    std::str::from_utf8(value).map_err(|_| Error::InvalidArgument { name: name.into() })
}
