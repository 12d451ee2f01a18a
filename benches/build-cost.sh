#!/usr/bin/env bash
# What building costs: a hello world on `web`, on `httpserver` and on axum, each a fresh package with the release profile
# that cargo gives it, built into an empty target directory. `web-json` is `web` without cookies and static files, which
# axum leaves to other crates. Prints the processor time of each build and its ratio to axum's, the medians over the rounds
# given by the first argument (1 by default). Needs cargo and its registry; a round takes a few minutes. Nothing is left
# behind.
#
# `build-cost.sh features [NAME...]` prints what each feature of `web` adds to that, or those that are named: all that cargo
# builds when the feature is switched on, less what the default build takes for crates of the same names. One round, and a
# crate varies by a sixth from one build to the next.
set -euo pipefail
export LC_ALL=C

# As cargo's wrapper of rustc: notes the processor time of each crate.
if [[ ${CRATE_TIMES:-} ]]; then
    crate='' before=''
    for argument; do
        [[ $before == --crate-name ]] && crate=$argument
        before=$argument
    done
    # What cargo asks of the compiler itself is no crate.
    case $crate in '' | ___) exec "$@" ;; esac
    own=$(mktemp "$CRATE_TIMES.XXXXXX") TIMEFORMAT='%U %S' status=0
    exec 3>&2
    { time "$@" 2>&3 || status=$?; } 2>"$own"
    echo "$CARGO_PKG_NAME:$crate $(<"$own")" >>"$CRATE_TIMES"
    rm "$own"
    exit "$status"
fi

layers=$(cd "$(dirname "$0")/.." && pwd)
# Outside the workspace: a fresh package takes neither its profile nor its lock file.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

names=(web web-json httpserver axum)

main() {
    if [[ ${1:-} == features ]]; then
        features "${@:2}"
        return
    fi
    local rounds=${1:-1} round name
    write_packages
    for ((round = 1; round <= rounds; round++)); do
        for name in "${names[@]}"; do
            build_time "$name" >>"$work/$name/times"
        done
    done
    printf '%s\n\n' "$(rustc --version)"
    row 'hello world on' 'packages' 'user + sys' 'to axum'
    row '---' '---:' '---:' '---:'
    for name in "${names[@]}"; do
        row "$name" "$(packages "$name")" "$(median "$work/$name/times") s" "$(ratio "$name")"
    done
}

features() {
    local names=("$@") name
    ((${#names[@]})) || read -ra names < <(sed -n 's/^waterspout-web //p' "$layers/.ci/features")
    printf '%s\n\n' "$(rustc --version)"
    printf '| %-14s | %10s |\n' feature 'user + sys' --- ---:
    hello_web | package default "waterspout-web = { path = \"$layers/web\" }"
    CRATE_TIMES=$work/default/crates build_time default >/dev/null
    for name in "${names[@]}"; do
        hello_web | package "$name" "waterspout-web = { path = \"$layers/web\", features = [\"$name\"] }"
        cp -a "$work/default/target" "$work/$name/target"
        : >"$work/$name/crates"
        CRATE_TIMES=$work/$name/crates build_more "$name" >"$work/$name/times"
        printf '| %-14s | %10s |\n' "$name" "$(added "$name") s"
        rm -rf "${work:?}/$name"
    done
}

# What was built, less what the default build takes for crates of the same names.
added() {
    awk 'FNR == 1 { file++ }
        file == 1 { before[$1] += $2 + $3 }
        file == 2 { total = $1 }
        file == 3 && !seen[$1]++ { total -= before[$1] }
        END { printf "%.1f\n", total }' "$work/default/crates" "$work/$1/times" "$work/$1/crates"
}

hello_web() {
    cat <<'RUST'
use web::{Application, Exchange, IOLoop};

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write("Hello, world\n");
    Ok(())
}

fn main() {
    Application::new().get("/", hello).listen(("127.0.0.1", 8888)).expect("the port is free");
    IOLoop::current().start();
}
RUST
}

write_packages() {
    hello_web | package web "waterspout-web = { path = \"$layers/web\" }"
    hello_web | package web-json \
        "waterspout-web = { path = \"$layers/web\", default-features = false, features = [\"json\"] }"

    package httpserver "waterspout-httpserver = { path = \"$layers/httpserver\" }" <<'RUST'
use httpserver::{HttpServer, IOLoop, Request, Response};

fn main() {
    let server = HttpServer::new(async |_request: Request| Response::text("Hello, world\n"));
    server.listen(("127.0.0.1", 8888)).expect("the port is free");
    IOLoop::current().start();
}
RUST

    # As in axum's own example `hello-world`.
    package axum 'axum = "0.8"' 'tokio = { version = "1", features = ["full"] }' <<'RUST'
use axum::{Router, routing::get};

#[tokio::main]
async fn main() {
    let app = Router::new().route("/", get(|| async { "Hello, world\n" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8888").await.expect("the port is free");
    axum::serve(listener, app).await.expect("serving does not end");
}
RUST
}

# A package of the given dependencies, with its `main.rs` from standard input; its dependencies are downloaded.
package() {
    local folder=$work/$1
    shift
    mkdir -p "$folder/src"
    cat >"$folder/src/main.rs"
    printf '%s\n' '[package]' 'name = "hello"' 'version = "0.0.0"' 'edition = "2024"' '' '[dependencies]' "$@" '' \
        '[workspace]' >"$folder/Cargo.toml"
    cargo fetch --quiet --manifest-path "$folder/Cargo.toml"
}

# Seconds of processor time, cargo, compiler and linker together. Settings of the caller's that change a build are left out.
build_time() {
    rm -rf "$work/$1/target"
    build_more "$1"
}

# Without what is there already.
build_more() {
    local folder=$work/$1 wrapper=${CRATE_TIMES:+RUSTC_WRAPPER=$(realpath "$0")} TIMEFORMAT='%U %S'
    {
        time env --chdir "$folder" -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u CARGO_BUILD_RUSTFLAGS -u RUSTC_WRAPPER \
            CARGO_TARGET_DIR="$folder/target" ${wrapper:+"$wrapper"} cargo build --quiet --release --offline 2>"$folder/errors"
    } 2>"$folder/time" || { cat "$folder/errors" >&2 && return 1; }
    awk '{ printf "%.1f\n", $1 + $2 }' "$folder/time"
}

# Within a round, because a busy machine slows all builds of one alike.
ratio() {
    paste "$work/$1/times" "$work/axum/times" | awk '{ printf "%.2f\n", $1 / $2 }' >"$work/$1/ratios"
    median "$work/$1/ratios"
}

median() {
    sort -n "$1" | awk '{ sorted[NR] = $1 } END { print sorted[int((NR + 1) / 2)] }'
}

# How many packages are compiled, the hello world itself left out.
packages() {
    cargo tree --manifest-path "$work/$1/Cargo.toml" --offline --edges normal,build --prefix none --no-dedupe |
        grep -v '^hello ' | awk '{ print $1, $2 }' | sort -u | wc -l
}

row() {
    printf '| %-14s | %8s | %10s | %7s |\n' "$@"
}

main "$@"
