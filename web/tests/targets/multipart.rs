//! A form with files, collected and part by part.

use std::rc::Rc;

use web::{Application, Exchange, FormLimits, Method, Request, httpserver::Body, safe_file_name};

use super::in_process::{Answer, send};

const TYPE: &str = "multipart/form-data; boundary=b";

/// A byte that says how large the pieces are, and then a form whose boundary is `b`.
pub fn run(input: &[u8]) {
    let Some((&step, form)) = input.split_first() else { return };
    let limits = || FormLimits::default().max_parts(5).max_field(100).max_file(200).max_collected(1000);
    let whole = async move |exchange: &mut Exchange| {
        let form = exchange.form_data(limits()).await?;
        for (name, value) in form.arguments() {
            exchange.write_text(format!("{name:?}={}\n", value.escape_ascii()));
        }
        for file in form.files() {
            exchange.write_text(format!("{:?}:{}\n", file.file_name(), file.body().escape_ascii()));
        }
        Ok(())
    };
    let parts = async move |exchange: &mut Exchange| {
        let mut form = exchange.multipart(limits())?;
        let (mut fields, mut files) = (String::new(), String::new());
        while let Some(mut part) = form.next_part().await? {
            let content = part.bytes(1000).await?;
            match part.file_name().filter(|name| !name.is_empty()) {
                Some(name) => files += &format!("{name:?}:{}\n", content.escape_ascii()),
                None => fields += &format!("{:?}={}\n", part.name(), content.escape_ascii()),
            }
            if let Some(name) = part.file_name().and_then(safe_file_name) {
                assert!(!name.contains(['/', '\\', '\0']) && !name.starts_with('.'), "{name:?}");
            }
        }
        exchange.write_text(fields + &files);
        Ok(())
    };
    let application = Application::new().post("/whole", whole).post("/parts", parts);
    let step = 1 + usize::from(step);
    let all = [ask(&application, "/whole", form, usize::MAX), ask(&application, "/parts", form, step)];
    for answer in &all {
        assert!(matches!(answer.status, 200 | 400 | 413), "{answer:?}");
    }
    if let [whole, parts] = &all
        && whole.status == 200
        && parts.status == 200
    {
        assert_eq!(whole.text(), parts.text(), "{}", form.escape_ascii());
    }
    // Only what is held in memory has a limit of its own.
    assert!(all[0].status != 200 || all[1].status == 200, "{}", form.escape_ascii());
}

fn ask(application: &Application, target: &str, form: &[u8], step: usize) -> Answer {
    let form: Rc<[u8]> = form.into();
    let body = Body::writer(async move |mut out| {
        for piece in form.chunks(step.min(form.len().max(1))) {
            out.write(piece).await?;
            out.flush().await?;
        }
        Ok(())
    });
    let request = Request::builder().method(Method::POST).target(target).header("Content-Type", TYPE);
    send(application, request.body(body))
}
