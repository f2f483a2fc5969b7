//! The list of differences between `imap-codec` and the published crate of that name is true.

use postrider_fuzz::imap_differences::{COMMANDS, RESPONSES, Reading};
use postrider_fuzz::{imap_command_peer, imap_response_peer};

#[test]
fn each_difference_is_one() {
    let commands =
        COMMANDS.iter().map(|difference| (difference, imap_command_peer::compare(difference.example)));
    let responses =
        RESPONSES.iter().map(|difference| (difference, imap_response_peer::compare(difference.example)));
    for (difference, reading) in commands.chain(responses) {
        assert_eq!(reading, difference.reading, "{}", difference.what);
        assert!((difference.holds)(difference.example), "{}", difference.what);
    }
}

#[test]
fn what_means_something_else_is_seen() {
    // The comparison itself: commands that both take, and read as the same or not.
    assert_eq!(imap_command_peer::compare(b"a SEARCH OR TO {1}\r\nx NOT (SEEN 1:*)\r\n"), Reading::Same);
    assert_eq!(imap_command_peer::compare(b"a FETCH 1 BODY[4294967296]\r\n"), Reading::Same);
    assert_eq!(imap_command_peer::compare(b"a NONSENSE\r\n"), Reading::Same);
    assert_eq!(imap_response_peer::compare(b"* 1 FETCH (BODY[] {2}\r\nxy)\r\n"), Reading::Same);
}
