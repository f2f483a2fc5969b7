//! Files that are dropped on a message or pasted into it, and images that are asked for.

use std::fs;
use std::path::PathBuf;

use super::Browser;
use super::people::{ANNA, Home};
use crate::imap::Imap;
use crate::support::base64;

impl Browser {
    /// The names of the files that go along, as soon as there are so many.
    #[track_caller]
    fn goes_along(&mut self, count: usize) -> Vec<String> {
        let names = "[...document.querySelector('input[type=file]').files].map(file => file.name)";
        self.wait(&format!("{count} files"), |this| {
            let names = this.evaluate(names);
            let names: Vec<String> =
                names.as_array()?.iter().filter_map(|name| Some(name.as_str()?.to_owned())).collect();
            (names.len() == count).then_some(names)
        })
    }

    /// Whether the place for files shows that something is held over it.
    fn is_over(&mut self) -> bool {
        self.evaluate("document.querySelector('.files').classList.contains('over')") == true
    }
}

#[test]
fn files_are_dropped_on_a_message_and_pasted_into_it() {
    let name = "files_are_dropped_on_a_message_and_pasted_into_it";
    let home = Home::new();
    let Some(mut anna) = home.anna(name) else { return };
    let file = |name: &str, text: &str| -> PathBuf {
        let path = home.site.folder().path(name);
        fs::write(&path, text).unwrap();
        path
    };
    let (map, tides) = (file("map of the island.txt", "north is up\n"), file("tides.csv", "11:42,high\n"));
    anna.goes("/compose");
    anna.fill("To", ANNA);
    anna.fill("Subject", "Three files");
    anna.fill("Message", "Dropped and pasted.");
    // What is taken away again is not there.
    anna.drags(std::slice::from_ref(&map), "Message", false);
    anna.wait("nothing to be held", |this| (!this.is_over()).then_some(()));
    assert_eq!(anna.goes_along(0), [""; 0]);
    anna.drags(&[map, tides], "Message", true);
    assert_eq!(anna.goes_along(2), ["map of the island.txt", "tides.csv"]);
    assert!(!anna.is_over());
    // One from the clipboard, which a browser calls as it likes; those before stay.
    let paste = "{ const data = new DataTransfer(); data.items.add(new File(['pasted'], 'image.png', { type: 'image/png' })); \
        document.querySelector('textarea').dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, \
        cancelable: true })) }";
    anna.evaluate(paste);
    assert_eq!(anna.goes_along(3), ["map of the island.txt", "tides.csv", "image.png"]);
    assert_eq!(anna.filled("Message"), "Dropped and pasted.", "text stays text");
    anna.follow("Send");
    anna.sees("Your message is on its way");
    anna.open("/mail");
    anna.sees("Three files");
    anna.goes_to("Three files");
    for name in ["map of the island.txt", "tides.csv", "image.png"] {
        anna.sees(name);
    }
    let mut imap = Imap::anna(&home.host);
    imap.ok("SELECT INBOX");
    let part = |imap: &mut Imap, number: u32| {
        String::from_utf8_lossy(&imap.ok(format!("FETCH 1 BODY.PEEK[{number}]")).data[0]).into_owned()
    };
    for (number, text) in [(2, "north is up\n"), (3, "11:42,high\n"), (4, "pasted")] {
        let part = part(&mut imap, number);
        assert!(part.contains(&base64(text.as_bytes())) || part.contains(text.trim_end()), "{part}");
    }
    anna.has_behaved();
}

#[test]
fn remote_images_are_loaded_when_their_reader_asks_and_this_once() {
    let name = "remote_images_are_loaded_when_their_reader_asks_and_this_once";
    let home = Home::lived_in();
    let Some(mut anna) = home.anna(name) else { return };
    anna.goes_to("What the sea brought us this week");
    anna.sees("Two seals have moved in");
    let path = anna.path();
    let record = anna.record();
    assert!(record.is_contained(), "{record:#?}");
    let wanted = [
        "https://pictures.tide.example/seals.jpg?reader=anna",
        "https://count.tide.example/open.gif?who=anna",
    ];
    anna.forgets();
    anna.goes_to("Load them once");
    anna.sees("Two seals have moved in");
    anna.wait("the images to be asked for", |this| {
        let record = this.record();
        (record.strays().len() >= 2 && !record.caught.is_empty()).then_some(())
    });
    let record = anna.record();
    let strays = record.strays();
    assert!(strays.len() == 2 && wanted.iter().all(|url| strays.contains(url)), "{strays:?}");
    assert!(record.foreign_scripts().is_empty() && record.alarms.is_empty(), "{record:#?}");
    // The next time, nobody is asked for anything.
    anna.forgets();
    anna.open(&path);
    anna.sees("Two seals have moved in");
    anna.finds("Load them once");
    let record = anna.record();
    assert!(record.strays().is_empty(), "{record:#?}");
}
