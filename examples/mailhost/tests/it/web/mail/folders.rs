//! Folders are made, renamed and deleted.

use super::{Anna, is_refused, message, put, site};
use crate::imap::{Imap, Said};

fn is_there(said: &Said, name: &str) -> bool {
    said.lines().iter().any(|line| line.ends_with(&format!(" {name}")))
}

#[test]
fn folders_are_made_renamed_and_deleted_for_imap_too() {
    let Some(site) = site("folders_are_made_renamed_and_deleted_for_imap_too") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let anna = Anna::sign_in(&site, &host);
    let said = |path: &str, fields: &[(&str, &str)]| {
        let answer = anna.send(path, fields);
        if answer.status == 303 { anna.page(super::location(&answer)) } else { answer.body }
    };
    let page = said("/folders/new", &[("name", " Travel/2026 ")]);
    assert!(page.contains("There is a folder “Travel/2026” now."), "{page}");
    assert!(is_there(&imap.ok("LIST \"\" Travel/*"), "Travel/2026"));
    assert!(is_there(&imap.ok("LSUB \"\" Travel/*"), "Travel/2026"));
    let page = said("/folders/new", &[("name", "Travel/2026")]);
    assert!(is_refused(&page, "There is a folder of this name already."), "{page}");
    assert!(page.contains("name=\"name\" value=\"Travel/2026\" required maxlength"), "{page}");
    for bad in ["", "a//b", "/", "a/"] {
        let page = said("/folders/new", &[("name", bad)]);
        assert!(is_refused(&page, "A folder cannot have this name"), "{bad}: {page}");
    }
    put(&mut imap, "Travel/2026", &message("a", "", "carla@far.test", "x", "y"));
    let travel = anna.folder("Travel").replace("/mail/", "/folders/");
    let page = said(&format!("{travel}/rename"), &[("name", "Drafts/\"//")]);
    assert!(is_refused(&page, "A folder cannot have this name"), "{page}");
    // What was typed can be mended where it was typed.
    assert_eq!(page.matches("<details open>").count(), 1, "{page}");
    assert_eq!(page.matches("value=\"Drafts/&quot;//\"").count(), 1, "{page}");
    assert!(said(&format!("{travel}/rename"), &[("name", "Trips")]).contains("is called “Trips” now"));
    assert!(is_there(&imap.ok("LSUB \"\" Trips/*"), "Trips/2026"));
    assert!(imap.ok("LSUB \"\" Travel*").lines().is_empty());
    let page = said(&format!("{travel}/delete"), &[("sure", "yes")]);
    assert!(is_refused(&page, "There are folders within this one."), "{page}");
    let trip = anna.folder("Trips/2026").replace("/mail/", "/folders/");
    let asked = said(&format!("{trip}/delete"), &[]);
    assert!(asked.contains("Delete the folder “Trips/2026”?") && asked.contains("1 message"), "{asked}");
    assert!(
        said(&format!("{trip}/delete"), &[("sure", "yes")]).contains("The folder “Trips/2026” is deleted.")
    );
    assert!(imap.ok("LIST \"\" Trips/*").lines().is_empty());
    let inbox = anna.inbox.replace("/mail/", "/folders/");
    assert!(said(&format!("{inbox}/delete"), &[("sure", "yes")]).contains("The inbox stays as it is."));
    assert!(said(&format!("{inbox}/rename"), &[("name", "other")]).contains("The inbox stays as it is."));
}
