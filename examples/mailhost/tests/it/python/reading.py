"""The sample messages of CPython's email tests, filed, searched, copied and fetched with imaplib, octet for octet.

Takes a JSON object on standard input: the port for IMAP, the one under TLS, the certificate, and an account, its name and
password. Ends with status 3 if there are no sample messages here.
"""

import email
import email.policy
import imaplib
import json
import sys
import time

from roundtrip import LEAST, context, samples, with_crlf


def good(answer):
    """What a command has given, which has to have gone well."""
    kind, data = answer
    assert kind == "OK", answer
    return data


def literal(data):
    """The octets of the only literal."""
    found = [item[1] for item in data if isinstance(item, tuple)]
    assert len(found) == 1, data
    return found[0]


def subject(octets):
    """The first word of the subject, if it has one that can be searched for."""
    words = (email.message_from_bytes(octets, policy=email.policy.compat32)["Subject"] or "").split()
    return words[0] if words and words[0].isalnum() else None


def main():
    settings = json.load(sys.stdin)
    found = samples()
    if not found:
        print("none of its sample messages is here")
        return 3
    assert len(found) >= LEAST, f"only {len(found)} sample messages"
    messages = [with_crlf(octets)[0] for octets in found.values()]

    box = imaplib.IMAP4("localhost", settings["imap"], timeout=60)
    assert "LOGINDISABLED" in box.capabilities and "STARTTLS" in box.capabilities, box.capabilities
    good(box.starttls(context(settings)))
    good(box.login(*settings["user"]))
    assert {"IDLE", "MOVE", "UIDPLUS", "IMAP4REV1"} <= set(box.capabilities), box.capabilities
    good(box.create("samples/all"))
    now = time.time()
    for message in messages:
        good(box.append("samples/all", r"(\Seen)" if len(message) % 2 else None, imaplib.Time2Internaldate(now), message))
    assert good(box.select("samples/all")) == [b"%d" % len(messages)]

    searched = 0
    for number, message in enumerate(messages, 1):
        whole = literal(good(box.fetch(str(number), "(BODY.PEEK[])")))
        assert whole == message, f"{number}: {whole!r}"
        header = literal(good(box.fetch(str(number), "(BODY.PEEK[HEADER])")))
        text = literal(good(box.fetch(str(number), "(BODY.PEEK[TEXT])")))
        assert header + text == message, number
        parsed = email.message_from_bytes(message, policy=email.policy.compat32)
        structure = good(box.fetch(str(number), "(ENVELOPE BODYSTRUCTURE RFC822.SIZE INTERNALDATE)"))
        assert b"RFC822.SIZE %d" % len(message) in b"".join(b"".join(item) if isinstance(item, tuple) else item for item in structure)
        if not parsed.is_multipart():
            assert text.startswith(literal(good(box.fetch(str(number), "(BODY.PEEK[1])")))), number
        word = subject(message)
        if word:
            assert str(number).encode() in good(box.search(None, "SUBJECT", f'"{word}"'))[0].split(), (number, word)
            searched += 1
    assert searched > 20, searched
    unseen = sum(1 for message in messages if len(message) % 2 == 0)
    assert len(good(box.search(None, "UNSEEN"))[0].split()) == unseen

    good(box.create("samples/copies"))
    good(box.copy("1:*", "samples/copies"))
    good(box.store("2:3", "+FLAGS", r"(\Deleted $Sample)"))
    assert good(box.expunge()) == [b"2", b"2"]
    good(box.uid("MOVE", "1", "INBOX"))
    good(box.close())
    assert good(box.status("samples/copies", "(MESSAGES)")) == [b'samples/copies (MESSAGES %d)' % len(messages)]
    good(box.rename("samples/copies", "kept"))
    names = [line.split()[-1] for line in good(box.list())]
    assert b"kept" in names and b"samples/all" in names, names
    good(box.select("kept", readonly=True))
    for number in (1, 2, 3, len(messages)):
        assert literal(good(box.fetch(str(number), "(RFC822)"))) == messages[number - 1], number
    good(box.delete("samples/all"))
    box.logout()

    box = imaplib.IMAP4_SSL("localhost", settings["imaps"], ssl_context=context(settings), timeout=60)
    box.authenticate("PLAIN", lambda _: "\0{}\0{}".format(*settings["user"]).encode())
    assert good(box.select()) == [b"1"]
    assert literal(good(box.fetch("1", "(BODY[])"))) == messages[0]
    box.logout()
    print(f"{len(messages)} messages filed, searched and fetched")
    return 0


if __name__ == "__main__":
    sys.exit(main())
