//! A client: it gives random commands, keeps its own view from what it is told, and lets the model look at both.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::command::{Kind, Seen, What};
use super::model::{ALL, Entry, Floor, Tick, words};
use super::shared::{Parked, Shared};
use super::wire::{Connection, Response, Value};
use crate::dice::Dice;
use crate::network::lock;
use crate::users::PASSWORD;

/// A command that waits for its answer.
pub(super) struct Sent {
    pub(super) tag: String,
    pub(super) kind: Kind,
    pub(super) from: Tick,
    /// Of the mailbox that is open.
    pub(super) floor: Floor,
    /// What was told while it was the first.
    pub(super) seen: Seen,
}

/// A mailbox that is open.
pub(super) struct Open {
    pub(super) mailbox: usize,
    pub(super) name: String,
    pub(super) read_only: bool,
    pub(super) view: Vec<Entry>,
}

/// A connection behind its login.
pub(super) struct Client<'s> {
    pub(super) shared: &'s Shared,
    pub(super) account: usize,
    pub(super) who: String,
    pub(super) dice: Dice,
    wire: Connection,
    tags: u32,
    pub(super) condstore: bool,
    pub(super) open: Option<Open>,
    pub(super) waiting: VecDeque<Sent>,
}

/// Lives until all commands are given.
pub(super) async fn live(shared: Arc<Shared>, number: usize) {
    let account = number % shared.accounts();
    let mut dice = Dice::new(shared.options.seed, &format!("client {number}"));
    let mut connections = 0;
    loop {
        shared.attend(number, None).await;
        if shared.is_over() {
            sleep(Duration::from_secs(1)).await;
            continue;
        }
        connections += 1;
        let who = format!("c{number}.{connections}");
        let own = Dice::new(dice.below(u64::MAX), "session");
        match timeout(PATIENCE, Client::connect(&shared, account, who.clone(), own)).await {
            Ok(Ok(mut client)) => {
                let result = client.work(number).await;
                client.abandon();
                if let Err(error) = result {
                    lock(&shared.counts).broken += 1;
                    info!(who, %error, "the connection has ended");
                }
            }
            Ok(Err(error)) => debug!(who, %error, "no connection"),
            Err(_) => debug!(who, "no connection in time"),
        }
        sleep(dice.time(Duration::from_millis(100), Duration::from_secs(3))).await;
    }
}

impl<'s> Client<'s> {
    /// Connects and logs in.
    pub(super) async fn connect(
        shared: &'s Shared,
        account: usize,
        who: String,
        mut dice: Dice,
    ) -> io::Result<Self> {
        let user = &shared.world.plan.users[account];
        let host = shared.world.plan.hosts[user.host].address;
        let stream =
            shared.world.network.connect(user.machine.into(), SocketAddr::new(host.into(), IMAP)).await?;
        let condstore = dice.chance(700);
        let (waiting, open, tags) = (VecDeque::new(), None, 0);
        let mut client = Self {
            shared,
            account,
            who,
            dice,
            wire: Connection::new(stream),
            tags,
            condstore,
            open,
            waiting,
        };
        client.wire.next().await?;
        let login = format!("LOGIN {} {PASSWORD:?}", user.address);
        client.simple(&login).await?;
        if client.condstore {
            client.simple("ENABLE CONDSTORE").await?;
        }
        if client.dice.chance(400) {
            client.simple("ENABLE IMAP4rev2").await?;
        }
        Ok(client)
    }

    /// A command that changes nothing, outside of a mailbox; what it has said.
    pub(super) async fn simple(&mut self, command: &str) -> io::Result<Vec<Vec<Value>>> {
        self.tags += 1;
        let tag = format!("s{}", self.tags);
        self.wire.send(format!("{tag} {command}\r\n").as_bytes()).await?;
        let mut data = Vec::new();
        loop {
            match timeout(PATIENCE, self.wire.next()).await?? {
                Response::Data(values) => data.push(values),
                Response::Status { tag: Some(own), word, .. } if own == tag => {
                    return if word == "OK" {
                        Ok(data)
                    } else {
                        Err(io::Error::other(format!("{word} to {command}")))
                    };
                }
                Response::Status { word, .. } if word == "BYE" => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Response::Status { code, .. } => data.push(code),
                Response::Go => {}
            }
        }
    }

    async fn work(&mut self, number: usize) -> io::Result<()> {
        loop {
            if self.shared.wants_rest() {
                self.rest(number).await?;
            }
            if self.shared.is_over() {
                // The view is still of use: all rest once more.
                sleep(Duration::from_millis(500)).await;
                continue;
            }
            self.batch().await?;
            if self.dice.chance(4) {
                // Without a word, and in the midst of something as often as not.
                if self.dice.chance(500) {
                    self.give(1).await?;
                    if self.dice.chance(500) {
                        self.read_one().await?;
                    }
                }
                return Err(io::Error::other("the client has left"));
            }
            if self.dice.chance(300) {
                let pause = self.dice.time(Duration::ZERO, Duration::from_millis(300));
                sleep(pause).await;
            }
        }
    }

    /// Looks twice: when everybody begins to rest, and when nothing happens any more.
    async fn rest(&mut self, number: usize) -> io::Result<()> {
        while self.shared.wants_rest() {
            let mut parked = None;
            if self.open.is_some() {
                self.send(Kind::Noop).await?;
                self.read_all().await?;
                let open = self.open.as_ref();
                parked = open.map(|open| Parked {
                    who: self.who.clone(),
                    account: self.account,
                    mailbox: open.mailbox,
                    view: open.view.clone(),
                });
            }
            self.shared.attend_once(number, parked).await;
        }
        Ok(())
    }

    async fn batch(&mut self) -> io::Result<()> {
        let most = if self.dice.chance(250) { self.dice.between(2, 5) } else { 1 };
        self.give(most).await?;
        self.read_all().await
    }

    /// Gives up to so many commands without waiting for an answer, as far as they may be given so.
    async fn give(&mut self, most: u64) -> io::Result<()> {
        for place in 0..most {
            // RFC 9051 §5.5: behind a command that may tell of an EXPUNGE no numbers are known.
            let numbers = self.waiting.iter().all(|sent| !sent.kind.may_expunge());
            let Some(kind) = self.choose(place > 0, numbers) else { break };
            let last = kind.stands_last();
            self.send(kind).await?;
            if last {
                break;
            }
        }
        Ok(())
    }

    /// Sends a command, and lets the model know what may come of it.
    pub(super) async fn send(&mut self, mut kind: Kind) -> io::Result<()> {
        self.tags += 1;
        let tag = format!("t{}", self.tags);
        let (from, floor) = {
            let mut model = lock(&self.shared.model);
            let from = model.tick();
            let floor = self.open.as_ref().map_or_else(Floor::default, |open| model.floor(open.mailbox));
            kind.begin(&mut model, self.account, self.open.as_ref());
            (from, floor)
        };
        self.shared.given(kind.name());
        let mut text = format!("{tag} ");
        kind.write(&mut text);
        debug!(who = self.who, text, "C");
        let waits = matches!(kind, Kind::Append { sync: true, .. } | Kind::Idle);
        let literal = kind.literal();
        self.waiting.push_back(Sent { tag, kind, from, floor, seen: Seen::default() });
        let _ = write!(text, "\r\n");
        let mut octets = text.into_bytes();
        if let (Some(literal), false) = (&literal, waits) {
            octets.extend_from_slice(literal);
            octets.extend_from_slice(b"\r\n");
        }
        self.wire.send(&octets).await?;
        if !waits {
            return Ok(());
        }
        // Answered, or asked to go on.
        while !self.read_one().await? {
            if self.waiting.is_empty() {
                return Ok(());
            }
        }
        match literal {
            Some(mut literal) => {
                literal.extend_from_slice(b"\r\n");
                self.wire.send(&literal).await
            }
            None => self.idle().await,
        }
    }

    /// Waits in IDLE, and ends it.
    async fn idle(&mut self) -> io::Result<()> {
        let quiet = self.dice.chance(200);
        let lasts = self.dice.time(Duration::from_millis(10), Duration::from_secs(4));
        self.read_for(lasts).await?;
        let half = lock(&self.shared.model).tick();
        if quiet {
            // By the end of this everything that had happened before it has been told.
            self.read_for(QUIET).await?;
        }
        let copy = self.open.as_ref().filter(|_| quiet).map(|open| open.view.clone());
        if let Some(sent) = self.waiting.back_mut() {
            sent.seen.done = Some(lock(&self.shared.model).tick());
            sent.seen.idled = copy.map(|view| (view, half));
        }
        self.wire.send(b"DONE\r\n").await
    }

    async fn read_for(&mut self, lasts: Duration) -> io::Result<()> {
        let end = tokio::time::Instant::now() + lasts;
        loop {
            match tokio::time::timeout_at(end, self.wire.next()).await {
                Ok(response) => drop(self.take(response?)?),
                Err(_) => return Ok(()),
            }
        }
    }

    async fn read_all(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            self.read_one().await?;
        }
        Ok(())
    }

    /// Takes one response; true if it asks to go on.
    async fn read_one(&mut self) -> io::Result<bool> {
        let response = timeout(PATIENCE, self.wire.next()).await??;
        self.take(response)
    }

    fn take(&mut self, response: Response) -> io::Result<bool> {
        debug!(who = self.who, text = self.wire.last, "S");
        lock(&self.shared.model).tick();
        match response {
            Response::Go => return Ok(true),
            Response::Data(values) => self.data(&values),
            Response::Status { tag: None, word, code } => {
                if word == "BYE" {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.code(&code);
            }
            Response::Status { tag: Some(tag), word, code } => {
                let Some(sent) = self.waiting.pop_front() else {
                    return Err(io::Error::other("an answer to nothing"));
                };
                if sent.tag != tag {
                    self.violated(format!("{tag} is answered instead of {}", sent.tag));
                }
                if word == "BAD" {
                    let mut text = String::new();
                    sent.kind.write(&mut text);
                    self.violated(format!("BAD to {text}"));
                }
                self.shared.answered(&word);
                self.code_of(&code, sent.kind.name());
                let shared = self.shared;
                sent.end(self, &mut lock(&shared.model), &word, &code);
            }
        }
        Ok(false)
    }

    pub(super) fn violated(&self, what: String) {
        lock(&self.shared.model).violated(format!("{}: {what}", self.who));
    }

    /// A code that comes without a tag.
    fn code(&mut self, code: &[Value]) {
        let Some(sent) = self.waiting.front_mut() else { return };
        let Some(name) = code.first() else { return };
        let number = code.get(1).and_then(Value::number);
        if name.is("UIDVALIDITY") {
            sent.seen.validity = number;
        } else if name.is("UIDNEXT") {
            sent.seen.next = number;
        } else if name.is("HIGHESTMODSEQ") {
            sent.seen.mod_seq = number;
        } else if name.is("COPYUID") {
            sent.seen.copied = Some(code.to_vec());
        }
    }

    fn code_of(&self, code: &[Value], command: &str) {
        if code.first().is_some_and(|name| name.is("SERVERBUG")) {
            self.violated(format!("{command} has met what was not expected"));
        }
    }

    fn data(&mut self, values: &[Value]) {
        let Some(sent) = self.waiting.front_mut() else { return };
        let opening = matches!(sent.kind, Kind::Select { .. });
        let kind = values.get(1).filter(|_| values[0].number().is_some()).unwrap_or(&values[0]);
        let number = values[0].number().and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
        if kind.is("EXISTS") {
            if opening {
                sent.seen.exists = number;
            } else {
                self.exists(number);
            }
        } else if kind.is("EXPUNGE") {
            self.expunged(number);
        } else if kind.is("FETCH") {
            self.fetched(number, values.get(2).map_or(&[], Value::list));
        } else if kind.is("SEARCH") {
            let found = values[1..].iter().filter_map(Value::number);
            sent.seen.found = Some(found.map(|number| number as u32).collect());
        } else if kind.is("ESEARCH") {
            let all = values.iter().position(|value| value.is("ALL")).and_then(|at| values.get(at + 1));
            sent.seen.found = Some(all.map_or_else(Vec::new, |set| super::wire::numbers(set.text())));
        } else if kind.is("LIST") {
            let gone = values[1].list().iter().any(|word| word.is("\\NonExistent"));
            if let (Some(name), false) = (values.get(3), gone) {
                sent.seen.names.insert(name.text().to_owned());
            }
        } else if kind.is("STATUS") {
            for pair in values.get(2).map_or(&[][..], Value::list).chunks(2) {
                if let [item, value] = pair {
                    sent.seen.status.insert(item.text().to_ascii_uppercase(), value.number().unwrap_or(0));
                }
            }
        }
    }

    fn exists(&mut self, count: usize) {
        let Some(open) = &mut self.open else { return };
        if count < open.view.len() {
            let before = open.view.len();
            return self.violated(format!("EXISTS {count}, and there were {before}"));
        }
        open.view.resize(count, Entry::default());
    }

    fn expunged(&mut self, number: usize) {
        let numbers = self.waiting.front().is_none_or(|sent| !sent.kind.may_expunge());
        if numbers {
            let command = self.waiting.front().map(|sent| sent.kind.name()).unwrap_or_default();
            self.violated(format!("EXPUNGE is told during {command}"));
        }
        let Some(open) = &mut self.open else { return };
        if number == 0 || number > open.view.len() {
            let count = open.view.len();
            return self.violated(format!("EXPUNGE {number} of {count}"));
        }
        let mailbox = open.mailbox;
        if let Some(uid) = open.view.remove(number - 1).uid {
            lock(&self.shared.model).told_gone(mailbox, uid, &self.who);
        }
    }

    fn fetched(&mut self, number: usize, items: &[Value]) {
        let Some(open) = &mut self.open else { return };
        let Some(sent) = self.waiting.front_mut() else { return };
        if number == 0 || number > open.view.len() {
            let count = open.view.len();
            return self.violated(format!("FETCH {number} of {count}"));
        }
        let (look, uid, bodies) = super::command::look(items);
        let entry = open.view[number - 1];
        if let (Some(told), Some(known)) = (uid, entry.uid)
            && told != known
        {
            let what = format!("message {number} is UID {told}, and was {known}");
            return self.violated(what);
        }
        let uid = uid.or(entry.uid);
        let below = open.view[..number - 1].iter().rev().find_map(|entry| entry.uid);
        let above = open.view[number..].iter().find_map(|entry| entry.uid);
        open.view[number - 1] = Entry { uid, flags: look.flags.or(entry.flags) };
        let Some(uid) = uid else { return };
        let mailbox = open.mailbox;
        sent.seen.shown.insert(uid);
        if let Some(flags) = look.flags {
            sent.seen.first.entry(uid).or_insert((flags, look.mod_seq));
        } else if let Some(mod_seq) = look.mod_seq {
            sent.seen.first_mod_seq.entry(uid).or_insert(mod_seq);
        }
        let from = sent.from;
        if below.is_some_and(|below| below >= uid) || above.is_some_and(|above| above <= uid) {
            self.violated(format!("message {number} is UID {uid}, between {below:?} and {above:?}"));
        }
        let mut model = lock(&self.shared.model);
        model.seen(mailbox, uid, &look, from, &self.who);
        for (name, octets) in bodies {
            model.octets(mailbox, uid, &name, octets, &self.who);
        }
    }

    /// The connection is over: of what was not answered nobody knows.
    fn abandon(&mut self) {
        let mut model = lock(&self.shared.model);
        for sent in self.waiting.drain(..) {
            sent.kind.abandon(&mut model, self.account);
        }
    }

    /// Messages of the view whose UIDs and numbers are known: some neighbours.
    pub(super) fn some(&mut self, most: u64) -> Option<Vec<(usize, u32)>> {
        let open = self.open.as_ref()?;
        let start = self.dice.index(open.view.len());
        let count = if self.dice.chance(600) { 1 } else { self.dice.between(1, most) as usize };
        let model = lock(&self.shared.model);
        let known = open.view.iter().enumerate().skip(start).map_while(|(place, entry)| {
            let uid = entry.uid?;
            model.tag(open.mailbox, uid).map(|_| (place + 1, uid))
        });
        let picked: Vec<_> = known.take(count).collect();
        (!picked.is_empty()).then_some(picked)
    }
}

impl Sent {
    /// What was said of it is over.
    fn end(mut self, client: &mut Client<'_>, model: &mut super::model::Model, word: &str, code: &[Value]) {
        if self.seen.copied.is_none() && code.first().is_some_and(|name| name.is("COPYUID")) {
            self.seen.copied = Some(code.to_vec());
        }
        self.kind.end(client, model, self.from, self.floor, &self.seen, word, code);
    }
}

impl What {
    /// Drawn: what is fetched of a message.
    pub(super) fn draw(dice: &mut Dice, condstore: bool) -> Self {
        match dice.below(12) {
            0..=3 if condstore => Self::Changes,
            0..=4 => Self::Flags,
            5 | 6 => Self::Body("BODY[]"),
            7 => Self::Body("BODY.PEEK[]"),
            8 => Self::Body("BODY[TEXT]"),
            9 => Self::Body("RFC822.TEXT"),
            10 => Self::Facts,
            _ => Self::Body("BODY.PEEK[1]"),
        }
    }
}

/// Flags at random, as clients set them.
pub(super) fn some_flags(dice: &mut Dice) -> super::model::FlagSet {
    let mut flags = 0;
    for _ in 0..dice.between(1, 3) {
        flags |= 1 << dice.below(super::model::FLAGS.len() as u64);
    }
    debug_assert!(flags & !ALL == 0, "{}", words(flags));
    flags
}

/// Where hosts serve IMAP.
pub const IMAP: u16 = 143;
/// How long a client waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// In this time whatever has been lost on the way has been sent again.
const QUIET: Duration = Duration::from_secs(12);
