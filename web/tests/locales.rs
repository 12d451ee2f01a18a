//! Languages: which one a client gets, and texts, dates and numbers in it.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proptest::prelude::*;
use web::{
    Application, Error, Exchange,
    locale::{DateFormat, Locale, Locales, fill},
    templates::Templates,
    testing::{self, TestClient},
};

/// The directory of catalogues beside this file.
fn translations() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/translations")
}

fn polish() -> Locale {
    Locales::new("en").gettext_directory(translations(), "shop").unwrap().closest(["pl"])
}

fn languages() -> Locales {
    let none = "\"code\",\"code\"\n";
    Locales::new("en").csv("de", none).unwrap().csv("pt_BR", none).unwrap().csv("fr", none).unwrap()
}

async fn code(exchange: &mut Exchange) -> web::Result<()> {
    let locale = exchange.locale();
    exchange.write_text(locale.code().to_owned());
    Ok(())
}

#[test]
fn the_browsers_wish_is_followed_by_its_weights() {
    testing::run(async {
        let client = TestClient::new(Application::new().get("/", code).locales(languages()));
        for (wish, code) in [
            ("de", "de"),
            ("DE-ch", "de"),
            ("pt-br", "pt_BR"),
            // Tornado's rule: the country makes a closer match, but is not guessed.
            ("pt", "en"),
            ("en-GB,fr;q=0.9", "en"),
            ("fr;q=0.5,de;q=0.8,ja", "de"),
            ("de;q=0,fr;q=0.1", "fr"),
            ("de;q=foo,fr;q=0.9", "fr"),
            ("de;q=-1,fr;q=0.9", "fr"),
            ("*", "en"),
            ("ja,zh", "en"),
            ("../../etc/passwd,de;q=0.1", "de"),
            ("", "en"),
        ] {
            client
                .get("/")
                .header("Accept-Language", wish)
                .send()
                .await
                .assert_text(code)
                .assert_header("vary", "Accept-Language");
        }
        client.get("/").send().await.assert_text("en");
    });
}

#[test]
fn the_users_own_choice_goes_first() {
    let locales = languages().user_locale(|exchange| exchange.query_opt("language").ok()?).cookie("language");
    testing::run(async {
        let client = TestClient::new(Application::new().get("/", code).locales(locales));
        let ask = |path: &'static str, cookie: &'static str| {
            client.get(path).header("Cookie", cookie).header("Accept-Language", "pt-BR")
        };
        ask("/?language=de", "language=fr").send().await.assert_text("de").assert_no_header("vary");
        ask("/", "language=fr").send().await.assert_text("fr").assert_header("vary", "Cookie");
        ask("/?language=klingon", "language=fr").send().await.assert_text("fr");
        for nothing in ["language=%00", "other=fr"] {
            let answer = ask("/", nothing).send().await;
            answer.assert_text("pt_BR");
            // With the cookie the same browser would have been answered in another language.
            let vary: Vec<&[u8]> = answer.headers().get_all("vary").collect();
            assert_eq!(vary, [&b"Accept-Language"[..], b"Cookie"], "{nothing}");
        }
    });
    testing::run(async {
        let client = TestClient::new(Application::new().get("/", code).locales(Locales::new("en").cookie("language")));
        client.get("/").header("Cookie", "language=fr").send().await.assert_text("en").assert_no_header("vary");
    });
}

#[test]
fn a_handler_may_choose_and_without_locales_there_is_english() {
    let handler = async |exchange: &mut Exchange| {
        let locale = exchange.set_locale("fr-CA");
        assert_eq!(locale.code(), "fr");
        code(exchange).await
    };
    testing::run(async move {
        let client = TestClient::new(Application::new().get("/", handler).locales(languages()));
        client.get("/").header("Accept-Language", "de").send().await.assert_text("fr").assert_no_header("vary");
        let client = TestClient::new(Application::new().get("/", code));
        client.get("/").header("Accept-Language", "de").send().await.assert_text("en").assert_no_header("vary");
    });
}

#[test]
fn a_vary_header_of_the_handler_stays() {
    let handler = async |exchange: &mut Exchange| {
        exchange.set_header("Vary", "Cookie, accept-language")?;
        code(exchange).await?;
        code(exchange).await
    };
    testing::run(async move {
        let client = TestClient::new(Application::new().get("/", handler).locales(languages()));
        client.get("/").send().await.assert_text("enen").assert_header("vary", "Cookie, accept-language");
    });
}

#[test]
fn csv_is_read_as_tornado_reads_it() {
    let text = "\u{feff}\"school\",\"école\"\n\
                lonely\n\
                \n\
                \"a \"\"quoted\"\", text\",un texte \n\
                \"%(name)s liked this\",\"A %(name)s les gustó esto\",\"plural\"\n\
                \"%(name)s liked this\",\"A %(name)s le gustó esto\",\"singular\"\n\
                other,autre,unknown,more\n";
    let locale = Locales::new("en").csv("fr_FR", text).unwrap().closest(["fr-FR"]);
    assert_eq!((locale.code(), locale.tag().as_str(), locale.language()), ("fr_FR", "fr-FR", "fr"));
    assert_eq!(locale.translate("school"), "école");
    assert_eq!(locale.translate("a \"quoted\", text"), "un texte");
    assert_eq!(locale.translate("other"), "autre");
    assert_eq!(locale.translate("lonely"), "lonely");
    let liked = "%(name)s liked this";
    for (count, translation) in [(0, "les"), (1, "le"), (2, "les")] {
        assert_eq!(locale.translate_plural(liked, liked, count), format!("A %(name)s {translation} gustó esto"));
    }
    assert_eq!(locale.translate(liked), liked);
    assert_eq!(locale.translate_in("building", "school"), "école");
}

#[test]
fn a_malformed_file_is_refused_with_its_line() {
    let refused = |text| Locales::new("en").csv("de", text).unwrap_err().to_string();
    assert_eq!(
        refused("a,b\nc,d,dual\n"),
        "translations of \"de\": line 2: \"dual\" is neither \"singular\" nor \"plural\""
    );
    let error = Locales::new("en").csv("../de", "").unwrap_err().to_string();
    assert_eq!(error, "\"../de\" is no code of a language, such as \"en\"");
    let error = Locales::new("en").csv_directory("/nowhere/at/all").unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}

#[test]
fn gettexts_catalogues_have_plurals_and_contexts() {
    let locale = polish();
    assert_eq!(locale.code(), "pl");
    assert_eq!(locale.translate("Good morning"), "Dzień dobry");
    for (count, translation) in [(1, "plik"), (2, "pliki"), (5, "plików"), (12, "plików"), (22, "pliki"), (0, "plików")]
    {
        assert_eq!(locale.translate_plural("%(n)d file", "%(n)d files", count), format!("%(n)d {translation}"));
    }
    assert_eq!(locale.translate_in("law", "right"), "prawo");
    assert_eq!((locale.translate_in("side", "right"), locale.translate("right")), ("right", "right"));
    assert_eq!(locale.translate_plural_in("law", "club", "clubs", 5), "klubów");
    assert_eq!(locale.translate_plural_in("stick", "club", "clubs", 5), "clubs");
    for message in ["not sure", "not translated", "unknown", ""] {
        assert_eq!(locale.translate(message), message);
    }
    assert_eq!(locale.translate_plural("one", "many", 1), "one");
    assert_eq!(locale.translate_plural("one", "many", 0), "many");
}

/// A file as `msgfmt` writes it, from texts and translations.
fn mo(texts: &[(&str, &str)], number: fn(u32) -> [u8; 4]) -> Vec<u8> {
    let tables = 28 + 16 * texts.len();
    let mut file = [0x9504_12de, 0, texts.len() as u32, 28, 28 + 8 * texts.len() as u32, 0, 0].map(number).concat();
    let mut data = Vec::new();
    for column in [0, 1] {
        for text in texts {
            let text = if column == 0 { text.0 } else { text.1 };
            file.extend(number(text.len() as u32));
            file.extend(number((tables + data.len()) as u32));
            data.extend(text.as_bytes());
            data.push(0);
        }
    }
    file.extend(data);
    file
}

#[test]
fn both_orders_of_bytes_are_read() {
    for number in [u32::to_le_bytes, u32::to_be_bytes] {
        let file =
            mo(&[("", "Content-Type: text/plain; charset=utf-8\n"), ("one\0many", "ein\0viele"), ("a", "b")], number);
        let locale = Locales::new("en").mo("de", &file).unwrap().closest(["de"]);
        assert_eq!((locale.translate("a"), locale.translate_plural("one", "many", 7)), ("b", "viele"));
    }
}

#[test]
fn a_catalogue_that_cannot_be_used_is_refused() {
    let refused = |file: &[u8]| Locales::new("en").mo("de", file).unwrap_err().to_string();
    let of = |header: &'static str| mo(&[("", header)], u32::to_le_bytes);
    assert_eq!(refused(b""), "catalogue of \"de\": it is no .mo file");
    // In the second word, little-endian: the major revision.
    let mut file = std::fs::read(translations().join("pl/LC_MESSAGES/shop.mo")).unwrap();
    file[6] = 1;
    assert!(Locales::new("en").mo("pl", &file).is_ok(), "its additions can be overlooked");
    file[6] = 2;
    assert_eq!(refused(&file), "catalogue of \"de\": it is of an unknown revision");
    assert_eq!(refused(b"msgid \"\"\nmsgstr \"\"\n"), "catalogue of \"de\": it is no .mo file");
    assert_eq!(
        refused(&of("Content-Type: text/plain; charset=iso-8859-2\n")),
        "catalogue of \"de\": it is not in UTF-8"
    );
    assert_eq!(
        refused(&of("Plural-Forms: nplurals=2; plural=x;\n")),
        "catalogue of \"de\": its Plural-Forms are malformed"
    );
    let whole = of("Language: de\n");
    assert_eq!(refused(&whole[..whole.len() - 3]), "catalogue of \"de\": it is cut off");
    let mut newer = whole.clone();
    newer[6] = 2;
    assert_eq!(refused(&newer), "catalogue of \"de\": it is of an unknown revision");
    let mut many = whole;
    many[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(refused(&many), "catalogue of \"de\": it is cut off");
}

proptest! {
    /// Catalogues are the program's own, and still no byte of one may bring it down.
    #[test]
    fn no_catalogue_is_a_panic(at in 0usize..200, byte: u8, end in 0usize..400) {
        let mut file = std::fs::read(translations().join("pl/LC_MESSAGES/shop.mo")).unwrap();
        file[at] = byte;
        file.truncate(file.len().saturating_sub(end / 8));
        let _ = Locales::new("en").mo("pl", &file);
    }

    #[test]
    fn no_header_is_a_panic(wish in "[a-zA-Z0-9;=,.* _é-]{0,60}") {
        let locale = languages().closest([wish.as_str()]);
        prop_assert!(languages().codes().any(|code| code == locale.code()));
    }
}

#[test]
fn later_catalogues_go_before_earlier_ones() {
    let locales = Locales::new("en").csv("de", "a,1\nb,1\n").unwrap().csv("de", "b,2\n").unwrap();
    let locale = locales.closest(["de"]);
    assert_eq!((locale.translate("a"), locale.translate("b")), ("1", "2"));
    assert_eq!(locales.codes().collect::<Vec<_>>(), ["de", "en"]);
    // The default may have some too: the texts in the program are then names.
    assert_eq!(Locales::new("en").csv("en", "title,Welcome\n").unwrap().closest([]).translate("title"), "Welcome");
}

#[test]
fn numbers_and_lists_are_tornados() {
    let (english, german) = (languages().closest(["en"]), languages().closest(["de"]));
    for (number, text) in [
        (0, "0"),
        (999, "999"),
        (1000, "1,000"),
        (-1000, "-1,000"),
        (1_000_000, "1,000,000"),
        (i64::MIN, "-9,223,372,036,854,775,808"),
    ] {
        assert_eq!(english.friendly_number(number), text);
    }
    assert_eq!(german.friendly_number(-1000), "-1000");
    assert_eq!(english.list::<&str>(&[]), "");
    assert_eq!(english.list(&["A"]), "A");
    assert_eq!(english.list(&["A", "B"]), "A and B");
    assert_eq!(english.list(&[1, 2, 3]), "1, 2 and 3");
    assert!(!english.is_rtl() && Locales::new("ar_EG").closest([]).is_rtl());
}

/// Recorded from Tornado: the age in seconds; then the date plain, not relative, short, full in `+05:30`, and short and not
/// relative in `-10:00`.
const DATES: &[(&str, i64, [&str; 5])] = &[
    ("en", 0, ["0 seconds ago", "6:35 pm", "0 seconds ago", "April 29, 2013 at 12:05 am", "8:35 am"]),
    ("en", 1, ["1 second ago", "6:34 pm", "1 second ago", "April 29, 2013 at 12:04 am", "8:34 am"]),
    ("en", 49, ["49 seconds ago", "6:34 pm", "49 seconds ago", "April 29, 2013 at 12:04 am", "8:34 am"]),
    ("en", 50, ["1 minute ago", "6:34 pm", "1 minute ago", "April 29, 2013 at 12:04 am", "8:34 am"]),
    ("en", 90, ["2 minutes ago", "6:33 pm", "2 minutes ago", "April 29, 2013 at 12:03 am", "8:33 am"]),
    ("en", 150, ["2 minutes ago", "6:32 pm", "2 minutes ago", "April 29, 2013 at 12:02 am", "8:32 am"]),
    ("en", 2999, ["50 minutes ago", "5:45 pm", "50 minutes ago", "April 28, 2013 at 11:15 pm", "7:45 am"]),
    ("en", 3000, ["1 hour ago", "5:45 pm", "1 hour ago", "April 28, 2013 at 11:15 pm", "7:45 am"]),
    ("en", 9000, ["2 hours ago", "4:05 pm", "2 hours ago", "April 28, 2013 at 9:35 pm", "6:05 am"]),
    ("en", 86399, ["24 hours ago", "6:35 pm", "24 hours ago", "April 28, 2013 at 12:05 am", "8:35 am"]),
    (
        "en",
        86400,
        ["yesterday at 6:35 pm", "Saturday at 6:35 pm", "yesterday", "April 28, 2013 at 12:05 am", "Saturday"],
    ),
    ("en", 172800, ["Friday at 6:35 pm", "Friday at 6:35 pm", "Friday", "April 27, 2013 at 12:05 am", "Friday"]),
    (
        "en",
        432000,
        ["April 23 at 6:35 pm", "April 23 at 6:35 pm", "April 23", "April 24, 2013 at 12:05 am", "April 23"],
    ),
    ("en", 28771200, ["May 30 at 6:35 pm", "May 30 at 6:35 pm", "May 30", "May 31, 2012 at 12:05 am", "May 30"]),
    (
        "en",
        28857600,
        [
            "May 29, 2012 at 6:35 pm",
            "May 29, 2012 at 6:35 pm",
            "May 29, 2012",
            "May 30, 2012 at 12:05 am",
            "May 29, 2012",
        ],
    ),
    (
        "en",
        -59,
        ["0 seconds ago", "April 28, 2013 at 6:35 pm", "0 seconds ago", "April 29, 2013 at 12:05 am", "April 28, 2013"],
    ),
    (
        "en",
        -60,
        [
            "April 28, 2013 at 6:36 pm",
            "April 28, 2013 at 6:36 pm",
            "April 28, 2013",
            "April 29, 2013 at 12:06 am",
            "April 28, 2013",
        ],
    ),
    ("de", 86400, ["yesterday at 18:35", "Saturday at 18:35", "yesterday", "April 28, 2013 at 0:05", "Saturday"]),
    ("zh_CN", 86399, ["24 hours ago", "下午6:35", "24 hours ago", "April 28, 2013 at 上午12:05", "上午8:35"]),
];

/// 2013-04-28, 18:35.
const NOW: Duration = Duration::from_secs(1_367_174_100);

#[test]
fn dates_are_tornados() {
    let now = UNIX_EPOCH + NOW;
    let format = DateFormat::new().now(now);
    for (code, age, expected) in DATES {
        let locale = Locales::new(code).closest([]);
        let age_of = Duration::from_secs(age.unsigned_abs());
        let date = if *age < 0 { now + age_of } else { now - age_of };
        let written = [
            format,
            format.relative(false),
            format.short(true),
            format.full(true).utc_offset(330),
            format.relative(false).short(true).utc_offset(-600),
        ]
        .map(|format| locale.format_date(date, format));
        assert_eq!(written, *expected, "{code} {age}");
    }
    assert_eq!(languages().closest([]).format_day(now, format, true), "Sunday, April 28");
    assert_eq!(languages().closest([]).format_day(now, format.utc_offset(600), false), "April 29");
}

#[test]
fn dates_are_translated_and_none_is_a_panic() {
    let locale = polish();
    let format = DateFormat::new().full(true).short(true).now(UNIX_EPOCH);
    assert_eq!(locale.format_date(UNIX_EPOCH, format), "styczeń 1, 1970");
    let (far, early) = (Duration::from_secs(1 << 60), Duration::new(62_135_596_800, 1));
    let dates = [UNIX_EPOCH.checked_add(far), UNIX_EPOCH.checked_sub(far), UNIX_EPOCH.checked_sub(early)];
    for date in dates.into_iter().flatten().chain([SystemTime::now()]) {
        for full in [false, true] {
            assert!(!locale.format_date(date, DateFormat::new().full(full).utc_offset(i32::MIN)).is_empty());
        }
    }
}

#[test]
fn templates_speak_the_language_of_the_request() {
    let text = "<html lang=\"{{ locale.tag }}\">{{ _(\"Good morning\") }} {{ _(\"Hello, %(name)s\", name=\"<b>\") }} \
                {{ ngettext(\"%(n)d file\", \"%(n)d files\", 5) }} {{ pgettext(\"law\", \"right\") }} \
                {{ npgettext(\"law\", \"club\", \"clubs\", 2) }} {{ locale.friendly_number(1234) }} {{ locale.list([\"A\", \"B\"]) }} \
                {{ locale.format_date(0, full=true, short=true) }} {{ locale.translate(\"Good morning\") }} {{ locale }} {{ locale.is_rtl }}";
    let handler = async |exchange: &mut Exchange| exchange.render("a.html", ());
    let application = Application::new()
        .get("/", handler)
        .templates(Templates::embedded([("a.html", text)]).unwrap())
        .locales(Locales::new("en").gettext_directory(translations(), "shop").unwrap());
    testing::run(async move {
        let client = TestClient::new(application);
        let polish = "<html lang=\"pl\">Dzień dobry Hello, &lt;b&gt; 5 plików prawo kluby 1234 A and B styczeń 1, 1970 Dzień dobry pl False";
        let answer = client.get("/").header("Accept-Language", "pl").send().await;
        answer.assert_text(polish).assert_header("vary", "Accept-Language");
        let english = "<html lang=\"en\">Good morning Hello, &lt;b&gt; 5 files right clubs 1,234 A and B January 1, 1970 Good morning en False";
        client.get("/").send().await.assert_text(english).assert_header("vary", "Accept-Language");
    });
}

#[test]
fn an_error_page_varies_too() {
    fn page(exchange: &mut Exchange, error: &Error) {
        let text = exchange.locale().translate("Not Found").to_owned();
        exchange.write_text(format!("{} {text}", error.status().as_u16()));
    }
    let locales = Locales::new("en").csv("de", "Not Found,Nicht gefunden\n").unwrap();
    testing::run(async move {
        let client = TestClient::new(Application::new().error_page(page).locales(locales));
        let answer = client.get("/").header("Accept-Language", "de").send().await;
        answer.assert_status(404).assert_text("404 Nicht gefunden").assert_header("vary", "Accept-Language");
    });
}

#[test]
fn gaps_are_filled_behind_the_translation() {
    let locale = polish();
    let text = locale.translate_plural("%(n)d file", "%(n)d files", 22);
    assert_eq!(fill(text, &[("n", &locale.friendly_number(22))]), "22 pliki");
}
