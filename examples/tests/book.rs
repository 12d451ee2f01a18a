//! The book is whole: every page is in the table of contents, is compiled, and links to pages that exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_page_is_in_the_table_of_contents() {
    let summary = read("docs/src/SUMMARY.md");
    for page in pages() {
        assert!(summary.contains(&format!("]({page})")), "{page} is missing in SUMMARY.md");
    }
}

#[test]
fn the_code_of_every_page_is_compiled() {
    let library = read("examples/src/lib.rs");
    for page in pages() {
        assert!(library.contains(&format!("\"../../docs/src/{page}\"")), "{page} is missing in examples/src/lib.rs");
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let pages = pages();
    for page in pages.iter().map(String::as_str).chain(["SUMMARY.md"]) {
        for link in read(&format!("docs/src/{page}")).split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            if target.ends_with(".md") {
                assert!(pages.iter().any(|page| page == target), "{page} links to {target}");
            }
        }
    }
}

/// A block without a language is taken for Rust and compiled; one that is meant for something else has to say so.
#[test]
fn every_code_block_names_its_language() {
    let languages = ["html", "rust", "rust,no_run", "text", "sh", "toml", "ini", "jinja", "python"];
    for page in pages() {
        let text = read(&format!("docs/src/{page}"));
        let fences = text.lines().filter(|line| line.starts_with("```"));
        for opening in fences.step_by(2) {
            let language = opening.trim_start_matches('`');
            assert!(languages.contains(&language), "{page} has a block {opening}");
        }
    }
}

/// Who copies one wants to read it first.
#[test]
fn the_recipes_are_short_and_tested() {
    let recipes = [
        "todo",
        "json_api",
        "sign_in",
        "uploads",
        "single_page",
        "dictionary",
        "site_check",
        "bookmarks",
        "behind_nginx",
    ];
    for recipe in recipes {
        let lines = read(&format!("examples/src/bin/{recipe}.rs")).lines().count();
        assert!(lines <= 150, "{recipe} has {lines} lines");
        assert!(root().join(format!("examples/tests/{recipe}.rs")).exists(), "{recipe} has no test");
    }
}

/// What a program for Tornado may name: the methods and settings of `tornado.web`, and what belongs to it.
#[test]
fn everything_that_tornado_calls_by_a_name_is_in_its_chapter() {
    let page = read("docs/src/coming-from-tornado.md");
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let has = |name: &str| {
        page.match_indices(name).any(|(at, _)| {
            let (before, behind) = (page.as_bytes()[..at].last(), page.as_bytes().get(at + name.len()));
            !before.is_some_and(is_letter) && !behind.is_some_and(is_letter)
        })
    };
    let missing: Vec<&str> = OF_TORNADO.split_whitespace().filter(|name| !has(name)).collect();
    assert!(missing.is_empty(), "the chapter does not say what there is for {missing:?}");
}

/// The public names of Tornado 6.6.
const OF_TORNADO: &str = "
    SUPPORTED_METHODS initialize prepare on_finish on_connection_close path_args path_kwargs request get head post delete
    patch put options get_argument get_arguments get_query_argument get_query_arguments get_body_argument
    get_body_arguments decode_argument data_received stream_request_body detach cookies get_cookie set_cookie
    clear_cookie clear_all_cookies get_signed_cookie get_signed_cookie_key_version set_signed_cookie get_secure_cookie
    get_secure_cookie_key_version set_secure_cookie create_signed_value decode_signed_value get_signature_key_version
    set_default_headers set_status get_status set_header add_header clear_header clear write flush finish redirect
    send_error write_error log_exception HTTPError MissingArgumentError Finish render render_string
    render_linked_js render_embed_js render_linked_css render_embed_css get_template_namespace create_template_loader
    get_template_path UIModule TemplateModule embedded_javascript javascript_files embedded_css css_files html_head
    html_body compute_etag set_etag_header check_etag_header locale get_user_locale get_browser_locale current_user
    get_current_user get_login_url authenticated xsrf_token check_xsrf_cookie xsrf_form_html check_trusted_origin
    static_url require_setting reverse_url addslash removeslash
    Application listen add_handlers add_transform log_request find_handler URLSpec ErrorHandler RedirectHandler
    StaticFileHandler FallbackHandler OutputTransform GZipContentEncoding
    autoreload debug default_handler_class default_handler_args default_host compress_response gzip decompress_request
    log_function serve_traceback ui_modules ui_methods websocket_ping_interval websocket_ping_timeout
    websocket_max_message_size cookie_secret key_version login_url xsrf_cookies xsrf_cookie_version xsrf_cookie_kwargs
    xsrf_cookie_name cross_origin_protection trusted_origins autoescape compiled_template_cache template_path
    template_loader template_whitespace static_hash_cache static_path static_url_prefix static_handler_class
    static_handler_args xheaders
    default_filename allowed_symlink_directory reset set_headers should_return_304 set_extra_headers get_cache_time
    get_absolute_path validate_absolute_path get_content get_content_version get_content_size get_modified_time
    get_content_type make_static_url parse_url_path get_version
    Router ReversibleRouter RuleRouter Rule Matcher AnyMatches HostMatches DefaultHostMatches PathMatches
    WebSocketHandler open on_message on_close on_ping on_pong ping close close_code write_message select_subprotocol
    selected_subprotocol get_compression_options check_origin set_nodelay websocket_connect WebSocketClosedError
    Template Loader DictLoader ParseError
    xhtml_escape xhtml_unescape url_escape url_unescape json_encode json_decode squeeze linkify parse_qs_bytes utf8
    to_unicode native_str recursive_unicode
    get_closest get_supported_locales set_default_locale load_translations load_gettext_translations translate pgettext
    format_date format_day friendly_number list
    OpenIdMixin OAuthMixin OAuth2Mixin GoogleOAuth2Mixin FacebookGraphMixin TwitterMixin
    HTTPHeaders HTTPServerRequest HTTPFile HTTPInputError HTTPOutputError HTTPMessageDelegate HTTPConnection url_concat
    format_timestamp parse_cookie set_parse_body_config parse_body_arguments
    AsyncHTTPTestCase AsyncHTTPSTestCase AsyncTestCase gen_test ExpectLog bind_unused_port AsyncHTTPClient
    define parse_command_line parse_config_file LogFormatter enable_pretty_logging watch add_reload_hook
    Condition Event Semaphore BoundedSemaphore Lock Queue PriorityQueue LifoQueue multi with_timeout sleep WaitIterator
    convert_yielded run_on_executor chain_future fork_processes wsgi";

/// The files of `docs/src` except the table of contents.
fn pages() -> Vec<String> {
    let folder = fs::read_dir(root().join("docs/src")).expect("the book's folder is readable");
    let names = folder.map(|entry| entry.expect("a folder entry").file_name().to_string_lossy().into_owned());
    let pages: Vec<String> = names.filter(|name| name.ends_with(".md") && name != "SUMMARY.md").collect();
    assert!(pages.len() >= 10, "the pages were not found: {pages:?}");
    pages
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR"));
    examples.parent().expect("the examples lie in the workspace").to_owned()
}
