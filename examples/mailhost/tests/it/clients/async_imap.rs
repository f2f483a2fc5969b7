//! async-imap, with tokio-rustls below it.

use std::collections::BTreeSet;

use async_imap::extensions::idle::IdleResponse;
use async_imap::types::{Fetch, Flag, NameAttribute};
use async_imap::{Client, Session};
use futures_util::TryStreamExt as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::server::{Kind, LOGIN, Server};
use super::typed::{Message, View, unicode};
use super::work;
use crate::support::{DEADLINE, PASSWORD};

type Mail = Session<TlsStream<TcpStream>>;

/// `Entwürfe & more`, which the library wants as it goes over the wire, but for its quotes.
const DRAFTS: &str = "Entw&APw-rfe &- more";

async fn connect(server: &Server) -> Client<TlsStream<TcpStream>> {
    let certificate = CertificateDer::from_pem_file(server.certificate()).unwrap();
    let tls = TlsConnector::from(mailhost::client::Server::trusting(&certificate).unwrap());
    let tcp = TcpStream::connect(server.imaps()).await.unwrap();
    let stream = tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
    let mut client = Client::new(stream);
    client.read_response().await.unwrap().expect("a greeting");
    client
}

async fn fetch(mail: &mut Mail, set: &str, items: &str) -> Vec<Fetch> {
    mail.uid_fetch(set, items).await.unwrap().try_collect().await.unwrap()
}

async fn store(mail: &mut Mail, set: &str, change: &str) -> Vec<BTreeSet<String>> {
    let changed: Vec<Fetch> = mail.uid_store(set, change).await.unwrap().try_collect().await.unwrap();
    changed.iter().map(|fetch| lasting(fetch.flags())).collect()
}

async fn search(mail: &mut Mail, query: &str) -> Vec<u32> {
    let mut found: Vec<u32> = mail.uid_search(query).await.unwrap().into_iter().collect();
    found.sort_unstable();
    found
}

/// Flags without the one that belongs to a session.
fn lasting<'f>(flags: impl Iterator<Item = Flag<'f>>) -> BTreeSet<String> {
    let names = flags.map(|flag| match flag {
        Flag::Seen => "\\Seen".to_owned(),
        Flag::Answered => "\\Answered".to_owned(),
        Flag::Flagged => "\\Flagged".to_owned(),
        Flag::Deleted => "\\Deleted".to_owned(),
        Flag::Draft => "\\Draft".to_owned(),
        Flag::Recent => "\\Recent".to_owned(),
        Flag::MayCreate => "\\*".to_owned(),
        Flag::Custom(name) => name.into_owned(),
    });
    names.filter(|name| name != "\\Recent").collect()
}

fn set(uids: &[u32]) -> String {
    uids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

async fn mailboxes(mail: &mut Mail) {
    for name in ["Work", "Work/2026", "Old", DRAFTS] {
        mail.create(name).await.unwrap();
    }
    mail.create("Work").await.unwrap_err();
    mail.subscribe("Work").await.unwrap();
    mail.select("None").await.unwrap_err();
    for (number, sample) in (1..).zip(work::samples()) {
        // The library sends both as they are.
        let flags = format!("({})", sample.flags.join(" "));
        let date = format!("\"{number:02}-Jan-2026 12:00:00 +0100\"");
        mail.append("Work", Some(&flags), Some(&date), &sample.octets).await.unwrap();
    }
    mail.append("None", None, None, "Subject: lost\r\n\r\n").await.unwrap_err();
    let status = mail.status("Work", "(MESSAGES UNSEEN UIDNEXT)").await.unwrap();
    assert_eq!((status.exists, status.unseen), (10, Some(8)));
    let selected = mail.select("Work").await.unwrap();
    assert_eq!((selected.exists, selected.uid_next), (10, status.uid_next));
    assert!(selected.permanent_flags.contains(&Flag::MayCreate));
}

async fn find(mail: &mut Mail, uids: &[u32]) {
    let searches: [(&str, &[usize]); 10] = [
        ("ALL", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        ("SUBJECT \"header alone\"", &[8]),
        ("BODY needle", &[1]),
        ("UNSEEN UNFLAGGED", &[1, 4, 6, 7, 8, 9, 10]),
        ("KEYWORD project", &[9]),
        ("SINCE 3-Jan-2026 BEFORE 5-Jan-2026", &[3, 4]),
        ("LARGER 100000", &[6]),
        ("OR 3 (FROM carla DRAFT)", &[3, 7]),
        ("HEADER Message-ID <4@far.test>", &[5]),
        ("DELETED", &[]),
    ];
    for (query, expected) in searches {
        let expected: Vec<u32> = expected.iter().map(|number| uids[number - 1]).collect();
        assert_eq!(search(mail, query).await, expected, "{query}");
    }
}

async fn look(mail: &mut Mail, uids: &[u32]) {
    let samples = work::samples();
    let fetched = fetch(mail, "1:*", "(UID ENVELOPE BODYSTRUCTURE RFC822.SIZE)").await;
    assert_eq!(fetched.len(), samples.len());
    for (fetched, sample) in fetched.iter().zip(&samples) {
        let envelope = fetched.envelope().expect("an envelope");
        assert_eq!(envelope.subject.as_deref(), Some(sample.name.as_bytes()));
        assert_eq!(fetched.size, Some(sample.octets.len() as u32));
        assert!(fetched.bodystructure().is_some());
    }
    let text = fetch(mail, &set(&uids[4..5]), "(UID BODY.PEEK[TEXT])").await;
    assert_eq!(text[0].text(), Some(&b".\r\n..\r\n...\r\n.a\r\n"[..]));
    let header = fetch(mail, &set(&uids[7..8]), "(UID BODY.PEEK[HEADER])").await;
    assert_eq!(header[0].header(), Some(&samples[7].octets[..]));
    assert_eq!(search(mail, "SEEN").await, [uids[1], uids[4]]);
}

async fn change(mail: &mut Mail, uids: &[u32]) {
    let flags = |flags: &[&str]| vec![flags.iter().map(|flag| (*flag).to_owned()).collect::<BTreeSet<_>>()];
    assert_eq!(store(mail, &set(&uids[..1]), "+FLAGS (\\Seen)").await, flags(&["\\Seen"]));
    assert!(store(mail, &set(&uids[7..8]), "+FLAGS.SILENT (\\Seen)").await.is_empty());
    assert_eq!(store(mail, &set(&uids[1..2]), "-FLAGS (\\Seen)").await, flags(&[]));
    assert_eq!(store(mail, &set(&uids[4..5]), "FLAGS (\\Draft)").await, flags(&["\\Draft"]));
    assert_eq!(
        store(mail, &set(&uids[8..9]), "+FLAGS (\\Answered)").await,
        flags(&["\\Answered", "project"])
    );
    assert_eq!(store(mail, &set(&uids[3..4]), "+FLAGS (urgent)").await, flags(&["$Forwarded", "urgent"]));

    mail.uid_copy(set(&[uids[0], uids[1], uids[4]]), "Work/2026").await.unwrap();
    mail.uid_copy(set(&uids[..1]), "None").await.unwrap_err();
    mail.uid_mv(set(&uids[2..4]), DRAFTS).await.unwrap();
    store(mail, &set(&[uids[0], uids[1], uids[5]]), "+FLAGS.SILENT (\\Deleted)").await;
    let gone: Vec<u32> = mail.uid_expunge(set(&uids[5..6])).await.unwrap().try_collect().await.unwrap();
    assert_eq!(gone.len(), 1);
    assert_eq!(search(mail, "DELETED").await, uids[..2]);
    let gone: Vec<u32> = mail.expunge().await.unwrap().try_collect().await.unwrap();
    assert_eq!(gone.len(), 2);
    assert_eq!(search(mail, "ALL").await, [&uids[4..5], &uids[6..]].concat());
    mail.close().await.unwrap();

    mail.rename("Work/2026", "Done/2026").await.unwrap();
    mail.delete("Old").await.unwrap();
    mail.delete("Old").await.unwrap_err();
}

async fn idle(mut mail: Mail, server: &Server) -> Mail {
    assert_eq!(mail.select("INBOX").await.unwrap().exists, 0);
    let mut idle = mail.idle();
    idle.init().await.unwrap();
    server.deliver(work::DELIVERED.as_bytes());
    let (response, _stop) = idle.wait_with_timeout(DEADLINE);
    let response = response.await.unwrap();
    assert!(matches!(response, IdleResponse::NewData(_)), "{response:?}");
    mail = idle.done().await.unwrap();
    let uids = search(&mut mail, "UNSEEN").await;
    let fetched = fetch(&mut mail, &set(&uids), "(UID BODY[])").await;
    assert!(fetched[0].body().expect("a body").ends_with(b"\r\n\r\nYou have mail.\r\n"));
    assert_eq!(store(&mut mail, &set(&uids), "+FLAGS (\\Flagged)").await[0].len(), 2);
    mail
}

/// What the client sees.
async fn view(mail: &mut Mail) -> View {
    let names: Vec<_> = mail.list(Some(""), Some("*")).await.unwrap().try_collect().await.unwrap();
    let mut view = View::new();
    for name in names.iter().filter(|name| !name.attributes().contains(&NameAttribute::NoSelect)) {
        let exists = mail.examine(name.name()).await.unwrap().exists;
        let fetched = match exists {
            0 => Vec::new(),
            _ => fetch(mail, "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])").await,
        };
        let messages = fetched.iter().map(|fetched| Message {
            uid: fetched.uid.expect("a UID"),
            flags: lasting(fetched.flags()),
            seconds: fetched.internal_date().expect("a date").timestamp(),
            octets: fetched.body().expect("a body").to_vec(),
        });
        view.insert(unicode(name.name()), messages.collect());
    }
    view
}

fn works_with(kind: Kind, test: &str) {
    let Some(server) = Server::start(kind, test) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let all = async {
        let client = connect(&server).await;
        let Err((_, client)) = client.login(LOGIN, "a wrong password").await else {
            panic!("a wrong password lets in");
        };
        let mut mail = client.login(LOGIN, PASSWORD).await.map_err(|(error, _)| error).unwrap();
        assert!(mail.capabilities().await.unwrap().has_str("IDLE"));
        mail.noop().await.unwrap();
        mailboxes(&mut mail).await;
        let uids = search(&mut mail, "ALL").await;
        find(&mut mail, &uids).await;
        look(&mut mail, &uids).await;
        change(&mut mail, &uids).await;
        let mut mail = idle(mail, &server).await;
        let seen = view(&mut mail).await;
        mail.logout().await.unwrap();
        seen
    };
    let seen =
        runtime.block_on(async { tokio::time::timeout(DEADLINE, all).await }).expect("it ends in time");
    work::judge(&server, &seen);
}

#[test]
fn async_imap_works_with_dovecot() {
    works_with(Kind::Dovecot, "async_imap_works_with_dovecot");
}

#[test]
fn async_imap_works_with_us() {
    works_with(Kind::Ours, "async_imap_works_with_us");
}
