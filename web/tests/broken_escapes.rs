//! Percent escapes that are not whole, in paths.

mod util;

use util::serve;
use web::{Application, Exchange};

async fn name(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write(exchange.path::<String>("name")?);
    Ok(())
}

#[test]
fn a_parameter_with_a_broken_escape_is_400() {
    let server = serve(|| Application::new().get("/{name}", name));
    for path in ["/%", "/100%", "/%4", "/%zz", "/a%4gb", "/%%41"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
    assert_eq!(server.get("/100%25").text(), "100%");
    assert_eq!(server.get("/%25zz%4A").text(), "%zzJ");
}

#[test]
fn nul_in_a_path_is_400_with_and_without_a_parameter() {
    let server = serve(|| Application::new().get("/{name}", name).static_files("/files/", ".").unwrap());
    for path in ["/%00", "/a%00", "/files/%00", "/files/Cargo.toml%00.html", "/not/there%00"] {
        assert_eq!(server.get(path).status, 400, "{path}");
    }
}
