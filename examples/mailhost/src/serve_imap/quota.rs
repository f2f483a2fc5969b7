//! GETQUOTA and GETQUOTAROOT. There is one root for each account, with an empty name, and only who runs the host sets it.

use bytes::BytesMut;
use imap_codec::Mailbox;
use imap_codec::extension::quota::{Quota, QuotaRoot, Usage};
use imap_codec::response::{Code, Data};
use imap_codec::server::Answer;
use imap_codec::types::string::{Atom, IString};

use super::session::{End, Session};

impl Session<'_> {
    pub(super) async fn quota(&self, root: &IString<'_>, answer: &mut Answer<'_>, out: &mut BytesMut) -> End {
        if !root.as_bytes().is_empty() {
            return End::no((Code::NonExistent, "no such quota root"));
        }
        self.tell_quota(answer, out).await;
        End::ok("that is it")
    }

    pub(super) async fn quota_root(
        &self,
        mailbox: &Mailbox<'_>,
        answer: &mut Answer<'_>,
        out: &mut BytesMut,
    ) -> End {
        // RFC 9208 §4.1.2: the mailbox need not be there.
        let roots = IString::try_from("").into_iter().collect();
        answer.untagged(&Data::QuotaRoot(QuotaRoot { mailbox: mailbox.clone(), roots }), out);
        self.tell_quota(answer, out).await;
        End::ok("that is it")
    }

    async fn tell_quota(&self, answer: &mut Answer<'_>, out: &mut BytesMut) {
        let Some(user) = self.user else { return };
        let quota = self.host.store.quota(user.account).await;
        // RFC 9208 §5: STORAGE is in units of 1,024 octets. What has no limit is not named.
        let storage =
            ("STORAGE", quota.used_octets.div_ceil(1_024), quota.limit_octets.map(|limit| limit / 1_024));
        let messages = ("MESSAGE", quota.used_messages, quota.limit_messages);
        let resources = [storage, messages].into_iter().filter_map(|(name, usage, limit)| {
            Some(Usage { resource: Atom::new(name).ok()?, usage, limit: limit? })
        });
        let resources = resources.collect();
        if let Ok(root) = IString::try_from("") {
            answer.untagged(&Data::Quota(Quota { root, resources }), out);
        }
    }
}
