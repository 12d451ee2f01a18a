//! What a request leaves behind. Alone in its test binary, because it counts what the thread allocates.

#[path = "util/allocations.rs"]
mod allocations;
mod util;

use web::{Application, Exchange, Route};

use allocations::{Counting, held};
use util::in_process::get;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

async fn hello(exchange: &mut Exchange) -> web::Result<()> {
    exchange.write_text("hello");
    Ok(())
}

/// A block that stays, allocated in the middle of a burst of connections, keeps all memory before it from going back to the
/// system.
#[test]
fn the_first_request_of_a_route_leaves_nothing_behind() {
    let nested = Application::new().get("/nested/{id}", hello);
    let application = Application::new()
        .get("/warm", hello)
        .get("/fixed", hello)
        .get("/last/{id}", hello)
        .get("/{a}/{b}/{c}/{d}", hello)
        .add(
            Route::get("/wrapped", hello)
                .wrap(async |exchange: &mut Exchange, next: web::Next<'_>| next.run(exchange).await),
        )
        .nest("/below", nested)
        .fallback(hello);
    // What the thread keeps for all requests: of heads, a block that fits the longest.
    for _ in 0..2 {
        assert_eq!(get(&application, "/warm?as-long-as-the-others").text(), "hello");
    }
    for path in ["/fixed", "/last/1", "/1/2/3/4", "/wrapped", "/below/nested/1", "/nowhere"] {
        let before = held();
        assert_eq!(get(&application, path).text(), "hello");
        assert_eq!(held(), before, "{path}");
    }
}
