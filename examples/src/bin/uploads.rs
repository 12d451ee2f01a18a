//! Layer: web.
//!
//! Uploads with a progress bar in the page. The files of a form are written to the disk piece by piece, in bounded memory,
//! and disappear again when the upload breaks off.
//!
//! ```sh
//! cargo run --release --bin uploads -- --folder uploaded      # then open http://127.0.0.1:8888
//! curl -F file=@README.md http://127.0.0.1:8888/files
//! ```

use std::{env, error::Error, fs, io, net::SocketAddr, path::PathBuf, process::ExitCode, rc::Rc, time::Duration};

use examples::page::{self, Asset};
use serde::Serialize;
use web::{
    Application, Exchange, FormLimits, HttpError, IOLoop, Limits, Method, NamedFile, RequestHandler, StatusCode,
    TempFile, run_in_executor, safe_file_name,
};

const ASSETS: [Asset; 5] = [
    Asset { path: "/", content: include_str!("../../uploads/index.html") },
    Asset { path: "/style.css", content: include_str!("../../uploads/style.css") },
    Asset { path: "/uploads.js", content: include_str!("../../uploads/uploads.js") },
    page::BASE_STYLE,
    page::ICON,
];

/// The most that a file may have, and a form with all its files.
const MAX_FILE: u64 = 100 << 20;
const MAX_FORM: u64 = 1 << 30;

fn main() -> ExitCode {
    let (folder, rest) = examples::cli::take_option(env::args_os().skip(1), "--folder");
    let about = "Uploads with a progress bar.\n\n  --folder D   where files are kept [default: uploaded]";
    let address = examples::cli::listen_address_from(rest, about);
    examples::cli::exit_code(serve(address, folder.unwrap_or_else(|| "uploaded".to_owned()).into()))
}

fn serve(address: SocketAddr, folder: PathBuf) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(&folder)?;
    let server = application(folder).listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    for address in server.local_addrs() {
        println!("listening on http://{address}");
    }
    IOLoop::current().start();
    Ok(())
}

pub(crate) fn application(folder: PathBuf) -> Application {
    let folder = Rc::new(folder);
    let application = Application::new()
        .limits(Limits::default().max_body(MAX_FORM))
        // As text: the page's script shows it, and so does curl.
        .error_page(|exchange, error| exchange.write_text(format!("{}\n", error.message())))
        .handler("/files", Files { folder: folder.clone() })
        .handler("/files/{name}", OneFile { folder });
    page::add_to(application, &ASSETS)
}

#[derive(Serialize)]
struct Kept {
    name: String,
    bytes: u64,
}

/// `/files`: what is there, and more of it.
struct Files {
    folder: Rc<PathBuf>,
}

impl RequestHandler for Files {
    const METHODS: &'static [Method] = &[Method::GET, Method::POST];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let folder = self.folder.to_path_buf();
        // Reading a directory may wait for the disk. `?` twice: for a panic over there, and for what the system says.
        exchange.write_json(&run_in_executor(move || kept(&folder)).await??)
    }

    async fn post(&self, exchange: &mut Exchange) -> web::Result<()> {
        let limits = FormLimits::default().max_parts(20).max_file(MAX_FILE);
        let mut form = exchange.multipart(limits)?;
        let mut added = Vec::new();
        while let Some(mut part) = form.next_part().await? {
            // What is called a name by the client is only text: no directories, no leading dots.
            let Some(name) = part.file_name().and_then(safe_file_name) else { continue };
            let file = TempFile::receive(&mut part, &*self.folder).await?;
            let bytes = file.len();
            file.persist_new(self.folder.join(&name)).await.map_err(|error| taken(error, &name))?;
            added.push(Kept { name, bytes });
        }
        exchange.set_status(StatusCode::CREATED);
        exchange.write_json(&added)
    }
}

/// `/files/{name}`: one of them, as a download.
struct OneFile {
    folder: Rc<PathBuf>,
}

impl RequestHandler for OneFile {
    const METHODS: &'static [Method] = &[Method::GET];

    async fn get(&self, exchange: &mut Exchange) -> web::Result<()> {
        let name: String = exchange.path("name")?;
        // Others than those that were given when it was kept lead nowhere.
        if safe_file_name(&name).as_deref() != Some(name.as_str()) {
            return Err(HttpError::new(StatusCode::NOT_FOUND).into());
        }
        exchange.send_file(NamedFile::open(self.folder.join(&name))?.attachment(name))
    }
}

fn kept(folder: &PathBuf) -> io::Result<Vec<Kept>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // With a dot: uploads that are going on.
        if !name.starts_with('.') && entry.file_type()?.is_file() {
            files.push(Kept { name, bytes: entry.metadata()?.len() });
        }
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn taken(error: web::Error, name: &str) -> web::Error {
    let is_taken = |cause: &io::Error| cause.kind() == io::ErrorKind::AlreadyExists;
    match &error {
        web::Error::Other(cause) if cause.downcast_ref().is_some_and(is_taken) => {
            HttpError::new(StatusCode::CONFLICT).message(format!("There is a file called {name} already")).into()
        }
        _ => error,
    }
}
