"""The work of clients/work.rs, done with imaplib over STARTTLS."""

import imaplib
import re
import sys
import time

from work import Settings, equal, idling, plain_name, report, wire_name

DRAFTS = wire_name("Entwürfe & more")


def ok(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def numbers(data):
    return [int(number) for number in data[0].split()]


def listed(data):
    """Attributes and names of LIST and LSUB."""
    found = {}
    for line in data:
        if isinstance(line, tuple):  # the name was a literal
            line = line[0] + b'"' + line[1] + b'"'
        attributes, name = re.fullmatch(rb'\(([^)]*)\) (?:"."|NIL) "?(.*?)"?', line).groups()
        found[plain_name(name.decode())] = {attribute.lower() for attribute in attributes.split()}
    return found


def code(imap, name):
    """A response code that came with the last answer."""
    _, data = imap.response(name)
    return data[-1].decode() if data and data[-1] else None


def messages(imap, mailbox):
    """All there is in a mailbox: UID, flags, date, octets."""
    count = int(ok(imap.select(quoted(wire_name(mailbox)), readonly=True))[0])
    if count == 0:
        return
    pairs = [part for part in ok(imap.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")) if part != b")"]
    equal(len(pairs), count)
    for head, octets in pairs:
        uid = int(re.search(rb"UID (\d+)", head).group(1))
        flags = [flag.decode() for flag in imaplib.ParseFlags(head)]
        seconds = int(time.mktime(imaplib.Internaldate2tuple(head)))
        yield uid, flags, seconds, octets


def find(imap, sent):
    """Searches; each has one right answer."""
    all_of_them = list(range(1, len(sent) + 1))
    for criteria, expected in [
        (["ALL"], all_of_them),
        (["SUBJECT", '"header alone"'], [8]),
        (["BODY", "needle"], [1]),
        (["TEXT", "carla"], all_of_them),
        (["NOT", "SEEN"], [1, 3, 4, 6, 7, 8, 9, 10]),
        (["FLAGGED"], [3]),
        (["KEYWORD", "project"], [9]),
        (["UNKEYWORD", "$Forwarded", "ANSWERED"], [5]),
        (["LARGER", "100000"], [6]),
        (["SMALLER", "100000", "DRAFT"], [7]),
        (["SINCE", "3-Jan-2026", "BEFORE", "5-Jan-2026"], [3, 4]),
        (["SENTON", "2-Jan-2026"], [2]),
        (["HEADER", "Message-ID", quoted("<4@far.test>")], [5]),
        (["OR", "3", "(FROM carla TO anna 5)"], [3, 5]),
        (["2:4,8:*", "UNDELETED"], [2, 3, 4, 8, 9, 10]),
        (["SUBJECT", "nothing"], []),
    ]:
        equal((criteria, numbers(ok(imap.search(None, *criteria)))), (criteria, expected))
    imap.literal = "Grüße".encode()
    equal(numbers(ok(imap.search("UTF-8", "BODY"))), [3])


def look(imap, sent):
    """Parts of messages."""
    head, octets = ok(imap.fetch("3", "(BODY.PEEK[HEADER.FIELDS (SUBJECT DATE)])"))[0]
    equal(octets, b"Date: Thu, 03 Jan 2026 12:00:00 +0100\r\nSubject: attachment\r\n\r\n")
    equal(ok(imap.fetch("3", "(BODY.PEEK[2])"))[0][1], b"AAECAwQFBgc=")
    equal(ok(imap.fetch("3", "(BODY.PEEK[1.MIME])"))[0][1].count(b"quoted-printable"), 1)
    equal(ok(imap.fetch("4", "(BODY.PEEK[1.HEADER])"))[0][1][:22], b"From: inner@far.test\r\n")
    equal(ok(imap.fetch("4", "(BODY.PEEK[1.2])"))[0][1], b"<p>two</p>")
    octets = sent[5]["octets"]
    head, part = ok(imap.fetch("6", "(BODY.PEEK[]<100000.5000>)"))[0]
    assert b"BODY[]<100000> {5000}" in head, head
    equal(part, octets[100000:105000])
    # Behind the end there is an empty string, of either kind.
    behind = ok(imap.fetch("6", f"(BODY.PEEK[]<{len(octets)}.1>)"))[0]
    assert behind[1] == b"" if isinstance(behind, tuple) else behind.endswith(b'<%d> "")' % len(octets)), behind
    structure = ok(imap.fetch("3", "(BODYSTRUCTURE)"))[0].upper()
    assert b'"MIXED"' in structure and b'"OCTET-STREAM"' in structure and b'"BASE64" 12' in structure, structure
    envelope = ok(imap.fetch("10", "(ENVELOPE)"))[0]
    assert b'"alternative" (("Carla" NIL "carla" "far.test"))' in envelope, envelope
    sizes = [int(re.search(rb"RFC822.SIZE (\d+)", line).group(1)) for line in ok(imap.fetch("1:*", "RFC822.SIZE"))]
    equal(sizes, [len(message["octets"]) for message in sent])
    # Nothing of this has set \Seen; BODY[] does.
    equal(numbers(ok(imap.search(None, "SEEN"))), [2, 5])
    ok(imap.fetch("8", "(BODY[])"))
    equal(numbers(ok(imap.search(None, "SEEN"))), [2, 5, 8])


def idle(imap):
    """imaplib learns IDLE with Python 3.14 only."""
    tag = imap._new_tag()
    imap.send(tag + b" IDLE\r\n")
    while not (line := imap.readline()).startswith(b"+ "):
        assert line.startswith(b"* "), line
    idling()
    while not re.fullmatch(rb"\* 1 EXISTS\r\n", imap.readline()):
        pass
    imap.send(b"DONE\r\n")
    while not (line := imap.readline()).startswith(tag):
        pass
    assert line.startswith(tag + b" OK"), line


def main():
    settings = Settings()
    sent = settings.messages
    imap = imaplib.IMAP4("localhost", settings.imap, timeout=60)
    ok(imap.starttls(settings.context))
    assert "AUTH=PLAIN" in imap.capabilities and "STARTTLS" not in imap.capabilities, imap.capabilities
    try:
        imap.login(settings.login, "a wrong password")
        raise AssertionError("a wrong password lets in")
    except imaplib.IMAP4.error:
        pass
    plain = f"\0{settings.login}\0{settings.password}".encode()
    ok(imap.authenticate("PLAIN", lambda challenge: plain))
    capabilities = ok(imap.capability())[0].decode().split()
    for wanted in ("IDLE", "UIDPLUS", "MOVE", "NAMESPACE", "UNSELECT"):
        assert wanted in capabilities, capabilities
    ok(imap.namespace())
    ok(imap.noop())

    for name in ("Work", "Work/2026", "Old"):
        ok(imap.create(quoted(name)))
    ok(imap.create(quoted(DRAFTS)))
    equal(imap.create(quoted("Work"))[0], "NO")
    ok(imap.subscribe("Work"))
    ok(imap.subscribe("Old"))
    ok(imap.unsubscribe("Old"))
    equal(imap.select("None")[0], "NO")

    uids = []
    for message in sent:
        flags = "(" + " ".join(message["flags"]) + ")"
        ok(imap.append("Work", flags, imaplib.Time2Internaldate(message["seconds"]), message["octets"]))
        validity, uid = code(imap, "APPENDUID").split()
        uids.append(int(uid))
    equal(uids, sorted(set(uids)))
    equal(imap.append("None", None, None, b"Subject: lost\r\n\r\n")[0], "NO")
    status = ok(imap.status("Work", "(MESSAGES UNSEEN UIDNEXT UIDVALIDITY)"))[0].decode()
    for part in ("MESSAGES 10", "UNSEEN 8", f"UIDNEXT {uids[-1] + 1}", f"UIDVALIDITY {validity}"):
        assert part in status, status

    equal(int(ok(imap.select("Work"))[0]), len(sent))
    equal(int(code(imap, "UIDNEXT")), uids[-1] + 1)
    find(imap, sent)
    equal([int(uid) for uid in ok(imap.uid("SEARCH", "UID", f"{uids[3]}:{uids[5]}"))[0].split()], uids[3:6])
    look(imap, sent)

    ok(imap.store("1", "+FLAGS", "(\\Seen)"))
    ok(imap.store("2", "-FLAGS.SILENT", "\\Seen"))
    flags = ok(imap.store("5", "FLAGS", "(\\Draft)"))[0]
    assert b"\\Draft" in flags and b"\\Seen" not in flags, flags
    ok(imap.uid("STORE", str(uids[8]), "+FLAGS", "(\\Answered)"))
    ok(imap.store("4", "+FLAGS", "(urgent)"))

    ok(imap.copy("1:2,5", quoted("Work/2026")))
    equal(code(imap, "COPYUID").split()[1], f"{uids[0]}:{uids[1]},{uids[4]}")
    equal(imap.copy("1", "None")[0], "NO")
    imaplib.Commands.setdefault("MOVE", ("SELECTED",))
    ok(imap.uid("MOVE", f"{uids[2]}:{uids[3]}", quoted(DRAFTS)))
    equal(code(imap, "COPYUID").split()[1], f"{uids[2]}:{uids[3]}")
    equal(numbers(ok(imap.search(None, "ALL"))), list(range(1, 9)))

    # In the numbers of now: 1 plain, 2 eight bits, 3 dots, 4 long.
    ok(imap.store("1:2,4", "+FLAGS.SILENT", "(\\Deleted)"))
    ok(imap.uid("EXPUNGE", str(uids[5])))
    equal(numbers(ok(imap.search(None, "DELETED"))), [1, 2])
    imap.response("EXPUNGE")
    equal(len(ok(imap.expunge())), 2)
    equal([int(uid) for uid in ok(imap.uid("SEARCH", "ALL"))[0].split()], [uids[4]] + uids[6:])
    ok(imap.check())
    ok(imap.unselect())

    ok(imap.rename(quoted("Work/2026"), quoted("Done/2026")))
    ok(imap.delete("Old"))
    equal(imap.delete("Old")[0], "NO")
    ok(imap.select("Work"))
    ok(imap.close())

    equal(int(ok(imap.select("INBOX"))[0]), 0)
    idle(imap)
    octets = ok(imap.fetch("1", "(BODY[])"))[0][1]
    assert octets.endswith(b"\r\n\r\nYou have mail.\r\n"), octets
    flags = ok(imap.store("1", "+FLAGS", "(\\Flagged)"))[0]
    assert b"\\Seen" in flags and b"\\Flagged" in flags, flags

    names = listed(ok(imap.list()))
    equal([name for name in ("Old", "Work/2026") if name in names], [])
    assert {"INBOX", "Work", "Done", "Done/2026", "Entwürfe & more"} <= names.keys(), names
    top = listed(ok(imap.list('""', "%")))
    assert "Done" in top and "Done/2026" not in top, top
    assert "Work" in listed(ok(imap.lsub())) and "Old" not in listed(ok(imap.lsub()))
    there = [name for name, attributes in names.items() if not attributes & {b"\\noselect", b"\\nonexistent"}]
    report({name: list(messages(imap, name)) for name in there})
    equal(imap.logout()[0], "BYE")
    return 0


if __name__ == "__main__":
    sys.exit(main())
