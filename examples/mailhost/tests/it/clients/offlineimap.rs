//! OfflineIMAP, two ways.

use std::process::Command;

use super::server::{Kind, LOGIN, Server};
use super::{foreign, two_ways};
use crate::support::{Folder, PASSWORD, is_installed, skip};

fn works_with(kind: Kind, test: &str) {
    if !is_installed("offlineimap", "--version") {
        return skip(test, "offlineimap is not installed (offlineimap3)");
    }
    let Some(server) = Server::start(kind, test) else { return };
    let folder = Folder::new();
    let config = folder.write(
        "offlineimaprc",
        &format!(
            "[general]\naccounts = anna\nmetadata = {here}metadata\nui = basic\nsocktimeout = 60\n\
             [Account anna]\nlocalrepository = near\nremoterepository = far\n\
             [Repository near]\ntype = Maildir\nlocalfolders = {here}near\nsep = /\n\
             [Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = {port}\nssl = yes\n\
             sslcacertfile = {certificate}\nremoteuser = {LOGIN}\nremotepass = {PASSWORD}\n",
            port = server.imaps().port(),
            certificate = server.certificate().display(),
            here = folder.path("").display(),
        ),
    );
    let near = folder.path("near");
    two_ways::work(&server, &near, false, || {
        let mut offlineimap = Command::new("offlineimap");
        offlineimap.env("HOME", folder.path("")).arg("-o").arg("-c").arg(&config);
        let result = foreign::run(&mut offlineimap);
        assert_eq!(result.status, Some(0), "{}{}", result.stdout, result.stderr);
    });
}

#[test]
fn offlineimap_works_with_dovecot() {
    works_with(Kind::Dovecot, "offlineimap_works_with_dovecot");
}

#[test]
fn offlineimap_works_with_us() {
    works_with(Kind::Ours, "offlineimap_works_with_us");
}
