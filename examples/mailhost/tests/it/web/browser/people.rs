//! Somebody with mail: what Anna's mailboxes hold, as believable people write it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Browser;
use crate::imap::Imap;
use crate::support::{Host, PASSWORD, Site, base64};

pub(crate) const ANNA: &str = "anna@example.test";

/// A host with Anna and Ben, and with Anna's mail.
pub(super) struct Home {
    pub(super) site: Site,
    pub(super) host: Host,
}

impl Home {
    pub(super) fn new() -> Self {
        let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
        let host = site.start();
        Self { site, host }
    }

    /// The same with all that the rest of this file has.
    pub(super) fn lived_in() -> Self {
        let home = Self::new();
        let mut imap = Imap::anna(&home.host);
        imap.say("CREATE Sailing");
        imap.say("CREATE Receipts");
        for mail in mail() {
            mail.append(&mut imap);
        }
        home
    }

    /// A browser in which Anna has signed in. `None` if the test is skipped.
    #[track_caller]
    pub(super) fn anna(&self, test: &str) -> Option<Browser> {
        let mut browser = Browser::start(test, &self.site, &self.host)?;
        browser.open("/");
        browser.signs_in(ANNA);
        Some(browser)
    }
}

impl Browser {
    /// Fills in the form that is there.
    #[track_caller]
    pub(crate) fn signs_in(&mut self, login: &str) {
        self.fill("Mail address or login name", login);
        self.fill("Password", PASSWORD);
        self.follow("Sign in");
    }

    /// The page that a path leads to, and where it is.
    #[track_caller]
    pub(crate) fn goes(&mut self, path: &str) -> String {
        self.open(path);
        self.path()
    }
}

/// One message.
pub(crate) struct Mail {
    mailbox: &'static str,
    flags: &'static str,
    /// How long ago, in minutes.
    ago: u64,
    from: &'static str,
    to: &'static str,
    subject: &'static str,
    /// Its own name, and what it answers, the last one directly.
    id: &'static str,
    answers: &'static str,
    /// Header fields of the content, an empty line, and the content.
    content: String,
}

impl Mail {
    fn append(&self, imap: &mut Imap) {
        let at = SystemTime::now() - Duration::from_secs(self.ago * 60);
        let date = date(at);
        let answers = if self.answers.is_empty() {
            String::new()
        } else {
            let all: Vec<_> = self.answers.split(' ').map(|id| format!("<{id}>")).collect();
            format!("In-Reply-To: {}\r\nReferences: {}\r\n", all[all.len() - 1], all.join(" "))
        };
        let text = format!(
            "From: {}\r\nTo: {}\r\nSubject: {}\r\nDate: {date}\r\nMessage-ID: <{}>\r\n{answers}MIME-Version: 1.0\r\n{}",
            self.from,
            self.to,
            encoded(self.subject),
            self.id,
            self.content
        );
        let (day, rest) = date.split_once(", ").unwrap().1.split_once(' ').unwrap();
        let (month, rest) = rest.split_once(' ').unwrap();
        let (year, time) = rest.split_once(' ').unwrap();
        let arguments = format!("{} ({}) \"{day:0>2}-{month}-{year} {time}\"", self.mailbox, self.flags);
        let said = imap.append(&arguments, text);
        assert!(said.starts_with("OK"), "{}", said.end);
    }
}

fn encoded(text: &str) -> String {
    if text.is_ascii() { text.to_owned() } else { format!("=?utf-8?B?{}?=", base64(text.as_bytes())) }
}

/// As it stands in a message, in UTC.
pub(super) fn date(at: SystemTime) -> String {
    let seconds = at.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let at = time::OffsetDateTime::from_unix_timestamp(seconds as i64).unwrap();
    let month = at.month().to_string();
    let weekday = at.weekday().to_string();
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} +0000",
        &weekday[..3],
        at.day(),
        &month[..3],
        at.year(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

fn plain(text: &str) -> String {
    let text = text.replace('\n', "\r\n");
    format!("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{text}\r\n")
}

/// Text with a file.
fn with_file(text: &str, kind: &str, name: &str, octets: &[u8]) -> String {
    let file = STANDARD.encode(octets);
    let file: Vec<_> = file.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
    format!(
        "Content-Type: multipart/mixed; boundary=part\r\n\r\n--part\r\n{}\r\n--part\r\nContent-Type: {kind}; name=\"{name}\"\r\n\
         Content-Disposition: attachment; filename=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--part--\r\n",
        plain(text),
        file.join("\r\n")
    )
}

/// Text, and the same as a page.
fn with_page(text: &str, page: &str) -> String {
    let page = page.replace('\n', "\r\n");
    format!(
        "Content-Type: multipart/alternative; boundary=part\r\n\r\n--part\r\n{}\r\n--part\r\n\
         Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n{page}\r\n--part--\r\n",
        plain(text)
    )
}

const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;
const SEEN: &str = "\\Seen";

/// All of it, the oldest first.
pub(crate) fn mail() -> Vec<Mail> {
    let mail = |mailbox, flags, ago, from, subject, id, answers, content: String| {
        let to = if mailbox == "Sent" {
            "Ben Okafor <ben@example.test>"
        } else {
            "Anna Lindqvist <anna@example.test>"
        };
        Mail { mailbox, flags, ago, from, to, subject, id, answers, content }
    };
    vec![
        mail(
            "Receipts",
            SEEN,
            40 * DAY,
            "Northern Rail <tickets@rail.example>",
            "Your ticket to Gothenburg",
            "ticket@rail.example",
            "",
            with_file(
                "Dear Anna,\n\nyour ticket is attached. Have a good journey.\n\nNorthern Rail",
                "application/pdf",
                "ticket.pdf",
                &PDF.repeat(40),
            ),
        ),
        mail(
            "INBOX",
            SEEN,
            9 * DAY,
            "City Library <loans@library.example>",
            "Three books are due next week",
            "due@library.example",
            "",
            plain(
                "Dear reader,\n\nthese are due on Friday:\n\n  The Sea Around Us\n  Arctic Dreams\n  A Field Guide to Knots\n\n\
                 You can extend each of them twice.\n\nYour library",
            ),
        ),
        mail(
            "INBOX",
            "\\Seen \\Flagged",
            6 * DAY,
            "Harbour Office <office@harbour.example>",
            "Berth 14: contract for the season",
            "berth@harbour.example",
            "",
            with_file(
                "Dear Ms Lindqvist,\n\nplease find the contract for berth 14 attached. We need it back, signed, by the end of the month.\n\n\
                 With kind regards\nThe harbour office",
                "application/pdf",
                "berth-14.pdf",
                &PDF.repeat(120),
            ),
        ),
        mail(
            "INBOX",
            SEEN,
            4 * DAY,
            "Noor Haddad <noor@studio.example>",
            "Re: The photographs from the exhibition",
            "photos2@studio.example",
            "photos1@example.test",
            plain(
                "Hi Anna,\n\nthe large prints are ready. Shall I send them, or do you come by on Thursday?\n\nNoor\n\n\
                 > Dear Noor,\n> how are the prints coming along?\n> Anna",
            ),
        ),
        mail(
            "INBOX",
            SEEN,
            2 * DAY + 3 * HOUR,
            "Ben Okafor <ben@example.test>",
            "Boat trip on Saturday",
            "boat1@example.test",
            "",
            plain(
                "Hi Anna,\n\nthe forecast looks good: wind from the south-west, 4, and sun all day. Shall we take the boat out on Saturday? \
                 We could leave at nine, have lunch on the island and be back by five.\n\nBen",
            ),
        ),
        mail(
            "Sent",
            SEEN,
            2 * DAY + 2 * HOUR,
            "Anna Lindqvist <anna@example.test>",
            "Re: Boat trip on Saturday",
            "boat2@example.test",
            "boat1@example.test",
            plain("Oh yes! I bring lunch. Is there room for Mei?\n\nAnna"),
        ),
        mail(
            "INBOX",
            SEEN,
            DAY + 20 * HOUR,
            "Ben Okafor <ben@example.test>",
            "Re: Boat trip on Saturday",
            "boat3@example.test",
            "boat1@example.test boat2@example.test",
            plain(
                "There is, and she knows her knots better than I do.\n\nBen\n\n> Oh yes! I bring lunch. Is there room for Mei?\n>\n> Anna",
            ),
        ),
        mail(
            "INBOX",
            SEEN,
            DAY + 2 * HOUR,
            "Tomás Rivera <tomas@bicycle.example>",
            "Din cykel är klar – your bicycle is ready",
            "bike@bicycle.example",
            "",
            plain(
                "Hej Anna!\n\nThe new chain is on, and the brakes are as they should be. We are open until six.\n\nTomás",
            ),
        ),
        mail(
            "INBOX",
            "",
            9 * HOUR,
            "The Weekly Tide <letters@tide.example>",
            "What the sea brought us this week",
            "tide47@tide.example",
            "",
            with_page("This week: seals in the harbour, and a storm glass that was right.", NEWSLETTER),
        ),
        mail(
            "INBOX",
            "",
            5 * HOUR,
            "Mei Tanaka <mei@kites.example>",
            "Re: Boat trip on Saturday",
            "boat4@kites.example",
            "boat1@example.test boat2@example.test boat3@example.test",
            plain("Count me in! I bring the kite.\n\nMei"),
        ),
        mail(
            "INBOX",
            "",
            95,
            "Noor Haddad <noor@studio.example>",
            "Drawings for the boathouse",
            "draw@studio.example",
            "",
            with_file(
                "Hi Anna,\n\nhere is the first sketch of the boathouse. The roof is lower than we said, so that one still sees the lighthouse \
                 from your window. Tell me what you think.\n\nNoor",
                "image/png",
                "boathouse.png",
                &STANDARD.decode(DOT).unwrap(),
            ),
        ),
        mail(
            "INBOX",
            "",
            12,
            "Ben Okafor <ben@example.test>",
            "Lunch today?",
            "lunch@example.test",
            "",
            plain("I am near your office until two. Soup?\n\nBen"),
        ),
        mail(
            "Sailing",
            SEEN,
            70 * DAY,
            "Sailing Club <club@harbour.example>",
            "Dates of the regattas",
            "dates@harbour.example",
            "",
            plain("Dear members,\n\nthe dates are fixed: 12 June, 3 July and 21 August.\n\nThe committee"),
        ),
        mail(
            "Junk",
            "",
            3 * HOUR,
            "Prize Office <win@lucky.example>",
            "You have won",
            "win@lucky.example",
            "",
            plain("Congratulations! Answer with your bank account."),
        ),
    ]
}

/// With pictures that its sender has, so that they learn who reads it.
const NEWSLETTER: &str = "<html><body style=\"margin:0;background:#eef4f6\"><table width=\"100%\"><tr><td align=\"center\">\
<table width=\"600\" cellpadding=\"24\" style=\"background:#ffffff;border-radius:8px;font-family:Georgia,serif;color:#22313a\">\
<tr><td><h1 style=\"color:#0b5c78;margin:0 0 4px\">The Weekly Tide</h1><p style=\"color:#6b7d86;margin:0\">Letters from the coast, no. 47</p></td></tr>\
<tr><td><img src=\"https://pictures.tide.example/seals.jpg?reader=anna\" alt=\"Two seals on a rock\" width=\"552\" height=\"120\">\
<h2 style=\"margin:8px 0\">Seals in the harbour</h2><p>Two seals have moved in below the fish market. The harbour office asks everyone to keep \
their dogs on a lead, and the seals to keep off the steps.</p>\
<h2 style=\"margin:8px 0\">A storm glass that was right</h2><p>Mr Arvidsson's glass foretold the storm two days ahead. <a \
href=\"https://tide.example/47/glass\">Read how it is made</a>.</p>\
<ul><li>High water on Sunday: 11:42</li><li>Sunset: 15:31</li></ul>\
<img src=\"https://count.tide.example/open.gif?who=anna\" width=\"1\" height=\"1\"></td></tr></table></td></tr></table></body></html>";
/// Looks like the beginning of one.
const PDF: &[u8] =
    b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n                                            ";
/// A small picture.
const DOT: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
