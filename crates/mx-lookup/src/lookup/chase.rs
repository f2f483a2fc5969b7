//! Follows the CNAME records from one question to its answer.

use core::time::Duration;

use hickory_proto::rr::Name;

use super::{Context, GIVEN_UP};
use crate::answer::Data;
use crate::cache::Known;
use crate::error::Failure;
use crate::query::{Key, Kind};
use crate::resolver::question_text;
use crate::trace::{Finding, Source, Step, Trace};

#[derive(Debug)]
pub(crate) struct Chase {
    key: Key,
    /// The names that were left behind.
    left: Vec<Name>,
    /// All of it so far.
    authenticated: bool,
    expires: Duration,
    /// The answer to the present question was waited for, so the trace has it from the server.
    waited: bool,
}

/// Where a chase has ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) data: Result<Data, Failure>,
    /// The last name.
    pub(crate) name: Name,
    /// The names before it.
    pub(crate) left: Vec<Name>,
    pub(crate) authenticated: bool,
    pub(crate) expires: Duration,
}

impl Chase {
    pub(crate) const fn new(name: Name, kind: Kind) -> Self {
        Self {
            key: (name, kind),
            left: Vec::new(),
            authenticated: true,
            expires: Duration::MAX,
            waited: false,
        }
    }

    pub(crate) fn step(
        &mut self,
        context: &Context<'_>,
        trace: &mut Trace,
        wanted: &mut Vec<Key>,
    ) -> Option<Outcome> {
        loop {
            let (answer, expires) = match context.cache.get(&self.key, context.now) {
                None if context.give_up => {
                    return Some(self.end(Err(GIVEN_UP), context.now + context.config.limits.failure_ttl.0));
                }
                None => {
                    self.waited = true;
                    wanted.push(self.key.clone());
                    return None;
                }
                Some(Known::Failure(failure, until)) => {
                    self.cached(Finding::Failed(failure), until, context, trace);
                    return Some(self.end(Err(failure), until));
                }
                Some(Known::Answer(answer, expires)) => (answer, expires),
            };
            self.cached(answer.finding(), expires, context, trace);
            self.authenticated &= answer.authenticated;
            for name in &answer.via {
                let before = core::mem::replace(&mut self.key.0, name.clone());
                self.left.push(before);
                if self.left.contains(name) {
                    return Some(self.end(Err(Failure::AliasLoop), expires));
                }
                if self.left.len() > context.config.limits.aliases {
                    return Some(self.end(Err(Failure::AliasChain), expires));
                }
            }
            self.waited = false;
            if answer.data != Data::Alias {
                return Some(self.end(Ok(answer.data.clone()), expires));
            }
            self.expires = self.expires.min(expires);
        }
    }

    fn end(&self, data: Result<Data, Failure>, expires: Duration) -> Outcome {
        Outcome {
            data,
            name: self.key.0.clone(),
            left: self.left.clone(),
            authenticated: self.authenticated,
            expires: self.expires.min(expires),
        }
    }

    fn cached(&self, finding: Finding, expires: Duration, context: &Context<'_>, trace: &mut Trace) {
        if !self.waited {
            let ttl = Some(expires.saturating_sub(context.now));
            let question = question_text(&self.key);
            let step = Step { at: context.now, question, source: Source::Cache, finding, ttl };
            trace.push(&step.into());
        }
    }
}
