use super::super::{Imap, site};
use super::filled;

/// All words of the capabilities.
fn capabilities(imap: &mut Imap) -> Vec<String> {
    imap.ok("CAPABILITY").lines().concat().split(' ').map(str::to_owned).collect()
}

// Ledger: 9208-4.1.1-1, 9208-4.1.2-1, 9208-5.1-3, 9208-5.2-1, 9208-5.2-3, 9208-5.2-4
// Ledger: 9208-7-2, 9208-7-3, 9208-7-4, 9208-7-5
#[test]
fn what_is_announced_is_counted() {
    let site = site();
    let host = site.start();
    site.does("account quota anna@example.test --size 1MiB --messages 100");
    let mut imap = Imap::anna(&host);
    let can = capabilities(&mut imap);
    for word in ["QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE"] {
        assert!(can.iter().any(|one| one == word), "{word}: {can:?}");
    }
    filled(&mut imap, "INBOX", 5);
    filled(&mut imap, "Sent", 2);
    let quota =
        |storage: u64, messages: u64| format!("QUOTA \"\" (STORAGE {storage} 1024 MESSAGE {messages} 100)");
    assert_eq!(imap.ok("GETQUOTA \"\"").lines(), [quota(1, 7)]);
    assert_eq!(imap.ok("GETQUOTAROOT Sent").lines(), ["QUOTAROOT Sent \"\"".to_owned(), quota(1, 7)]);
    imap.append("INBOX", format!("Subject: x\r\n\r\n{}", "x".repeat(2_048)));
    imap.ok("SELECT INBOX");
    imap.ok("STORE 6 +FLAGS (\\Deleted)");
    // 5 and 2 of 14 octets, and one of 2,062.
    assert_eq!(imap.ok("GETQUOTA \"\"").lines(), [quota(3, 8)]);
    assert_eq!(
        imap.ok("STATUS INBOX (DELETED DELETED-STORAGE)").lines(),
        ["STATUS INBOX (DELETED 1 DELETED-STORAGE 2062)"]
    );
    imap.ok("COPY 1:5 Sent");
    assert_eq!(imap.ok("GETQUOTA \"\"").lines(), [quota(3, 13)]);
    imap.ok("EXPUNGE");
    assert_eq!(imap.ok("GETQUOTA \"\"").lines(), [quota(1, 12)]);
    imap.ok("DELETE Sent");
    assert_eq!(imap.ok("GETQUOTA \"\"").lines(), [quota(1, 5)]);
}

// Ledger: 9208-4.3.1-1
#[test]
fn that_a_quota_is_used_up_is_said_only_to_who_wants_more() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 2);
    site.does("account quota anna@example.test --messages 1");
    for command in
        ["NOOP", "LIST \"\" INBOX", "STATUS INBOX (MESSAGES)", "SELECT INBOX", "STORE 1 +FLAGS (x)", "NOOP"]
    {
        let said = imap.ok(command);
        assert!(!said.contains("OVERQUOTA") && !said.lines().concat().contains("OVERQUOTA"), "{command}");
    }
    imap.idle();
    assert_eq!(imap.done().lines(), Vec::<String>::new());
    imap.refused("COPY 1 Sent", "OVERQUOTA");
}
