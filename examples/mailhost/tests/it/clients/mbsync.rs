//! mbsync, two ways.

use std::fs;
use std::process::Command;

use super::server::{Kind, LOGIN, Server};
use super::{foreign, two_ways};
use crate::support::{Folder, PASSWORD, is_installed, skip};

fn works_with(kind: Kind, test: &str) {
    if !is_installed("mbsync", "--version") {
        return skip(test, "mbsync is not installed (isync)");
    }
    let Some(server) = Server::start(kind, test) else { return };
    let folder = Folder::new();
    let config = folder.write(
        "mbsyncrc",
        &format!(
            "IMAPStore far\nHost localhost\nPort {port}\nSSLType IMAPS\nSystemCertificates no\n\
             CertificateFile {certificate}\nUser {LOGIN}\nPass \"{PASSWORD}\"\n\n\
             MaildirStore near\nPath {here}near/\nInbox {here}near/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nSync All\nCreate Both\nRemove Both\nExpunge Both\n\
             SyncState {here}state/\nCopyArrivalDate yes\n",
            port = server.imaps().port(),
            certificate = server.certificate().display(),
            here = folder.path("").display(),
        ),
    );
    let near = folder.path("near");
    // What it remembers lies apart, or a deleted mailbox would take that along.
    for path in [&near, &folder.path("state")] {
        fs::create_dir(path).unwrap();
    }
    two_ways::work(&server, &near, true, || {
        let mut mbsync = Command::new("mbsync");
        let result = foreign::run(mbsync.arg("-V").arg("-c").arg(&config).arg("all"));
        assert_eq!(result.status, Some(0), "{}{}", result.stdout, result.stderr);
    });
}

#[test]
fn mbsync_works_with_dovecot() {
    works_with(Kind::Dovecot, "mbsync_works_with_dovecot");
}

#[test]
fn mbsync_works_with_us() {
    works_with(Kind::Ours, "mbsync_works_with_us");
}
