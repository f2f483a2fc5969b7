"""The sample messages of CPython's email tests, sent with smtplib and fetched with poplib, octet for octet.

Takes a JSON object on standard input: the two ports for SMTP, the one for POP3 under TLS, the certificate, and two
accounts, each the address and the password. Ends with status 3 if there are no sample messages here.
"""

import json
import os
import poplib
import re
import smtplib
import ssl
import sys

# How many Debian's current package holds; CPython 3.11.7 itself has one more.
LEAST = 47


def folders():
    """Debian's package, and what belongs to the Python that runs this."""
    for version in ("3.11", "3.12", "3.13", f"{sys.version_info[0]}.{sys.version_info[1]}"):
        yield f"/usr/lib/python{version}/test/test_email/data"
    try:
        import test.test_email
    except ImportError:
        return
    yield os.path.join(os.path.dirname(test.test_email.__file__), "data")


def samples():
    """The union of all folders by file name."""
    found = {}
    for folder in folders():
        if not os.path.isdir(folder):
            continue
        for name in sorted(os.listdir(folder)):
            if name.endswith(".txt") and name not in found:
                with open(os.path.join(folder, name), "rb") as file:
                    found[name] = file.read()
    return found


def with_crlf(octets):
    """As a mail program would send it, and whether a bare CR was in it."""
    rest = octets.replace(b"\r\n", b"\n")
    bare = b"\r" in rest
    rest = rest.replace(b"\r", b"\n")
    if not rest.endswith(b"\n"):
        rest += b"\n"
    return rest.replace(b"\n", b"\r\n"), bare


def names(header):
    """The names of all fields up to the first empty line."""
    found = []
    for line in header.split(b"\r\n"):
        if not line:
            break
        name = re.match(rb"([!-9;-~]+)[ \t]*:", line)
        if name:
            found.append(name.group(1).lower())
    return found


def context(settings):
    return ssl.create_default_context(cafile=settings["certificate"])


def send(settings, port, sender, recipient, login, messages):
    host = smtplib.SMTP("localhost", port, local_hostname="client.test", timeout=60)
    host.starttls(context=context(settings))
    if login:
        host.login(*login)
    for message in messages:
        # Octets, not a string: those smtplib leaves as they are, but for the dots.
        options = ["BODY=8BITMIME"] if any(octet > 127 for octet in message) else []
        refused = host.sendmail(sender, [recipient], message, mail_options=options)
        assert refused == {}, refused
    host.quit()


def fetch(settings, account):
    """All messages in the order of their numbers. Not with retr(), which loses the line ends."""
    box = poplib.POP3_SSL("localhost", settings["pop3s"], timeout=60, context=context(settings))
    box.utf8()
    box.user(account[0])
    box.pass_(account[1])
    ids = [line.split()[1] for line in box.uidl()[1]]
    assert len(set(ids)) == len(ids), "unique ids that are not unique"
    for number in range(1, len(ids) + 1):
        box._shortcmd(f"RETR {number}")
        octets = bytearray()
        while True:
            line = box.file.readline()
            assert line.endswith(b"\r\n"), line
            if line == b".\r\n":
                break
            octets += line[1:] if line.startswith(b".") else line
        yield bytes(octets)
    box.quit()


def compare(name, sent, fetched, sender, recipient, keyword, submitted):
    assert fetched.endswith(sent), f"{name} has come back as other octets: {fetched!r}"
    above = fetched[: len(fetched) - len(sent)]
    expected = [b"return-path", b"delivered-to", b"received"]
    if submitted:
        expected += [field for field in (b"date", b"message-id") if field not in names(sent)]
    assert names(above) == expected, f"{name}: {above!r}"
    assert above.startswith(b"Return-Path: <%b>\r\nDelivered-To: %b\r\n" % (sender, recipient)), above
    assert b" with %b" % keyword in re.sub(rb"\r\n[ \t]", b" ", above), above
    return len(expected) - 3


def main():
    settings = json.load(sys.stdin)
    found = samples()
    if not found:
        print("none of its sample messages is here")
        return 3
    assert len(found) >= LEAST, f"only {len(found)} sample messages"
    messages, bare = {}, 0
    for name, octets in sorted(found.items()):
        messages[name], was_bare = with_crlf(octets)
        bare += was_bare
    unfinished = sum(not octets.endswith((b"\r", b"\n")) for octets in found.values())
    print(f"{len(found)} messages, {bare} with a bare CR, {unfinished} without an end of the last line")

    user, other = settings["user"], settings["other"]
    for port, sender, account, login, keyword in (
        (settings["submission"], user[0], user, user, b"ESMTPSA"),
        (settings["smtp"], "carla@far.test", other, None, b"ESMTPS"),
    ):
        send(settings, port, sender, account[0], login, messages.values())
        arrived = list(fetch(settings, account))
        assert len(arrived) == len(messages), f"{len(arrived)} of {len(messages)} have arrived"
        added = 0
        for (name, sent), fetched in zip(messages.items(), arrived):
            added += compare(
                name, sent, fetched, sender.encode(), account[0].encode(), keyword, login is not None
            )
        octets = sum(map(len, messages.values()))
        print(f"{keyword.decode()}: {len(arrived)} arrived, {octets} octets the same, {added} fields added")
    return 0


if __name__ == "__main__":
    sys.exit(main())
