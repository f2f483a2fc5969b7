//! Where the configuration sends mail for others, and how it talks to a smarthost; and what another configuration changes.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};

use mx_lookup::Resolver;
use tracing::warn;
use zeroize::Zeroizing;

use super::connection::Security;
use super::route::Hop;
use super::{Relay, RelayError, tls};
use crate::auth::Password;
use crate::client::{Credentials, Encryption};
use crate::config::{Config, ConfigError, NextHop, Smarthost};
use crate::store::Store;

/// Where the configuration sends mail for others.
#[derive(Debug)]
pub(super) struct Ways {
    pub(super) smarthost: Option<(NextHop, Security)>,
    pub(super) routes: BTreeMap<String, NextHop>,
    pub(super) port: u16,
}

/// What a configuration says about mail for others, found to be usable; see [`Relay::change`].
#[derive(Debug)]
pub struct Prepared {
    ways: Ways,
    schedule: relay_queue::Schedule,
    resolver: Option<Resolver>,
}

impl Relay {
    /// Sees whether another configuration can be used, and gets it ready. Changes nothing.
    pub fn prepare(&self, old: &Config, new: &Config) -> Result<Prepared, RelayError> {
        let login = match (smarthost_login(new), self.login()) {
            // It may have been root who could read it.
            (Err(RelayError::PasswordFile(file, error)), Some(known))
                if error.kind() == io::ErrorKind::PermissionDenied
                    && old.relay.smarthost.as_ref().map(Smarthost::login)
                        == new.relay.smarthost.as_ref().map(Smarthost::login) =>
            {
                let file = file.display();
                warn!(%file, %error, "the smarthost's password cannot be read any more; the one read before stays in use");
                Some(known)
            }
            (login, _) => login?,
        };
        let ways = Ways::new(new, &self.security, login)?;
        let same =
            (&old.dns, old.relay.allow_private_addresses) == (&new.dns, new.relay.allow_private_addresses);
        let resolver = if same { None } else { Some(resolver(&self.store, new)?) };
        Ok(Prepared { ways, schedule: schedule(new), resolver })
    }

    /// Goes by another configuration from now on. What is under way stays as it is; what waits is looked up anew when its
    /// turn comes.
    pub fn change(&self, change: Prepared) {
        let Prepared { ways, schedule, resolver } = change;
        *self.ways.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ways);
        match resolver {
            Some(resolver) => self.dns.replace(resolver),
            None => self.dns.flush(),
        }
        let mut queue = self.queue();
        queue.forget_routes();
        queue.set_schedule(self.unix_now(), schedule);
        drop(queue);
        self.wake.notify_one();
    }

    /// The login at the smarthost.
    fn login(&self) -> Option<Arc<Credentials>> {
        self.ways().smarthost.as_ref().and_then(|(_, security)| security.login.clone())
    }

    pub(super) fn ways(&self) -> Arc<Ways> {
        Arc::clone(&self.ways.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How to talk to a site.
    pub(super) fn security(&self, hop: &Hop) -> Security {
        match &self.ways().smarthost {
            Some((smarthost, security)) if smarthost.host == hop.name && smarthost.port == hop.port => {
                security.clone()
            }
            _ => self.security.clone(),
        }
    }
}

impl Ways {
    pub(super) fn new(
        config: &Config,
        usual: &Security,
        login: Option<Arc<Credentials>>,
    ) -> Result<Self, RelayError> {
        let smarthost = config.relay.smarthost.as_ref().map(|smarthost| {
            // A password goes to nobody whose name has not been proven; without one, TLS is as for everybody.
            let security = match login {
                Some(login) => {
                    Security { tls: tls::verified()?, encryption: Encryption::Required, login: Some(login) }
                }
                None => usual.clone(),
            };
            Ok::<_, RelayError>((smarthost.hop.clone(), security))
        });
        let (routes, port) = (config.relay.routes.clone(), config.relay.port);
        Ok(Self { smarthost: smarthost.transpose()?, routes, port })
    }
}

pub(super) fn schedule(config: &Config) -> relay_queue::Schedule {
    let queue = &config.queue;
    relay_queue::Schedule::default().waits(&queue.retry).expire(queue.expire).warn(queue.warn)
}

pub(super) fn resolver(store: &Store, config: &Config) -> Result<Resolver, RelayError> {
    let mut seed = [0; 32];
    store.system().fill_random(&mut seed).map_err(RelayError::Random)?;
    let servers = if config.dns.is_empty() { vec![FALLBACK_DNS] } else { config.dns.clone() };
    let dns_config = mx_lookup::Config::new(servers)
        .allow_private_addresses(config.relay.allow_private_addresses)
        .own_host(config.hostname.as_str())
        .map_err(|error| RelayError::Config(format!("{}: {error}", config.hostname)))?;
    Ok(Resolver::new(dns_config, seed))
}

impl RelayError {
    /// The error with the file of the configuration, and what to do.
    pub fn located(&self, config: &Config) -> ConfigError {
        match self {
            Self::PasswordFile(..) => {
                config.error(None, format!("{self}; correct the file, its path or its permissions"))
            }
            other => config.error(None, other),
        }
    }
}

/// Reads the login at the smarthost, if the configuration names one: before root is given up, for its file may be root's alone.
pub fn smarthost_login(config: &Config) -> Result<Option<Arc<Credentials>>, RelayError> {
    let Some((user, file)) = config.relay.smarthost.as_ref().and_then(Smarthost::login) else {
        return Ok(None);
    };
    let failed = |error| RelayError::PasswordFile(file.to_owned(), error);
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(failed)?);
    let word = text.lines().next().unwrap_or_default().to_owned();
    let password = Password::new(word).map_err(|error| failed(io::Error::other(error)))?;
    Ok(Some(Arc::new(Credentials { name: user.to_owned(), password })))
}

const FALLBACK_DNS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 53);
