//! What holds between any two calls.

use std::collections::{BTreeMap, BTreeSet};

use super::message::{Name, State, Warning};
use super::parked::{NEVER, Place, SEVERAL};
use super::site::Routing;
use super::{Queue, Timer, enter};

impl Queue {
    /// Panics unless everything fits together. For tests; it looks at the whole queue.
    #[doc(hidden)]
    pub fn check(&self) {
        let (mut at_sites, mut at_domains) =
            (BTreeMap::<Name, BTreeMap<_, _>>::new(), BTreeMap::<Name, BTreeMap<_, _>>::new());
        let (mut in_domains, mut recipients) = (BTreeMap::<Name, usize>::new(), 0);
        for (id, message) in &self.messages {
            assert!(!message.slots.is_empty());
            let timer = message.deadline.is_some_and(|at| self.timers.contains(&(at, Timer::Message(*id))));
            assert_eq!(message.deadline.is_some(), timer, "a deadline is a timer");
            let commits = self.commits.values().filter(|saving| saving.message == *id).count();
            assert_eq!(commits, usize::from(message.saving), "one commit at a time");
            assert_eq!(message.listed, self.to_save.contains(id), "listed");
            let unsaved = message.slots.iter().any(|slot| slot.unsaved) || message.warning == Warning::Due;
            let cared = message.listed || message.saving || message.stalled.is_some();
            assert!(!unsaved || cared, "a change is forgotten");
            assert!(message.saving || message.active, "a message is taken once it is durable");
            assert!(message.facts.is_empty() || cared, "a fact is forgotten");
            for slot in &message.slots {
                recipients += 1;
                *in_domains.entry(slot.domain.clone()).or_default() += 1;
                assert_eq!(&*slot.domain, slot.address.domain());
                assert!(slot.site.is_none() || slot.state == State::Ready);
                match slot.state {
                    State::Waiting if slot.is_settled() => {
                        assert!(message.deadline.is_some_and(|at| at <= slot.next), "stranded while waiting");
                        assert!(slot.next <= self.expiry(*id).max(self.now), "due after its expiry");
                    }
                    State::Ready => {
                        assert!(slot.is_settled() && message.active, "acted on before it is durable");
                        assert!(message.deadline.is_some(), "stranded while ready");
                        let place = match &slot.site {
                            Some(site) => at_sites.entry(site.clone()).or_default(),
                            None => at_domains.entry(slot.domain.clone()).or_default(),
                        };
                        enter(place, (slot.next, *id));
                    }
                    State::Trying(attempt) => {
                        assert!(slot.is_settled() && message.active, "acted on before it is durable");
                        let work = self.attempts[&attempt].work.as_ref().expect("a delivery is under way");
                        assert_eq!(work.0, *id, "an attempt for another message");
                    }
                    _ => {}
                }
            }
        }
        let mut octets = 0;
        self.messages.values().for_each(|message| octets += super::window::weight(message));
        assert_eq!(self.window.octets, octets, "octets");
        let (mut loading, mut urgent, mut lines) = (0, BTreeSet::new(), BTreeMap::<Name, BTreeSet<_>>::new());
        for (id, entry) in self.window.parked.iter() {
            recipients += usize::from(entry.recipients);
            assert!(!self.messages.contains_key(&id), "in the window and outside");
            let name = self.window.names.get(&entry.domain);
            assert!(name.is_some() || entry.domain == SEVERAL, "a domain without a name");
            name.into_iter().for_each(|name| *in_domains.entry(name.clone()).or_default() += 1);
            match entry.at {
                Place::Waiting => assert!(entry.wake != NEVER || entry.domain == SEVERAL, "never woken"),
                Place::Line => {
                    assert!(entry.wake != NEVER, "never woken in its line");
                    lines.entry(name.expect("a line is of a domain").clone()).or_default().insert(id);
                }
                Place::Urgent => drop(urgent.insert(id)),
                Place::Loading(_) => {
                    assert!(entry.wake != NEVER, "waited for without end");
                    loading += 1;
                }
                Place::Unreadable => {}
            }
        }
        assert_eq!(
            (&lines, &urgent, loading),
            (&self.window.lines, &self.window.urgent, self.window.loading)
        );
        assert!(self.window.late.keys().all(|id| self.window.parked.get(*id).is_some()), "late for nobody");
        assert_eq!(self.recipients, recipients, "recipients");
        for (name, domain) in &self.domains {
            assert_eq!(domain.ready, at_domains.remove(name).unwrap_or_default(), "ready in {name}");
            assert_eq!(
                domain.recipients,
                in_domains.remove(name).unwrap_or_default(),
                "recipients in {name}"
            );
            let asked = match &domain.routing {
                Routing::Listed => self.to_ask.contains(name),
                Routing::Asked { deadline } => {
                    self.timers.contains(&(*deadline, Timer::Domain(name.clone())))
                }
                _ => domain.ready.is_empty(),
            };
            assert!(asked, "stranded in the domain {name}");
        }
        assert!(at_domains.is_empty() && in_domains.is_empty());
        let asked =
            self.domains.values().filter(|domain| matches!(domain.routing, Routing::Asked { .. })).count();
        assert!(asked == self.asked && asked <= self.config.limits.resolves, "questions");
        for (name, site) in &self.sites {
            assert_eq!(site.ready, at_sites.remove(name).unwrap_or_default(), "ready at {name}");
            let open = self.attempts.values().filter(|open| open.site == *name).count();
            assert_eq!(site.open as usize, open, "attempts to {name}");
            assert!(site.window >= 1 && site.window <= self.config.limits.window);
            let timer = site.timer.is_some_and(|at| self.timers.contains(&(at, Timer::Site(name.clone()))));
            assert_eq!(site.timer.is_some(), timer, "a site's deadline is a timer");
            let cared = timer || site.open > 0 || self.open_sites.contains(name);
            let remembered = site.failures > 0 && site.ready.is_empty();
            assert!(cared || remembered, "stranded at the site {name}");
        }
        assert!(at_sites.is_empty());
        assert!(
            self.open_sites
                .iter()
                .all(|name| self.sites.get(name).is_some_and(|site| !site.ready.is_empty()))
        );
        for (id, open) in &self.attempts {
            assert!(self.timers.contains(&(open.lease, Timer::Attempt(*id))), "an attempt without a lease");
        }
        assert!(self.attempts.len() <= self.config.limits.attempts);
        let live = |name: &State| !name.is_final() && *name != State::Held;
        let waits = self.messages.values().any(|message| {
            message.active && !message.saving && message.slots.iter().any(|slot| live(&slot.state))
        });
        assert!(!waits || self.poll_timeout().is_some(), "something waits for ever");
    }
}
