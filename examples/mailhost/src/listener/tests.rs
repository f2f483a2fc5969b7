use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinHandle;

use super::*;

const DEADLINE: Duration = Duration::from_secs(20);

fn config(listen: &str) -> Config {
    let text =
        format!("hostname = \"a.test\"\ndata_dir = \"d\"\ndomains = [\"a.test\"]\n[listen]\n{listen}\n");
    Config::parse(&text, Path::new("mail.toml")).unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    time::timeout(DEADLINE, future).await.expect("nothing happened in time")
}

struct Running {
    addresses: Vec<(Service, SocketAddr)>,
    stop: Stop,
    ended: JoinHandle<Stopped>,
}

impl Running {
    /// Echoes lines until it is asked to stop, and then says so.
    fn start(listen: &str, limits: Limits) -> Self {
        Self::with(listen, limits, |_, mut stream, _, mut stopping| async move {
            let mut octets = [0; 64];
            loop {
                tokio::select! {
                    read = stream.read(&mut octets) => match read {
                        Ok(0) | Err(_) => return,
                        Ok(count) => stream.write_all(&octets[..count]).await.unwrap(),
                    },
                    () = stopping.requested() => {
                        let _ = stream.write_all(b"bye").await;
                        return;
                    }
                }
            }
        })
    }

    fn with<H, F>(listen: &str, limits: Limits, handler: H) -> Self
    where
        H: Fn(Service, TcpStream, SocketAddr, Stopping) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listeners = Listeners::bind(&config(listen)).unwrap();
        let addresses = listeners.addresses();
        let (stop, stopping) = Stop::new();
        let ended = tokio::spawn(async move { listeners.serve(&limits, stopping, handler).await });
        Self { addresses, stop, ended }
    }

    async fn connect(&self, at: usize) -> TcpStream {
        soon(TcpStream::connect(self.addresses[at].1)).await.unwrap()
    }

    async fn stop(self) -> Stopped {
        self.stop.request();
        soon(self.ended).await.unwrap()
    }
}

async fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"hello").await.unwrap();
    let mut octets = [0; 5];
    soon(stream.read_exact(&mut octets)).await.unwrap();
    assert_eq!(&octets, b"hello");
}

async fn rest(mut stream: TcpStream) -> String {
    let mut octets = Vec::new();
    soon(stream.read_to_end(&mut octets)).await.unwrap();
    String::from_utf8(octets).unwrap()
}

#[tokio::test]
async fn sessions_run_until_they_are_asked_to_stop() {
    let running =
        Running::start("smtp = [\"127.0.0.1:0\", \"[::1]:0\"]\npop3 = [\"127.0.0.1:0\"]", Limits::default());
    let services: Vec<_> = running.addresses.iter().map(|(service, _)| *service).collect();
    assert_eq!(services, [Service::Smtp, Service::Smtp, Service::Pop3]);
    let mut streams = Vec::new();
    for at in 0..3 {
        let mut stream = running.connect(at).await;
        echoes(&mut stream).await;
        streams.push(stream);
    }
    let address = running.addresses[0].1;
    assert_eq!(running.stop().await, Stopped { cut_off: 0 });
    for stream in streams {
        assert_eq!(rest(stream).await, "bye");
    }
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_session_that_does_not_end_is_cut_off() {
    let limits = Limits { stop_timeout: Duration::ZERO, ..Limits::default() };
    let running = Running::with("smtp = [\"127.0.0.1:0\"]", limits, |_, mut stream, _, _| async move {
        stream.write_all(b"x").await.unwrap();
        std::future::pending().await
    });
    let mut stream = running.connect(0).await;
    soon(stream.read_exact(&mut [0])).await.unwrap();
    assert_eq!(running.stop().await, Stopped { cut_off: 1 });
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn connections_over_a_limit_are_refused_in_the_words_of_the_protocol() {
    let listen = "smtp = [\"127.0.0.1:0\"]\npop3 = [\"127.0.0.1:0\"]\npop3s = [\"127.0.0.1:0\"]\n\
                  imap = [\"127.0.0.1:0\"]";
    let limits = Limits { connections_per_address: 1, ..Limits::default() };
    let running = Running::start(listen, limits);
    let mut first = running.connect(0).await;
    echoes(&mut first).await;
    assert_eq!(rest(running.connect(0).await).await, "421 4.7.0 too many connections from your address\r\n");
    assert_eq!(rest(running.connect(1).await).await, "-ERR too many connections, come back later\r\n");
    assert_eq!(rest(running.connect(2).await).await, "", "under TLS there is nobody to read it");
    let refused = "* BYE [LIMIT] too many connections, come back later\r\n";
    assert_eq!(rest(running.connect(3).await).await, refused);
    running.stop().await;

    let running = Running::start(listen, Limits { connections: 1, ..Limits::default() });
    let mut first = running.connect(0).await;
    echoes(&mut first).await;
    assert_eq!(rest(running.connect(0).await).await, "421 4.3.2 too many connections, come back later\r\n");
    running.stop().await;
}

#[tokio::test]
async fn a_place_is_free_again_after_a_session_even_if_it_panics() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let count = Arc::new(AtomicUsize::new(0));
    let running = Running::with("smtp = [\"127.0.0.1:0\"]", limits, move |_, mut stream, _, _| {
        let count = Arc::clone(&count);
        async move {
            let number = count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"x").await.unwrap();
            assert!(number > 0, "a planted panic");
        }
    });
    for _ in 0..3 {
        // Until the place is free the answer is 421.
        soon(async {
            while rest(running.connect(0).await).await != "x" {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    running.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_told_with_line_and_key_and_binds_nothing() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error =
        Listeners::bind(&config(&format!("smtp = [\"127.0.0.1:0\"]\npop3 = [\"{address}\"]"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "mail.toml:6: cannot listen on {address} for pop3: another program uses it; stop that program or choose \
             another port"
        )
    );
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_told() {
    let error = Listeners::bind(&config("smtp = [\"192.0.2.1:25\"]")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "mail.toml:5: cannot listen on 192.0.2.1:25 for smtp: this machine has no such address; write one that it has, \
         or 0.0.0.0 or [::] for all"
    );
}

#[tokio::test]
async fn both_families_can_have_the_same_port() {
    let first = Listeners::bind(&config("smtp = [\"[::]:0\"]")).unwrap();
    let port = first.addresses()[0].1.port();
    assert!(Listeners::bind(&config(&format!("smtp = [\"0.0.0.0:{port}\"]"))).is_ok());
}

#[test]
fn too_few_open_files_are_noticed() {
    assert_eq!(raise_open_files(&Limits { connections: 1, ..Limits::default() }), None);
    let warning = raise_open_files(&Limits { connections: 1_000_000_000, ..Limits::default() });
    assert!(warning.is_none_or(|warning| warning.contains("too few for 1000000000 connections")));
}

#[test]
fn a_full_table_of_files_is_told_apart_from_a_lost_peer() {
    assert!(is_exhaustion(&io::Error::from_raw_os_error(Errno::MFILE.raw_os_error())));
    assert!(!is_exhaustion(&io::Error::from_raw_os_error(Errno::CONNABORTED.raw_os_error())));
}
