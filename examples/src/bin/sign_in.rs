//! Layer: web.
//!
//! Signing in with a name and a password: sessions, tokens in forms, a guard, a limit for those who guess, headers for
//! careful browsers. Passwords are hashed by Argon2, on the threads of the executor.
//!
//! ```sh
//! cargo run --release --bin sign_in
//! # Open http://127.0.0.1:8888/account and sign in as ada, with the password "tea for two".
//! ```

use std::{collections::HashMap, error::Error, net::SocketAddr, process::ExitCode, time::Duration};

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use examples::page::{self, BASE_STYLE, ICON};
use web::{
    Application, Exchange, IOLoop, Route, StatusCode, run_in_executor,
    security::{LoginRequired, MemoryStore, RateLimit, SecurityHeaders, Sessions, Xsrf, safe_next},
    with_state, xhtml_escape,
};

fn main() -> ExitCode {
    let address = examples::cli::listen_address("Signing in.");
    examples::cli::exit_code(serve(address))
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let users = Users::new(Argon2::default(), &[("ada", "tea for two")])?;
    let server = application(users).listen(address)?;
    server.drain_on_signal(Duration::from_secs(10))?;
    println!("listening on http://{}", server.local_addr());
    IOLoop::current().start();
    Ok(())
}

pub(crate) fn application(users: Users) -> Application {
    let guesses = RateLimit::per_address(10, Duration::from_secs(60));
    let pages = Application::new()
        .state(users)
        .current_user(find_user)
        .wrap(SecurityHeaders::new().content_security_policy("default-src 'self'; form-action 'self'"))
        .wrap(Sessions::in_store(MemoryStore::new()))
        .wrap(Xsrf::new())
        .get("/", index)
        .get("/sign-in", async |exchange: &mut Exchange| show_form(exchange, &next_of(exchange)?, ""))
        .add(Route::post("/sign-in", with_state(sign_in)).wrap(guesses))
        .post("/sign-out", sign_out)
        .add(Route::get("/account", account).wrap(LoginRequired::to("/sign-in")));
    page::add_to(pages, &[BASE_STYLE, ICON])
}

/// Names with hashes of passwords, as a table of a database would have them.
pub(crate) struct Users {
    argon2: Argon2<'static>,
    hashes: HashMap<String, String>,
    /// For names that nobody has: a check of those has to take as long as any other.
    nobody: String,
}

impl Users {
    pub(crate) fn new(argon2: Argon2<'static>, users: &[(&str, &str)]) -> Result<Users, Box<dyn Error>> {
        let hash = |password: &str| argon2.hash_password(password.as_bytes()).map(|hash| hash.to_string());
        let hashes = users.iter().map(|(name, password)| Ok(((*name).to_owned(), hash(password)?)));
        let hashes = hashes.collect::<Result<_, argon2::password_hash::Error>>()?;
        Ok(Users { hashes, nobody: hash("nobody")?, argon2 })
    }

    async fn check(&self, name: &str, password: String) -> web::Result<bool> {
        let (argon2, hash) = (self.argon2.clone(), self.hashes.get(name).unwrap_or(&self.nobody).clone());
        let is_right = move || {
            let hash = PasswordHash::new(&hash);
            hash.is_ok_and(|hash| argon2.verify_password(password.as_bytes(), &hash).is_ok())
        };
        // It takes some 20 ms on purpose, in which the loop serves others.
        Ok(run_in_executor(is_right).await? && self.hashes.contains_key(name))
    }
}

struct User {
    name: String,
}

async fn find_user(exchange: &mut Exchange) -> web::Result<Option<User>> {
    Ok(exchange.session().await?.get("user").map(|name| User { name }))
}

async fn index(exchange: &mut Exchange) -> web::Result<()> {
    let user = exchange.current_user::<User>().await?;
    let greeting =
        user.map_or("Nobody has signed in.".to_owned(), |user| format!("Hello, {}.", xhtml_escape(&user.name)));
    exchange.write(layout("Signing in", &format!("<p>{greeting}</p><p><a href=\"/account\">Your account</a></p>")));
    Ok(())
}

async fn account(exchange: &mut Exchange) -> web::Result<()> {
    let name = exchange.found_user::<User>().map(|user| xhtml_escape(&user.name).into_owned()).unwrap_or_default();
    let token = exchange.xsrf_form_html()?;
    let form = format!("<form method=\"post\" action=\"/sign-out\">{token}<button>Sign out</button></form>");
    exchange.write(layout("Your account", &format!("<p>You are <b id=\"name\">{name}</b>.</p>{form}")));
    Ok(())
}

async fn sign_in(exchange: &mut Exchange, users: &Users) -> web::Result<()> {
    let (name, password): (String, String) = (exchange.form("name").await?, exchange.form("password").await?);
    let next: String = exchange.form_or("next", String::new()).await?;
    if !users.check(&name, password).await? {
        exchange.set_status(StatusCode::FORBIDDEN);
        return show_form(exchange, &next, "<p role=\"alert\">The name or the password is wrong.</p>");
    }
    let session = exchange.session().await?;
    // Whatever session there was, its key may be known to somebody else.
    session.rotate()?;
    session.set("user", &name)?;
    exchange.see_other(safe_next(&next).unwrap_or("/account"))
}

async fn sign_out(exchange: &mut Exchange) -> web::Result<()> {
    exchange.session().await?.destroy()?;
    exchange.see_other("/")
}

fn next_of(exchange: &Exchange) -> web::Result<String> {
    exchange.query_or("next", String::new())
}

fn show_form(exchange: &mut Exchange, next: &str, message: &str) -> web::Result<()> {
    let (token, next) = (exchange.xsrf_form_html()?, xhtml_escape(next));
    exchange.write(layout(
        "Sign in",
        &format!(
            "{message}<form method=\"post\" action=\"/sign-in\">{token}<input type=\"hidden\" name=\"next\" value=\"{next}\">\
             <p><label>Name <input name=\"name\" autocomplete=\"username\" required autofocus></label></p>\
             <p><label>Password <input name=\"password\" type=\"password\" autocomplete=\"current-password\" required></label></p>\
             <button>Sign in</button></form>"
        ),
    ));
    Ok(())
}

fn layout(title: &str, content: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"/icon.svg\">\
         <link rel=\"stylesheet\" href=\"/base.css\"><main><h1>{title}</h1>{content}</main></html>"
    )
}
