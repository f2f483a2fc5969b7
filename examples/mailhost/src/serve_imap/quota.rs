//! GETQUOTA and GETQUOTAROOT. An account with limits has one root, with an empty name, and only who runs the host sets it. One
//! without limits has none: RFC 9208 §7 has no grammar for a root that limits nothing, and Thunderbird takes one for an error.

use bytes::BytesMut;
use imap_codec::Mailbox;
use imap_codec::extension::quota::{Quota, QuotaRoot, Usage};
use imap_codec::response::{Code, Data};
use imap_codec::server::Answer;
use imap_codec::types::string::{Atom, IString};

use super::session::{End, Session};

impl Session<'_> {
    pub(super) async fn quota(&self, root: &IString<'_>, answer: &mut Answer<'_>, out: &mut BytesMut) -> End {
        match self.limited().await {
            Some(quota) if quota.root.as_bytes() == root.as_bytes() => {
                answer.untagged(&Data::Quota(quota), out);
                End::ok("that is it")
            }
            _ => End::no((Code::NonExistent, "no such quota root")),
        }
    }

    pub(super) async fn quota_root(
        &self,
        mailbox: &Mailbox<'_>,
        answer: &mut Answer<'_>,
        out: &mut BytesMut,
    ) -> End {
        // RFC 9208 §4.1.2: the mailbox need not be there.
        let mailbox = mailbox.clone();
        let quota = self.limited().await;
        let roots = quota.iter().map(|quota| quota.root.clone()).collect();
        answer.untagged(&Data::QuotaRoot(QuotaRoot { mailbox, roots }), out);
        if let Some(quota) = quota {
            answer.untagged(&Data::Quota(quota), out);
        }
        End::ok("that is it")
    }

    /// The root of the account.
    async fn limited(&self) -> Option<Quota<'static>> {
        let quota = self.host.store.quota(self.user?.account).await;
        // RFC 9208 §5: STORAGE is in units of 1,024 octets. What has no limit is not named.
        let storage =
            ("STORAGE", quota.used_octets.div_ceil(1_024), quota.limit_octets.map(|limit| limit / 1_024));
        let messages = ("MESSAGE", quota.used_messages, quota.limit_messages);
        let resources: Vec<_> = [storage, messages]
            .into_iter()
            .filter_map(|(name, usage, limit)| {
                Some(Usage { resource: Atom::new(name).ok()?, usage, limit: limit? })
            })
            .collect();
        let root = IString::try_from("").ok()?;
        (!resources.is_empty()).then_some(Quota { root, resources })
    }
}
