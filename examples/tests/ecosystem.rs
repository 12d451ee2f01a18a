//! The recipes of the book's chapter on other libraries, each against a server that follows a script.

// `support` is shared by several test programs, none of which exports anything.
#![allow(unreachable_pub)]

mod support;

use std::{
    future::pending,
    io::{self, BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    rc::Rc,
    sync::mpsc,
    thread,
    time::Duration,
};

use ioloop::{IOLoop, run_in_executor, spawn};
use iostream::{IOStream, TcpServer};
use support::{PATIENCE, http::Client};
use tokio::runtime;
use tokio_postgres::{Config, NoTls, SimpleQueryMessage};
use web::{Application, Exchange};

fn run<F: Future>(future: F) -> F::Output {
    IOLoop::current().run_sync(ioloop::timeout(PATIENCE, future)).expect("it ends in time")
}

mod a_library_that_takes_a_stream {
    use super::*;

    async fn connect(address: SocketAddr) -> Result<tokio_postgres::Client, Box<dyn std::error::Error>> {
        let stream = IOStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (client, connection) = Config::new().user("app").dbname("shop").connect_raw(stream, NoTls).await?;
        spawn(async move {
            if let Err(error) = connection.await {
                log::error!("the connection to the database has broken: {error}");
            }
        });
        Ok(client)
    }

    /// A message of PostgreSQL: a letter, the length of what follows and of itself, and that.
    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    }

    /// One connection to a database that knows a single question.
    async fn database(stream: IOStream, _peer: SocketAddr) -> iostream::Result<()> {
        let length = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().expect("four bytes")) as usize - 4;
        let startup = stream.read_bytes(4).await?;
        let startup = stream.read_bytes(length(&startup)).await?;
        assert!(startup.windows(9).any(|part| part == b"user\0app\0"), "{startup:?}");
        let ready = message(b'Z', b"I");
        stream.write([message(b'R', &[0; 4]), ready.clone()].concat()).await?;
        loop {
            let head = stream.read_bytes(5).await?;
            let body = stream.read_bytes(length(&head[1..])).await?;
            match head[0] {
                b'Q' => assert_eq!(body, "SELECT fruit FROM shop\0"),
                b'X' => return Ok(()),
                other => panic!("message {:?}", char::from(other)),
            }
            let column =
                [&1u16.to_be_bytes()[..], b"fruit\0", &[0; 6], &25u32.to_be_bytes(), &[0xff; 6], &[0; 2]].concat();
            let row = |value: &[u8]| {
                let body = [&1u16.to_be_bytes()[..], &(value.len() as u32).to_be_bytes(), value].concat();
                message(b'D', &body)
            };
            let large = vec![b'x'; 200_000];
            let done = message(b'C', b"SELECT 2\0");
            stream.write([message(b'T', &column), row(b"apple"), row(&large), done, ready.clone()].concat()).await?;
        }
    }

    #[test]
    fn tokio_postgres_asks_a_database_over_our_stream() {
        let server = TcpServer::new(database).listen(("127.0.0.1", 0)).expect("a free port");
        run(async {
            let client = connect(server.local_addr()).await.expect("the database listens");
            for _ in 0..3 {
                let answer = client.simple_query("SELECT fruit FROM shop").await.expect("an answer");
                let fruit = answer.iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => row.get("fruit").map(str::len),
                    _ => None,
                });
                assert_eq!(fruit.collect::<Vec<_>>(), [5, 200_000]);
            }
        });
    }
}

mod a_driver_that_blocks {
    use examples::pool::Pool;

    use super::*;

    /// A driver as they are: it sends a question and blocks until the answer is there.
    struct Driver(BufReader<TcpStream>);

    impl Driver {
        fn connect(address: SocketAddr) -> Driver {
            Driver(BufReader::new(TcpStream::connect(address).expect("the database listens")))
        }

        fn ask(&mut self, question: &str) -> io::Result<String> {
            self.0.get_mut().write_all(format!("{question}\n").as_bytes())?;
            let mut answer = String::new();
            self.0.read_line(&mut answer)?;
            Ok(answer.trim_end().to_owned())
        }
    }

    #[test]
    fn the_loop_goes_on_while_a_driver_blocks() {
        // The database is on the loop that would be blocked. It answers when both have asked.
        let asked = Rc::new(ioloop::sync::Semaphore::new(0));
        let server = TcpServer::new({
            let asked = asked.clone();
            async move |stream: IOStream, _peer: SocketAddr| -> iostream::Result<()> {
                loop {
                    let question = stream.read_until(b"\n").await?;
                    asked.release();
                    asked.release();
                    let (_one, _other) = (asked.acquire().await, asked.acquire().await);
                    stream.write([b"answer to ", &question[..]].concat()).await?;
                }
            }
        });
        let address = server.listen(("127.0.0.1", 0)).expect("a free port").local_addr();
        let pool = Rc::new(Pool::new(vec![Driver::connect(address), Driver::connect(address)]));
        run(async {
            let (one, other) = (pool.clone(), pool.clone());
            let one = spawn(async move { one.with(|driver| driver.ask("one")).await });
            let other = spawn(async move { other.with(|driver| driver.ask("other")).await });
            assert_eq!(one.await.expect("a result").expect("no panic").expect("an answer"), "answer to one");
            assert_eq!(other.await.expect("a result").expect("no panic").expect("an answer"), "answer to other");
        });
    }

    #[test]
    fn a_connection_comes_back_although_nobody_waits_for_the_answer() {
        run(async {
            let pool = Pool::new(vec![0]);
            let (go, wait) = mpsc::channel::<()>();
            let call = pool.with(move |uses| {
                wait.recv().expect("the test sends");
                *uses += 1;
            });
            let given_up = ioloop::timeout(Duration::ZERO, call).await;
            assert!(given_up.is_err());
            go.send(()).expect("the job waits");
            assert_eq!(pool.with(|uses| *uses).await.expect("no panic"), 1);
        });
    }
}

mod a_library_with_a_runtime_of_its_own {
    use examples::side_car::SideCar;

    use super::*;

    /// A library as they are: it panics where tokio does not run.
    async fn library(name: String) -> String {
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::spawn(async move { format!("hello, {name}") }).await.expect("no panic")
    }

    #[test]
    fn a_handler_uses_it_and_the_loop_goes_on() {
        let side_car = SideCar::start().expect("a thread");
        let application = Application::new().get("/{name}", async move |exchange: &mut Exchange| {
            let name: String = exchange.path("name")?;
            let answer = side_car.run(library(name)).await?;
            exchange.write_text(answer);
            Ok(())
        });
        let server = application.listen(("127.0.0.1", 0)).expect("a free port");
        let address = server.local_addrs()[0];
        let client = thread::spawn(move || {
            let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(address)).collect();
            clients.iter_mut().for_each(|client| client.send("GET", "/ann", &[], ""));
            clients.iter_mut().map(|client| client.answer_to("GET").body).collect::<Vec<_>>()
        });
        let bodies = run(run_in_executor(move || client.join().expect("no panic"))).expect("no panic");
        assert_eq!(bodies, ["hello, ann"; 3]);
    }

    #[test]
    fn what_nobody_waits_for_ends() {
        let side_car = SideCar::start().expect("a thread");
        let (ended, end) = tokio::sync::oneshot::channel::<()>();
        run(async {
            let work = side_car.run(async move {
                let _ended = ended;
                pending::<()>().await;
            });
            assert!(ioloop::timeout(Duration::ZERO, work).await.is_err());
            assert!(end.await.is_err(), "it was dropped, not sent to");
        });
    }
}

mod an_application_of_axum {
    use axum::{Router, extract::Path, routing::get};
    use httpserver::{HttpServer, tower::TowerService};

    use super::*;

    async fn hello(Path(name): Path<String>) -> String {
        tokio::time::sleep(Duration::from_millis(10)).await;
        format!("Hello, {name}\n")
    }

    #[test]
    fn is_served_on_the_loop_with_timers_of_tokio() {
        let runtime = runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _entered = runtime.enter();
        let router = Router::new().route("/hello/{name}", get(hello));
        let server = HttpServer::new(TowerService::new(router)).listen(("127.0.0.1", 0)).unwrap();
        let address = server.local_addr();
        let client = thread::spawn(move || Client::connect(address).get("/hello/axum").body);
        let body = run(run_in_executor(move || client.join().expect("no panic"))).expect("no panic");
        assert_eq!(body, "Hello, axum\n");
    }
}
