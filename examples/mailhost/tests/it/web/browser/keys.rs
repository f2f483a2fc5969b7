//! Hands that stay on the keyboard, and addresses that complete themselves.

use super::Browser;
use crate::support::Site;

const ANNA: &str = "anna@example.test";

impl Browser {
    #[track_caller]
    fn is_at(&mut self, path: &str) {
        self.wait(&format!("{path} to be shown"), |this| this.path().starts_with(path).then_some(()));
    }

    #[track_caller]
    fn sends(&mut self, to: &str, subject: &str) {
        self.goes("/compose");
        self.fill("To", to);
        self.fill("Subject", subject);
        self.fill("Message", "Hello");
        self.follow("Send");
        self.sees("Your message is on its way");
    }
}

#[test]
fn all_of_it_can_be_done_with_keys() {
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    let Some(mut anna) = Browser::start("all_of_it_can_be_done_with_keys", &site, &host) else { return };
    anna.open("/");
    anna.signs_in(ANNA);
    for (to, subject) in
        [("Ben Okafor <ben@example.test>, anna@example.test", "The older one"), (ANNA, "The newer one")]
    {
        anna.sends(to, subject);
    }
    anna.goes("/mail");
    anna.sees("The newer one");

    // What can be pressed is shown, and goes away again.
    anna.key("?");
    anna.sees("previous");
    anna.key("Escape");
    anna.wait("the keys to go", |this| (!this.text().contains("previous")).then_some(()));

    // Down to the second row, into it, and back.
    anna.key("j");
    anna.key("j");
    let at = "document.activeElement.closest('[data-uid]')?.innerText ?? ''";
    anna.wait("the second row", |this| {
        this.evaluate(at).as_str().is_some_and(|row| row.contains("older")).then_some(())
    });
    anna.key("o");
    anna.finds("Reply");
    anna.sees("The older one");
    anna.key("u");
    anna.finds("Unread");
    anna.sees("The newer one");

    // The first one is put aside.
    anna.key("j");
    anna.key("x");
    anna.key("e");
    anna.sees("Undo");
    assert!(!anna.text().contains("The newer one"), "{}", anna.text());

    // A letter begins to be written; a name is known from what was sent.
    anna.key("c");
    anna.is_at("/compose");
    anna.fill("To", "oka");
    anna.sees("Ben Okafor <ben@example.test>");
    anna.key("ArrowDown");
    anna.key("Enter");
    anna.wait("the address in its field", |this| {
        (this.filled("To") == "Ben Okafor <ben@example.test>, ").then_some(())
    });
    // What is typed into a field is text, and no command.
    anna.fill("Subject", "");
    for key in ["e", "c", "j"] {
        anna.key(key);
    }
    assert_eq!(anna.filled("Subject"), "ecj");
    anna.is_at("/compose");
    anna.sees("Saved");
    anna.has_behaved();
}

#[test]
fn who_comes_back_to_a_message_finds_what_they_typed() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let name = "who_comes_back_to_a_message_finds_what_they_typed";
    let Some(mut anna) = Browser::start(name, &site, &host) else { return };
    anna.open("/");
    anna.signs_in(ANNA);
    let typed = [("To", "Ben <ben@far.test>, "), ("Subject", "Ropes"), ("Message", "Hello")];
    // The hand may have left the recipients, or be at them still.
    for last in [("Message", "Hello"), ("To", "carla@far.test")] {
        anna.goes("/compose");
        for (field, text) in typed.into_iter().chain([last]) {
            anna.fill(field, text);
        }
        anna.goes("/settings");
        let before = anna.record.loads;
        anna.evaluate("history.back()");
        anna.loaded_since(before, "back");
        anna.is_at("/compose");
        for (field, text) in typed {
            let text = if field == last.0 { last.1 } else { text };
            assert_eq!(anna.filled(field), text, "{field}, where {last:?} was typed last");
        }
    }
    anna.has_behaved();
}
