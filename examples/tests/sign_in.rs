//! The example `sign_in`, driven by the test kit.

// The program's own `main` is not called here.
#[path = "../src/bin/sign_in.rs"]
#[allow(dead_code)]
mod sign_in;

use argon2::{Algorithm, Argon2, Params, Version};
use sign_in::Users;
use web::testing::{self, TestClient, TestResponse};

fn client() -> TestClient {
    // As weak as can be: these tests are not about time.
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).unwrap();
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    TestClient::new(sign_in::application(Users::new(argon2, &[("ada", "tea for two")]).unwrap()))
}

async fn try_password(client: &TestClient, name: &str, password: &str, next: &str) -> TestResponse {
    client.post("/sign-in").xsrf_form([("name", name), ("password", password), ("next", next)]).send().await
}

#[test]
fn the_account_is_for_those_who_have_signed_in() {
    testing::run(async {
        let client = client();
        client.get("/").send().await.assert_contains("Nobody has signed in.");
        client.get("/account").send().await.assert_redirect("/sign-in?next=%2Faccount");
        client.get("/sign-in?next=%2Faccount").send().await.assert_contains("name=\"next\" value=\"/account\"");
        try_password(&client, "ada", "tea for two", "/account")
            .await
            .assert_status(303)
            .assert_header("location", "/account");
        client.get("/account").send().await.assert_contains("<b id=\"name\">ada</b>");
        client.get("/").send().await.assert_contains("Hello, ada.");
        client.another().get("/account").send().await.assert_status(302);
    });
}

#[test]
fn a_wrong_name_or_password_is_refused_in_the_same_words() {
    testing::run(async {
        let client = client();
        for (name, password) in [("ada", "tea for three"), ("grace", "tea for two"), ("nobody", "nobody"), ("", "")] {
            let response = try_password(&client, name, password, "").await;
            response.assert_status(403).assert_contains("The name or the password is wrong.");
        }
        client.get("/account").send().await.assert_status(302);
    });
}

#[test]
fn signing_in_changes_the_key_and_signing_out_ends_it() {
    testing::run(async {
        let client = client();
        client.session(|session| session.set("before", &true).unwrap()).await;
        let planted = client.cookie("session").unwrap();
        try_password(&client, "ada", "tea for two", "").await.assert_status(303);
        assert_ne!(client.cookie("session").unwrap(), planted);
        let stolen = format!("session={}", client.cookie("session").unwrap());
        client.another().get("/account").header("Cookie", &stolen).send().await.assert_status(200);
        let form = [("_xsrf", client.get("/account").send().await.xsrf_token().to_owned())];
        client.post("/sign-out").form(form).send().await.assert_header("location", "/");
        client.get("/account").send().await.assert_status(302);
        client.another().get("/account").header("Cookie", &stolen).send().await.assert_status(302);
    });
}

#[test]
fn forms_of_other_sites_are_refused() {
    testing::run(async {
        let client = client();
        let form = [("name", "ada"), ("password", "tea for two")];
        client.post("/sign-in").form(form).send().await.assert_status(403);
        client.post("/sign-out").send().await.assert_status(403);
    });
}

#[test]
fn signing_in_leads_nowhere_else() {
    testing::run(async {
        for next in ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)"] {
            let client = client();
            try_password(&client, "ada", "tea for two", next).await.assert_header("location", "/account");
        }
        let page = client().get("/sign-in").query("next", "\"><script>").send().await;
        page.assert_contains("value=\"&quot;&gt;&lt;script&gt;\"");
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'self'"));
    });
}

#[test]
fn those_who_guess_are_slowed_down() {
    testing::run(async {
        let client = client();
        for _ in 0..10 {
            try_password(&client, "ada", "guess", "").await.assert_status(403);
        }
        let response = try_password(&client, "ada", "tea for two", "").await;
        response.assert_status(429).assert_header("retry-after", "6");
        web::sleep(std::time::Duration::from_secs(6)).await;
        try_password(&client, "ada", "tea for two", "").await.assert_status(303);
    });
}
