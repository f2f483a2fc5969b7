"""The work of clients/work.rs, done with imapclient under TLS."""

import datetime
import sys

from imapclient import DRAFT, SEEN, IMAPClient, exceptions
from work import Settings, equal, idling, report


def refused(work, *arguments):
    try:
        answer = work(*arguments)
    except exceptions.IMAPClientError:
        return
    raise AssertionError(f"{arguments} is not refused: {answer}")


def at(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)


def messages(imap, mailbox):
    count = imap.select_folder(mailbox, readonly=True)[b"EXISTS"]
    fetched = imap.fetch(imap.search(), ["FLAGS", "INTERNALDATE", "BODY.PEEK[]"]) if count else {}
    equal(len(fetched), count)
    for uid, data in sorted(fetched.items()):
        flags = [flag.decode() for flag in data[b"FLAGS"]]
        yield uid, flags, int(data[b"INTERNALDATE"].timestamp()), data[b"BODY[]"]


def lasting(flags):
    """The flags of messages without \\Recent, which belongs to a session."""
    return {uid: sorted(flag for flag in of if flag != b"\\Recent") for uid, of in flags.items()}


def find(imap, sent, uids):
    for criteria, expected in [
        ("ALL", range(1, 11)),
        (["SUBJECT", "header alone"], [8]),
        (["BODY", "NEEDLE"], [1]),
        (["UNSEEN", "NOT", "FLAGGED"], [1, 4, 6, 7, 8, 9, 10]),
        (["KEYWORD", "project"], [9]),
        (["SINCE", datetime.date(2026, 1, 3), "BEFORE", datetime.date(2026, 1, 5)], [3, 4]),
        (["SENTSINCE", datetime.date(2026, 1, 9)], [9, 10]),
        (["LARGER", 100000], [6]),
        (["OR", ["FROM", "nobody"], ["NOT", ["TO", "anna", "UID", f"{uids[1]}:*"]]], [1]),
        (["HEADER", "Message-ID", "<4@far.test>"], [5]),
        ("DELETED", []),
    ]:
        equal((criteria, imap.search(criteria)), (criteria, [uids[number - 1] for number in expected]))
    equal(imap.search(["TEXT", "Grüße"], "UTF-8"), [uids[2]])


def look(imap, sent, uids):
    data = imap.fetch(uids, ["ENVELOPE", "BODYSTRUCTURE", "RFC822.SIZE"])
    equal([data[uid][b"RFC822.SIZE"] for uid in uids], [len(message["octets"]) for message in sent])
    for number, (uid, message) in enumerate(zip(uids, sent)):
        envelope = data[uid][b"ENVELOPE"]
        equal(envelope.subject.decode(), message["name"])
        equal(envelope.message_id, b"<%d@far.test>" % number)
        equal([str(address) for address in envelope.from_], ["Carla <carla@far.test>"])
        equal(envelope.date, datetime.datetime(2026, 1, number + 1, 12, tzinfo=envelope.date.tzinfo))
    mixed = data[uids[2]][b"BODYSTRUCTURE"]
    assert mixed.is_multipart, mixed
    equal([part[:2] for part in mixed[0]], [(b"text", b"plain"), (b"application", b"octet-stream")])
    inner = data[uids[3]][b"BODYSTRUCTURE"]
    equal(inner[:2], (b"message", b"rfc822"))
    equal(inner[7][1], b"within")
    equal(imap.fetch(uids[4], ["BODY.PEEK[TEXT]"])[uids[4]][b"BODY[TEXT]"], b".\r\n..\r\n...\r\n.a\r\n")
    equal(imap.fetch(uids[5], ["BODY.PEEK[]<7.9>"])[uids[5]][b"BODY[]<7>"], sent[5]["octets"][7:16])
    equal(imap.search("SEEN"), [uids[1], uids[4]])
    equal(imap.fetch(uids[7], "RFC822.HEADER")[uids[7]][b"RFC822.HEADER"], sent[7]["octets"])


def idle(imap):
    imap.idle()
    idling()
    while (1, b"EXISTS") not in imap.idle_check(timeout=60):
        pass
    imap.idle_done()


def main():
    settings = Settings()
    sent = settings.messages
    imap = IMAPClient("localhost", settings.imaps, ssl_context=settings.context, timeout=60)
    imap.normalise_times = False
    refused(imap.login, settings.login, "a wrong password")
    imap.login(settings.login, settings.password)
    for wanted in ("IDLE", "UIDPLUS", "MOVE", "NAMESPACE", "ENABLE", "CONDSTORE", "ID"):
        assert imap.has_capability(wanted), imap.capabilities()
    imap.id_({"name": "a test"})
    equal(imap.namespace().personal[0][1], "/")

    for name in ("Work", "Work/2026", "Old", "Entwürfe & more"):
        imap.create_folder(name)
    refused(imap.create_folder, "Work")
    imap.subscribe_folder("Work")
    refused(imap.select_folder, "None")
    assert imap.folder_exists("Entwürfe & more")

    for message in sent:
        imap.append("Work", message["octets"], message["flags"], at(message["seconds"]))
    refused(imap.append, "None", b"Subject: lost\r\n\r\n")
    status = imap.folder_status("Work")
    equal((status[b"MESSAGES"], status[b"UNSEEN"]), (10, 8))
    selected = imap.select_folder("Work")
    equal((selected[b"EXISTS"], selected[b"UIDNEXT"]), (10, status[b"UIDNEXT"]))
    assert b"\\*" in selected[b"PERMANENTFLAGS"], selected
    uids = imap.search()
    find(imap, sent, uids)
    look(imap, sent, uids)

    equal(lasting(imap.add_flags(uids[0], SEEN)), {uids[0]: [SEEN]})
    imap.add_flags(uids[7], SEEN, silent=True)
    equal(lasting(imap.remove_flags(uids[1], [SEEN])), {uids[1]: []})
    equal(lasting(imap.set_flags(uids[4], [DRAFT])), {uids[4]: [DRAFT]})
    imap.add_flags(uids[8], "\\Answered")
    imap.add_flags(uids[3], ["urgent"])
    equal(lasting(imap.get_flags(uids[3])), {uids[3]: [b"$Forwarded", b"urgent"]})

    imap.copy([uids[0], uids[1], uids[4]], "Work/2026")
    refused(imap.copy, uids[0], "None")
    imap.move(uids[2:4], "Entwürfe & more")
    imap.delete_messages([uids[0], uids[1]], silent=True)
    equal(imap.search("DELETED"), uids[:2])
    imap.delete_messages(uids[5])
    imap.uid_expunge(uids[5])
    equal(imap.search("DELETED"), uids[:2])
    imap.expunge()
    equal(imap.search(), [uids[4]] + uids[6:])
    imap.unselect_folder()

    imap.rename_folder("Work/2026", "Done/2026")
    imap.delete_folder("Old")
    refused(imap.delete_folder, "Old")

    equal(imap.select_folder("INBOX")[b"EXISTS"], 0)
    idle(imap)
    (uid,) = imap.search("UNSEEN")
    assert imap.fetch(uid, "RFC822")[uid][b"RFC822"].endswith(b"\r\n\r\nYou have mail.\r\n")
    equal(lasting(imap.add_flags(uid, "\\Flagged")), {uid: [b"\\Flagged", SEEN]})

    names = {name: attributes for attributes, _, name in imap.list_folders()}
    assert {"INBOX", "Work", "Done", "Done/2026", "Entwürfe & more"} <= names.keys(), names
    assert not {"Old", "Work/2026"} & names.keys(), names
    assert "Work" in [name for _, _, name in imap.list_sub_folders()]
    equal([name for _, _, name in imap.list_folders(pattern="Work*")], ["Work"])
    there = [name for name, attributes in names.items() if b"\\noselect" not in map(bytes.lower, attributes)]
    report({name: list(messages(imap, name)) for name in there})
    imap.logout()
    return 0


if __name__ == "__main__":
    sys.exit(main())
