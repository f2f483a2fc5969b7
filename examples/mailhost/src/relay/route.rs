//! From a domain to the hosts that are tried, and what is remembered of that.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use mx_lookup::{Plan, Trace};
use relay_queue::{Answer, Route, Status};

use super::Relay;

/// What is known of each site and each domain.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) sites: BTreeMap<String, Vec<Hop>>,
    pub(super) domains: BTreeMap<String, Looked>,
}

/// What came of looking a domain up.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    /// How it was found, a line a step.
    pub(super) trace: String,
    /// Where its mail goes.
    pub(super) site: Option<String>,
}

/// A host to be tried.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    pub(super) name: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) port: u16,
}

impl Relay {
    /// Finds the hosts for a domain.
    pub(super) async fn resolve(&self, domain: String) {
        let route = match self.fixed(&domain).await {
            Some(route) => route,
            None => match self.dns.plan(&domain).await {
                Some((plan, trace)) => self.learn(&domain, plan, &trace),
                None => return,
            },
        };
        self.queue().handle_route(self.unix_now(), &domain, route);
        self.wake.notify_one();
    }

    /// A host that the configuration names for the domain.
    async fn fixed(&self, domain: &str) -> Option<Route> {
        let ways = self.ways();
        let hop = ways.routes.get(domain).or_else(|| ways.smarthost.as_ref().map(|(hop, _)| hop))?;
        let until = self.unix_now() + FIXED;
        let addresses = self.store.system().addresses(&hop.host).await.unwrap_or_default();
        let trace = format!("the configuration names {} for {domain}", hop.text());
        if addresses.is_empty() {
            self.remember(domain, Looked { trace, site: None });
            let text = format!("{}, which the configuration names, has no address", hop.host);
            let answer = Answer::local(Status::new(4, 4, 3), &text);
            return Some(Route::Failed { answer, permanent: false, until });
        }
        let site = hop.text();
        let hops = vec![Hop { name: hop.host.clone(), addresses, port: hop.port }];
        self.known().sites.insert(site.clone(), hops);
        self.remember(domain, Looked { trace, site: Some(site.clone()) });
        Some(Route::Site { site, until })
    }

    fn learn(&self, domain: &str, plan: Plan, trace: &Trace) -> Route {
        let until = self.unix_now() + plan.expires().saturating_sub(self.dns.now());
        let verdict = plan.verdict().cloned();
        let trace = trace.to_string();
        match (plan, verdict) {
            (Plan::Deliver { hosts, site, .. }, _) => {
                let site = site.to_string();
                let port = self.ways().port;
                let hop = |host: mx_lookup::Host| Hop { name: host.name, addresses: host.addresses, port };
                self.known().sites.insert(site.clone(), hosts.into_iter().map(hop).collect());
                self.remember(domain, Looked { trace, site: Some(site.clone()) });
                Route::Site { site, until }
            }
            (_, verdict) => {
                self.remember(domain, Looked { trace, site: None });
                let (permanent, answer) = match verdict {
                    Some(verdict) => {
                        let (class, subject, detail) = verdict.enhanced;
                        let status = Status::new(class, subject, detail);
                        (!verdict.is_temporary(), Answer::local(status, &verdict.text))
                    }
                    None => {
                        (false, Answer::local(Status::new(4, 4, 3), "this version does not know such a plan"))
                    }
                };
                Route::Failed { answer, permanent, until }
            }
        }
    }

    fn remember(&self, domain: &str, looked: Looked) {
        let mut known = self.known();
        known.domains.insert(domain.to_owned(), looked);
        if known.domains.len() > REMEMBERED {
            // What is still waited for is looked up again, and so comes back.
            known.domains.pop_first();
        }
        if known.sites.len() > REMEMBERED {
            known.sites.pop_first();
        }
    }

    pub(super) fn hops(&self, site: &str) -> Vec<Hop> {
        self.known().sites.get(site).cloned().unwrap_or_default()
    }
}

/// How long the address of a host that the configuration names is remembered.
const FIXED: Duration = Duration::from_secs(300);
const REMEMBERED: usize = 10_000;
