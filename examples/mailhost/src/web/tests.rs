use axum::http::Method;
use axum::routing::post;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::connection::{Reason, converse};
use super::*;
use crate::listener::Stop;

/// A conversation with a router that has a page, a form, and a page that takes for ever.
struct Talk {
    stream: DuplexStream,
    stop: Stop,
    ended: JoinHandle<std::io::Result<Reason>>,
}

impl Talk {
    fn start(pipe: usize) -> Self {
        let router = Router::new()
            .route("/", get(|| async { "x".repeat(10_000) }))
            .route("/form", post(|body: String| async move { body.len().to_string() }))
            .route("/slow", get(std::future::pending::<()>))
            .method_not_allowed_fallback(page::not_allowed)
            .layer(DefaultBodyLimit::max(BODY))
            .layer(from_fn(with_care));
        let (near, far) = duplex(pipe);
        let (stop, stopping) = Stop::new();
        let visitor = Visitor { peer: [127, 0, 0, 1].into(), service: Service::Web, private: true };
        let ended = tokio::spawn(converse(router, visitor, far, stopping));
        Self { stream: near, stop, ended }
    }

    async fn say(&mut self, text: &str) {
        // It may have closed already.
        let _ = self.stream.write_all(text.as_bytes()).await;
    }

    /// All until the connection ends.
    async fn rest(mut self) -> String {
        let mut octets = Vec::new();
        self.stream.read_to_end(&mut octets).await.unwrap();
        let _ = self.ended.await.unwrap();
        String::from_utf8(octets).unwrap()
    }

    /// Until this comes.
    async fn until(&mut self, what: &str) {
        let mut text = Vec::new();
        while !text.ends_with(what.as_bytes()) {
            text.push(self.stream.read_u8().await.unwrap());
        }
    }
}

#[test]
fn a_password_is_asked_for_where_nobody_reads_along() {
    for (service, peer, allow_plaintext, private) in [
        (Service::Webs, "192.0.2.1", false, true),
        (Service::Web, "192.0.2.1", false, false),
        (Service::Web, "2001:db8::1", false, false),
        (Service::Web, "192.0.2.1", true, true),
        (Service::Web, "127.0.0.1", false, true),
        (Service::Web, "::1", false, true),
        (Service::Web, "::ffff:127.0.0.1", false, true),
    ] {
        let visitor = Visitor::new(service, peer.parse().unwrap(), allow_plaintext);
        assert_eq!(visitor.private, private, "{service} {peer} {allow_plaintext}");
    }
}

const CLOSE: &str = " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";

#[tokio::test(start_paused = true)]
async fn every_answer_tells_browsers_what_not_to_do() {
    for (request, status) in
        [("GET /", "200 OK"), ("DELETE /", "405 Method Not Allowed"), ("GET /x", "404 Not Found")]
    {
        let mut talk = Talk::start(1 << 16);
        talk.say(&format!("{request}{CLOSE}\r\n")).await;
        let answer = talk.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{answer}");
        for line in [
            "\r\ncontent-security-policy: default-src 'none'; ",
            "\r\nx-content-type-options: nosniff\r\n",
            "\r\ncache-control: no-store\r\n",
            "\r\nreferrer-policy: same-origin\r\n",
        ] {
            assert!(answer.contains(line), "{answer}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_comes_drop_by_drop_is_given_half_a_minute() {
    let start = Instant::now();
    let mut talk = Talk::start(1 << 16);
    talk.say("GET / HTTP/1.1\r\n").await;
    while !talk.ended.is_finished() {
        talk.say("X: y\r\n").await;
        time::sleep(Duration::from_secs(1)).await;
        assert!(start.elapsed() < Duration::from_secs(35), "it goes on");
    }
    assert!(start.elapsed() > Duration::from_secs(25));
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_request_is_closed() {
    let start = Instant::now();
    assert_eq!(Talk::start(1 << 16).rest().await, "");
    assert!(start.elapsed() < Duration::from_secs(35), "before its first one");
    let mut talk = Talk::start(1 << 16);
    talk.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    talk.rest().await;
    assert!(start.elapsed() < Duration::from_secs(70), "and after it");
}

#[tokio::test(start_paused = true)]
async fn heads_and_bodies_are_bounded() {
    let chunk = format!("100\r\n{}\r\n", "y".repeat(256));
    for (what, request, status) in [
        ("many fields", format!("GET /{CLOSE}{}\r\n", "X: y\r\n".repeat(100)), "431 "),
        ("a long field", format!("GET /{CLOSE}X: {}\r\n\r\n", "y".repeat(100_000)), "431 "),
        ("a long path", format!("GET /{}{CLOSE}\r\n", "y".repeat(100_000)), "431 "),
        (
            "a long body",
            format!("POST /form{CLOSE}Content-Length: 100000\r\n\r\n{}", "y".repeat(100_000)),
            "413 ",
        ),
        (
            "a long body in chunks",
            format!("POST /form{CLOSE}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(100)),
            "413 ",
        ),
        (
            "as much as may be",
            format!("POST /form{CLOSE}Content-Length: {BODY}\r\n\r\n{}", "y".repeat(BODY)),
            "200 ",
        ),
    ] {
        let mut talk = Talk::start(1 << 20);
        talk.say(&request).await;
        let answer = talk.rest().await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{what}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let start = Instant::now();
    let mut talk = Talk::start(1 << 16);
    talk.say("POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab").await;
    let answer = talk.rest().await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert!(start.elapsed() < Duration::from_secs(65));
}

#[tokio::test(start_paused = true)]
async fn answers_that_nobody_takes_are_not_kept_for_ever() {
    let start = Instant::now();
    // Less than an answer goes through before somebody reads.
    let mut talk = Talk::start(1_000);
    talk.say(&"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)).await;
    let ended = talk.ended.await.unwrap();
    assert!(ended.is_err(), "{ended:?}");
    assert!(start.elapsed() < Duration::from_secs(65));
    drop(talk.stream);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stops_finishes_what_was_asked_and_no_more() {
    let start = Instant::now();
    let mut talk = Talk::start(1 << 16);
    talk.say("POST /form HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    talk.until("HTTP/1.1 100 Continue\r\n\r\n").await;
    talk.stop.request();
    talk.say("hello").await;
    let mut octets = Vec::new();
    talk.stream.read_to_end(&mut octets).await.unwrap();
    let answer = String::from_utf8(octets).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n5"), "{answer}");
    assert_eq!(talk.ended.await.unwrap().unwrap(), Reason::Stopped);
    assert_eq!(start.elapsed(), Duration::ZERO);

    // One that is idle goes at once.
    let talk = Talk::start(1 << 16);
    talk.stop.request();
    assert_eq!(talk.rest().await, "");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_takes_too_long_is_given_up() {
    let mut talk = Talk::start(1 << 16);
    talk.say(&format!("{} /slow{CLOSE}\r\n", Method::GET)).await;
    assert!(talk.rest().await.starts_with("HTTP/1.1 408 "));
}
