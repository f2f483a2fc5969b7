//! What must hold: looked at with each event as it is said, and again when everything has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::plan::Plan;
use crate::trace::Said;

/// Knows what users did and were told, and what hosts say, and compares.
#[derive(Debug)]
pub struct Oracle {
    plan: Arc<Plan>,
    sent: BTreeMap<u64, (Sent, u64)>,
    /// Every message that was ever seen in a mailbox, by user and unique id.
    copies: BTreeMap<(usize, String), Copy>,
    /// What a host of somebody else has taken, by recipient.
    elsewhere: Vec<(String, Copy)>,
    /// What its user may have deleted.
    may_be_gone: BTreeSet<(usize, String)>,
    /// Messages of the queues, by host and the queue's name.
    queued: BTreeMap<(String, String), Queued>,
    /// Names in the logs of messages from the null path, until they are queued.
    null: BTreeSet<(String, String)>,
    outcomes: BTreeMap<(String, String, String), Outcome>,
    /// Hosts that stopped without having been asked to, and when.
    stops: Vec<(String, Duration)>,
    /// What a host's time may be late by.
    excuses: BTreeMap<String, Duration>,
    /// Messages that a report was to quote, and that could not be read.
    unread: BTreeSet<(String, String)>,
    /// Readers of reports that could not be delivered.
    lost_reports: BTreeMap<String, u64>,
    /// What was found to be late, to say it once.
    late: BTreeSet<(String, String)>,
    violations: Vec<String>,
    /// What was counted.
    pub counts: Counts,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Messages that users sent.
    pub sent: u64,
    /// Of these, those that were accepted.
    pub accepted: u64,
    /// Of these, those whose sender does not know.
    pub in_doubt: u64,
    /// Messages in mailboxes, deleted ones included.
    pub copies: u64,
    /// Of these, reports.
    pub reports: u64,
    /// Copies beyond the first, each excused by a doubt or a stop.
    pub duplicates: u64,
    /// Messages that somebody else's host has taken.
    pub elsewhere: u64,
    /// Recipients that queues have delivered to.
    pub delivered: u64,
    /// Recipients that queues have given up.
    pub given_up: u64,
    /// Outcomes that nobody knew.
    pub doubts: u64,
    /// Messages with more than fifty hops, at their end.
    pub loops: u64,
}

impl Counts {
    /// Adds those of another run.
    pub const fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.accepted += other.accepted;
        self.in_doubt += other.in_doubt;
        self.copies += other.copies;
        self.elsewhere += other.elsewhere;
        self.reports += other.reports;
        self.duplicates += other.duplicates;
        self.delivered += other.delivered;
        self.given_up += other.given_up;
        self.doubts += other.doubts;
        self.loops += other.loops;
    }
}

/// A message as its sender knows it.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What it is known by.
    pub tag: u64,
    /// Who sent it.
    pub user: usize,
    /// As whom; `None` for the null path.
    pub from: Option<String>,
    /// To whom it was to go.
    pub offered: Vec<String>,
    /// Those of them that the host has taken.
    pub taken: Vec<String>,
    /// What was said to the whole.
    pub answered: Answered,
    /// What the host calls it.
    pub id: Option<String>,
    /// When.
    pub at: Duration,
}

/// What was said to a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answered {
    /// 250.
    Accepted,
    /// 4yz or 5yz.
    Refused,
    /// Nothing, behind its end.
    InDoubt,
    /// Its end was not sent.
    Unfinished,
}

/// A message in a mailbox.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Copy {
    /// Whose it is, if it is of a user.
    pub tag: Option<u64>,
    /// The hash of what its sender wrote.
    pub hash: u64,
    /// Which hosts took it, and what they called it, the first one first.
    pub hops: Vec<(String, String)>,
    /// What it reports.
    pub report: Option<Reported>,
}

/// What a report says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reported {
    /// Its name.
    pub name: String,
    /// The host that says it.
    pub host: String,
    /// The name that its queue has for the message.
    pub about: String,
    /// Whose message it is.
    pub tag: Option<u64>,
    /// Those who do not get it.
    pub failed: Vec<String>,
    /// Whether it is about a report.
    pub about_report: bool,
}

#[derive(Clone, Debug)]
struct Queued {
    id: String,
    at: Duration,
    /// What was excused before.
    excused: Duration,
    null: bool,
    report: bool,
    doubt: bool,
    kept: bool,
    finished: bool,
    recipients: usize,
    /// How many of them have an outcome that was said.
    ended: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Delivered,
    GivenUp,
}

impl Oracle {
    /// Knows this world.
    pub fn new(plan: Arc<Plan>) -> Self {
        Self {
            plan,
            sent: BTreeMap::new(),
            copies: BTreeMap::new(),
            elsewhere: Vec::new(),
            may_be_gone: BTreeSet::new(),
            queued: BTreeMap::new(),
            null: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            stops: Vec::new(),
            excuses: BTreeMap::new(),
            unread: BTreeSet::new(),
            lost_reports: BTreeMap::new(),
            late: BTreeSet::new(),
            violations: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Something that must not be.
    pub fn violated(&mut self, what: String) {
        self.violations.push(what);
    }

    /// All that was not as it must be.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// A user begins to send.
    pub fn sends(&mut self, sent: Sent, octets: &[u8]) {
        self.counts.sent += 1;
        self.sent.insert(sent.tag, (sent, hash(octets)));
    }

    /// A user knows what came of it.
    pub fn answered(&mut self, sent: Sent) {
        self.counts.accepted += u64::from(sent.answered == Answered::Accepted);
        self.counts.in_doubt += u64::from(sent.answered == Answered::InDoubt);
        if let Some((known, _)) = self.sent.get_mut(&sent.tag) {
            *known = sent;
        }
    }

    /// A message was seen in a mailbox.
    pub fn seen(&mut self, user: usize, unique_id: &str, copy: Copy) {
        let key = (user, unique_id.to_owned());
        match self.copies.get(&key) {
            None => {
                self.counts.copies += 1;
                self.counts.reports += u64::from(copy.report.is_some());
                self.check_copy(user, &copy);
                self.copies.insert(key, copy);
            }
            Some(known) if *known != copy => {
                let user = &self.plan.users[user].address;
                self.violations.push(format!("{unique_id} of {user} is another message than before"));
            }
            Some(_) => {}
        }
    }

    /// Somebody else's host has taken a message.
    pub fn taken_elsewhere(&mut self, to: &str, copy: Copy) {
        self.counts.elsewhere += 1;
        if copy.report.is_some() {
            // Its users send nothing, so there is nothing to report to them.
            self.violated(format!("{to} has a report: {copy:?}"));
        }
        match copy.tag.and_then(|tag| self.sent.get(&tag)) {
            Some((_, hash)) if *hash != copy.hash => {
                self.violated(format!("{to} has other octets than were sent under tag {:?}", copy.tag));
            }
            Some((sent, _)) if !self.leads_to(sent, to) => {
                self.violated(format!("{to} has the message of tag {:?}, which was not for it", copy.tag));
            }
            Some(_) => {}
            None => self.violated(format!("{to} has a message that nobody has sent: {copy:?}")),
        }
        self.elsewhere.push((to.to_owned(), copy));
    }

    fn leads_to(&self, sent: &Sent, to: &str) -> bool {
        let ways = sent.offered.iter().map(|offered| self.plan.way(offered));
        ways.flat_map(|way| way.dead).any(|addresses| addresses.contains(to))
    }

    /// From now on a message may be deleted.
    pub fn may_be_gone(&mut self, user: usize, unique_id: &str) {
        self.may_be_gone.insert((user, unique_id.to_owned()));
    }

    /// A host has stopped; not in order, if so.
    pub fn stopped(&mut self, host: &str, at: Duration, in_order: bool) {
        if !in_order {
            self.stops.push((host.to_owned(), at));
        }
    }

    /// Something has taken a host's time, or its clock: so much may come so much later.
    pub fn excuse(&mut self, host: &str, by: Duration) {
        // What is due gets its grace anew after an absence.
        *self.excuses.entry(host.to_owned()).or_default() += by + GRACE;
    }

    /// Looks at an event.
    pub fn observe(&mut self, at: Duration, host: &str, said: &Said) {
        let key = || (host.to_owned(), said.get("queue_id").to_owned());
        match said.message.as_str() {
            "mail" if said.get("from") == "\"\"" => {
                self.null.insert((host.to_owned(), said.get("id").to_owned()));
            }
            "queued" | "report queued" => {
                let id = said.get("id").to_owned();
                let report = said.message == "report queued";
                let null = report || self.null.contains(&(host.to_owned(), id.clone()));
                let excused = self.excuses.get(host).copied().unwrap_or_default();
                let queued = Queued {
                    id,
                    at,
                    excused,
                    null,
                    report,
                    doubt: false,
                    kept: false,
                    finished: false,
                    // A report has one.
                    recipients: said.get("recipients").parse().unwrap_or(1),
                    ended: 0,
                };
                if let Some(before) = self.queued.insert(key(), queued)
                    && before.kept
                {
                    self.violated(format!("{host} gives the name {} twice", said.get("queue_id")));
                }
            }
            "kept" => {
                if let Some(queued) = self.queued.get_mut(&key()) {
                    queued.kept = true;
                }
            }
            "delivered" => self.outcome(at, host, said, Outcome::Delivered),
            "given up" => {
                self.doubt(host, said);
                self.given_up(host, said);
                self.outcome(at, host, said, Outcome::GivenUp);
            }
            "deferred" => self.doubt(host, said),
            "finished" => {
                if let Some(queued) = self.queued.get_mut(&key()) {
                    queued.finished = true;
                }
            }
            "report dropped: its reader is not here any more" => {
                *self.lost_reports.entry(said.get("to").to_owned()).or_default() += 1;
            }
            "the original of a report cannot be read" => {
                self.unread.insert((host.to_owned(), said.get("id").to_owned()));
            }
            "acknowledged mail is damaged; see `mailhost verify`" => {
                self.violated(format!("{host} has lost acknowledged octets: {said:?}"));
            }
            "a record of the queue cannot be read" => {
                self.violated(format!("{host} has lost records of its queue: {said:?}"));
            }
            _ => {}
        }
    }

    /// A message is in the queue of a host now.
    pub fn waits(&mut self, at: Duration, host: &str, queue_id: &str) {
        let Some(queued) = self.queued.get(&(host.to_owned(), queue_id.to_owned())) else {
            return self.violated(format!("{host} holds {queue_id}, which nobody has accepted"));
        };
        if queued.finished {
            return self.violated(format!("{host} holds {queue_id}, which it has finished"));
        }
        let queued = queued.clone();
        self.check_time(at, host, &queued, queue_id);
    }

    fn check_time(&mut self, at: Duration, host: &str, queued: &Queued, what: &str) {
        let expire = self.plan.hosts.iter().find(|plan| plan.name == host).map(|plan| plan.schedule.expire);
        let excused = self.excuses.get(host).copied().unwrap_or_default() - queued.excused;
        let most = expire.unwrap_or_default() + ATTEMPT + excused;
        let age = at.saturating_sub(queued.at);
        if age > most && self.late.insert((host.to_owned(), what.to_owned())) {
            self.violated(format!("{host} still had {what} after {age:?}, and {most:?} is the most"));
        }
    }

    fn outcome(&mut self, at: Duration, host: &str, said: &Said, outcome: Outcome) {
        let (queue_id, to) = (said.get("queue_id").to_owned(), said.get("to").to_owned());
        match outcome {
            Outcome::Delivered => self.counts.delivered += 1,
            Outcome::GivenUp => self.counts.given_up += 1,
        }
        let key = (host.to_owned(), queue_id.clone(), to.clone());
        if let Some(before) = self.outcomes.insert(key, outcome) {
            self.violated(format!("{queue_id} for {to} at {host} was {before:?}, and now is {outcome:?}"));
        }
        let queued = self.queued.get_mut(&(host.to_owned(), queue_id.clone())).map(|queued| {
            queued.ended += 1;
            queued.clone()
        });
        match queued {
            Some(queued) => self.check_time(at, host, &queued, &queue_id),
            None => self.violated(format!("{host} ends {queue_id}, which nobody has accepted")),
        }
    }

    fn given_up(&mut self, host: &str, said: &Said) {
        let Some(queued) = self.queued.get(&(host.to_owned(), said.get("queue_id").to_owned())) else {
            return;
        };
        let (null, told) = (queued.null, said.get("told"));
        if said.get("answer").contains("hops") {
            self.counts.loops += 1;
        }
        if (told == "NoSender") != null {
            self.violated(format!("{host}: sender null is {null}, and told is {told}: {said:?}"));
        }
        if null {
            let to = said.get("to").to_owned();
            // Reports that come from elsewhere have no sender either, like messages of users from the null path.
            *self.lost_reports.entry(to).or_default() += 1;
        }
    }

    fn doubt(&mut self, host: &str, said: &Said) {
        if said.get("answer").contains("it may arrive twice") {
            self.counts.doubts += 1;
            if let Some(queued) = self.queued.get_mut(&(host.to_owned(), said.get("queue_id").to_owned())) {
                queued.doubt = true;
            }
        }
    }

    /// What can be said of a message in a mailbox by itself.
    fn check_copy(&mut self, user: usize, copy: &Copy) {
        let address = self.plan.users[user].address.clone();
        if let Some(report) = &copy.report {
            if report.about_report {
                self.violated(format!("{address} has a report on a report: {report:?}"));
            }
            match report.tag.and_then(|tag| self.sent.get(&tag)) {
                Some((sent, _)) => {
                    if sent.from.as_ref() != Some(&address) {
                        let from = sent.from.clone();
                        self.violated(format!(
                            "{address} has a report on a message from {from:?}: {report:?}"
                        ));
                    }
                }
                None if self.is_unread(report) => {
                    // It cannot be told which one it is about, but a report there is.
                    *self.lost_reports.entry(address).or_default() += 1;
                }
                None => self.violated(format!("{address} has a report on what nobody has sent: {report:?}")),
            }
            return;
        }
        let Some((sent, hash)) = copy.tag.and_then(|tag| self.sent.get(&tag)) else {
            return self.violated(format!("{address} has a message that nobody has sent: {copy:?}"));
        };
        if *hash != copy.hash {
            let tag = sent.tag;
            return self.violated(format!("{address} has other octets than were sent under tag {tag}"));
        }
        if !sent.offered.iter().any(|to| self.plan.way(to).mailboxes.contains_key(&user)) {
            let tag = sent.tag;
            self.violated(format!("{address} has the message of tag {tag}, which was not for it"));
        }
    }

    fn is_unread(&self, report: &Reported) -> bool {
        let queued = self.queued.get(&(report.host.clone(), report.about.clone()));
        queued.is_some_and(|queued| self.unread.contains(&(report.host.clone(), queued.id.clone())))
    }

    /// Everything has ended: `there` is what the mailboxes hold.
    pub fn finish(&mut self, there: &BTreeSet<(usize, String)>) {
        let mut wrong = Vec::new();
        for key in self.copies.keys() {
            if !there.contains(key) && !self.may_be_gone.contains(key) {
                let user = &self.plan.users[key.0].address;
                wrong.push(format!("{} of {user} was there, nobody has deleted it, and it is gone", key.1));
            }
        }
        self.check_outcomes(&mut wrong);
        self.check_duplicates(&mut wrong);
        self.check_reports(&mut wrong);
        self.check_senders(&mut wrong);
        self.violations.extend(wrong);
    }

    fn check_duplicates(&mut self, wrong: &mut Vec<String>) {
        let mut groups: BTreeMap<(usize, String), Vec<&Copy>> = BTreeMap::new();
        for ((user, _), copy) in &self.copies {
            let name = match (&copy.report, copy.tag) {
                (Some(report), _) => report.name.clone(),
                (None, Some(tag)) => format!("tag {tag}"),
                (None, None) => continue,
            };
            groups.entry((*user, name)).or_default().push(copy);
        }
        let mut duplicates = 0;
        for ((user, name), copies) in groups {
            if copies.len() < 2 {
                continue;
            }
            let sent =
                copies[0].tag.filter(|_| copies[0].report.is_none()).and_then(|tag| self.sent.get(&tag));
            let paths: u32 = sent.map_or(1, |(sent, _)| {
                sent.offered.iter().filter_map(|to| self.plan.way(to).paths.get(&user).copied()).sum()
            });
            let ringed = sent.is_some_and(|(sent, _)| sent.offered.iter().any(|to| to.starts_with("ring@")));
            if paths > 1 || ringed {
                continue;
            }
            for (number, copy) in copies.iter().enumerate().skip(1) {
                duplicates += 1;
                let excused = copies[..number].iter().all(|other| self.excuses_both(other, copy));
                if !excused {
                    let user = &self.plan.users[user].address;
                    let hops: Vec<_> = copies.iter().map(|copy| &copy.hops).collect();
                    wrong
                        .push(format!("{user} has {name} {} times without a reason: {hops:?}", copies.len()));
                    break;
                }
            }
        }
        self.counts.duplicates = duplicates + self.check_elsewhere(wrong);
    }

    /// The same for somebody else's host, which writes nothing into messages: the last of ours has sent twice.
    fn check_elsewhere(&self, wrong: &mut Vec<String>) -> u64 {
        let mut seen: BTreeMap<(&str, Option<u64>), Vec<&Copy>> = BTreeMap::new();
        let mut duplicates = 0;
        for (to, copy) in &self.elsewhere {
            let before = seen.entry((to, copy.tag)).or_default();
            let sent = copy.tag.and_then(|tag| self.sent.get(&tag));
            let ways = sent.map_or(0, |(sent, _)| {
                let dead = sent.offered.iter().flat_map(|offered| self.plan.way(offered).dead);
                dead.filter(|addresses| addresses.contains(to)).count()
            });
            let excused = ways > 1
                || before.iter().all(|other| {
                    let common = one_way(&other.hops, &copy.hops);
                    common.checked_sub(1).is_some_and(|at| {
                        let (host, id) = &copy.hops[at];
                        self.may_send_twice(host, id)
                    })
                });
            duplicates += u64::from(!before.is_empty());
            if !excused {
                wrong.push(format!("{to} has tag {:?} twice without a reason: {:?}", copy.tag, copy.hops));
            }
            before.push(copy);
        }
        duplicates
    }

    /// Whether the host at which the ways of two copies part had a reason to send twice.
    fn excuses_both(&self, one: &Copy, other: &Copy) -> bool {
        if one.hops == other.hops {
            return false;
        }
        let common = one_way(&one.hops, &other.hops);
        match (common, &one.report) {
            (0, None) => false,
            // The first to take a report is not the one who wrote it.
            (0, Some(report)) => self.queued.iter().any(|((host, _), queued)| {
                *host == report.host && queued.report && self.may_send_twice(host, &queued.id)
            }),
            (common, _) => {
                let (host, id) = &one.hops[common - 1];
                self.may_send_twice(host, id)
            }
        }
    }

    fn may_send_twice(&self, host: &str, id: &str) -> bool {
        let Some(queued) = self
            .queued
            .iter()
            .find(|((of, _), queued)| of == host && queued.id == id)
            .map(|(_, queued)| queued)
        else {
            return false;
        };
        queued.doubt || self.has_stopped(host, queued)
    }

    fn has_stopped(&self, host: &str, queued: &Queued) -> bool {
        self.stops.iter().any(|(of, at)| of == host && *at >= queued.at)
    }

    /// Every recipient has an outcome, unless its host was stopped before it could say it.
    fn check_outcomes(&self, wrong: &mut Vec<String>) {
        for ((host, queue_id), queued) in &self.queued {
            let Queued { recipients, ended, kept, finished, .. } = *queued;
            if kept && (ended != recipients || !finished) && !self.has_stopped(host, queued) {
                wrong.push(format!(
                    "{ended} of {recipients} recipients of {queue_id} at {host} have an outcome"
                ));
            }
        }
    }

    fn check_reports(&self, wrong: &mut Vec<String>) {
        let mut names: BTreeMap<(&str, &str, &str), BTreeSet<&str>> = BTreeMap::new();
        for ((user, _), copy) in &self.copies {
            let Some(report) = &copy.report else { continue };
            for to in &report.failed {
                names.entry((&report.host, &report.about, to)).or_default().insert(&report.name);
                let Some((sent, _)) = report.tag.and_then(|tag| self.sent.get(&tag)) else { continue };
                let ways: Vec<_> = sent.offered.iter().map(|offered| self.plan.way(offered)).collect();
                let known = ways.iter().any(|way| {
                    way.dead.iter().chain(way.mailboxes.values()).any(|addresses| addresses.contains(to))
                });
                if !known {
                    let user = &self.plan.users[*user].address;
                    wrong.push(format!("{user} has a report on {to}, to whom tag {} was not sent", sent.tag));
                }
                self.check_report_on_delivered(sent.tag, &ways, report, to, wrong);
            }
        }
        for ((host, about, to), names) in names {
            if names.len() > 1 {
                wrong.push(format!("{host} has reported {about} for {to} {} times: {names:?}", names.len()));
            }
        }
    }

    /// A recipient that was both delivered to and reported needs a doubt.
    fn check_report_on_delivered(
        &self,
        tag: u64,
        ways: &[crate::plan::Way],
        report: &Reported,
        to: &str,
        wrong: &mut Vec<String>,
    ) {
        for (user, addresses) in ways.iter().flat_map(|way| &way.mailboxes) {
            let paths: u32 = ways.iter().filter_map(|way| way.paths.get(user)).sum();
            if paths != 1 || !addresses.contains(to) {
                continue;
            }
            let delivered = self
                .copies
                .iter()
                .find(|((of, _), copy)| of == user && copy.report.is_none() && copy.tag == Some(tag));
            let Some((_, copy)) = delivered else { continue };
            let excused = copy.hops.iter().any(|(host, id)| {
                self.may_send_twice(host, id) || *host == report.host && self.doubted(host, &report.about)
            });
            if !excused {
                wrong.push(format!(
                    "{to} has tag {tag}, and {} says that it has not: {:?}",
                    report.host, copy.hops
                ));
            }
        }
    }

    fn doubted(&self, host: &str, queue_id: &str) -> bool {
        self.queued.get(&(host.to_owned(), queue_id.to_owned())).is_some_and(|queued| queued.doubt)
    }

    /// Each sender against each mailbox.
    fn check_senders(&self, wrong: &mut Vec<String>) {
        let mut delivered = BTreeSet::new();
        let mut reported: BTreeSet<(u64, &str)> = BTreeSet::new();
        for ((user, _), copy) in &self.copies {
            match (&copy.report, copy.tag) {
                (Some(report), _) => {
                    let tag = report.tag.unwrap_or_default();
                    reported.extend(report.failed.iter().map(|to| (tag, to.as_str())));
                }
                (None, Some(tag)) => _ = delivered.insert((*user, tag)),
                (None, None) => {}
            }
        }
        let elsewhere: BTreeSet<_> =
            self.elsewhere.iter().filter_map(|(to, copy)| Some((copy.tag?, to.as_str()))).collect();
        let mut lost = self.lost_reports.clone();
        // A host that stops between a commit and its log has said nothing of what is durable.
        let unsaid =
            self.queued.iter().filter(|((host, _), queued)| queued.null && self.has_stopped(host, queued));
        let mut unsaid: usize =
            unsaid.map(|(_, queued)| queued.recipients.saturating_sub(queued.ended)).sum();
        for (sent, _) in self.sent.values() {
            let tag = sent.tag;
            if matches!(sent.answered, Answered::Refused | Answered::Unfinished)
                && let Some((user, _)) = delivered.iter().find(|(_, other)| *other == tag)
            {
                let (user, answered) = (&self.plan.users[*user].address, sent.answered);
                wrong.push(format!("tag {tag} is with {user}, and its sender was told {answered:?}"));
            }
            if sent.answered != Answered::Accepted {
                continue;
            }
            let mut missing = Vec::new();
            for taken in &sent.taken {
                let way = self.plan.way(taken);
                let alive = way.mailboxes.iter().filter(|(user, _)| !delivered.contains(&(**user, tag)));
                for addresses in alive.map(|(_, addresses)| addresses).chain(&way.dead) {
                    let taken = |address| elsewhere.contains(&(tag, address));
                    if !addresses
                        .iter()
                        .any(|to| reported.contains(&(tag, to.as_str())) || taken(to.as_str()))
                    {
                        missing.push(addresses.clone());
                    }
                }
            }
            if missing.is_empty() {
                continue;
            }
            // Nobody is told when there is no sender, or when the report could not be delivered either: a host says so, unless
            // it has stopped before it could.
            let untold = match &sent.from {
                Some(from) if take_one(&mut lost, from) => 0,
                Some(_) => missing.len(),
                None => {
                    let mut known = BTreeSet::new();
                    let mut told = |addresses: &BTreeSet<String>| {
                        addresses.iter().any(|to| known.contains(to))
                            || addresses.iter().any(|to| take_one(&mut lost, to) && known.insert(to.clone()))
                    };
                    missing.iter().filter(|addresses| !told(addresses)).count()
                }
            };
            if unsaid >= untold {
                unsaid -= untold;
            } else {
                let from = sent.from.as_deref().unwrap_or("<>");
                let id = sent.id.as_deref().unwrap_or("?");
                wrong.push(format!(
                    "tag {tag} from {from} was accepted as {id}, and was neither delivered nor reported for {missing:?}"
                ));
            }
        }
    }
}

/// How many hops two messages have had together.
fn one_way(one: &[(String, String)], other: &[(String, String)]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

fn take_one(lost: &mut BTreeMap<String, u64>, to: &str) -> bool {
    match lost.get_mut(to) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

impl Copy {
    /// From the octets of a mailbox.
    pub fn parse(octets: &[u8]) -> Self {
        let end =
            octets.windows(4).position(|window| window == b"\r\n\r\n").map_or(octets.len(), |at| at + 2);
        let head = String::from_utf8_lossy(&octets[..end]).replace("\r\n\t", " ").replace("\r\n ", " ");
        let mut copy = Self::default();
        for line in head.lines().rev() {
            if let Some(trace) = line.strip_prefix("Received:") {
                let word = |name: &str| {
                    let mut words = trace.split([' ', ';']).skip_while(|word| *word != name);
                    words.nth(1).unwrap_or_default().to_owned()
                };
                copy.hops.push((word("by"), word("id")));
            }
        }
        if head.lines().any(|line| line == "Auto-Submitted: auto-replied") {
            copy.report = Some(Reported::parse(&head, &String::from_utf8_lossy(octets)));
        } else if let Some(at) = octets.windows(BEGIN.len()).position(|window| window == BEGIN) {
            copy.hash = hash(&octets[at..]);
            copy.tag = tag(&head);
        }
        copy
    }
}

impl Reported {
    fn parse(head: &str, all: &str) -> Self {
        let name = head.lines().find_map(|line| line.strip_prefix("Message-ID: ")).unwrap_or_default();
        let inner = name.trim_matches(['<', '>']);
        let (about, host) = (inner.split('.').next(), inner.split_once('@').map(|(_, host)| host));
        let mut reported = Self {
            name: name.to_owned(),
            host: host.unwrap_or_default().to_owned(),
            about: about.unwrap_or_default().to_owned(),
            about_report: all.matches("\r\nAuto-Submitted: auto-replied").count() > 1,
            tag: tag(all),
            failed: Vec::new(),
        };
        let mut recipient = "";
        for line in all.lines() {
            if let Some(to) = line.strip_prefix("Final-Recipient: rfc822; ") {
                recipient = to;
            } else if line == "Action: failed" {
                reported.failed.push(recipient.to_owned());
            }
        }
        reported
    }
}

fn tag(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("Subject: tag ")?.parse().ok())
}

fn hash(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |sum, octet| {
        (sum ^ u64::from(*octet)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

const BEGIN: &[u8] = b"Date: Sun, 09 Sep 2001 01:46:40 +0000\r\nFrom: <";
/// How long what is due may wait behind its expiry, how long an attempt may then take, and what little else there is.
const ATTEMPT: Duration = Duration::from_secs(2 * 3_600 + 2 * 3_600 + 1_800);
const GRACE: Duration = Duration::from_secs(2 * 3_600 + 900);
