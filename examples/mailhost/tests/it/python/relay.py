"""The sample messages of CPython's email tests, relayed from one host to another.

Takes a JSON object on standard input. With "submission", sends all from "user" to "other" over STARTTLS and a login; with
"pop3s", fetches them for "other", and compares. Ends with status 3 if there are no sample messages here.
"""

import json
import re
import sys

from roundtrip import LEAST, fetch, names, samples, send, with_crlf


def compare(sent, fetched, sender, recipient):
    above = fetched[: len(fetched) - len(sent)]
    expected = [b"return-path", b"delivered-to", b"received", b"received"]
    expected += [field for field in (b"date", b"message-id") if field not in names(sent)]
    assert names(above) == expected, above
    assert above.startswith(b"Return-Path: <%b>\r\nDelivered-To: %b\r\n" % (sender, recipient)), above
    unfolded = re.sub(rb"\r\n[ \t]", b" ", above)
    hops = re.findall(rb"^Received: from (\S+)(?: \(\S+\))? by (\S+) with (\w+) ", unfolded, re.MULTILINE)
    assert hops == [
        (b"mail.a.test", b"mail.b.test", b"ESMTPS"),
        (b"client.test", b"mail.a.test", b"ESMTPSA"),
    ], above


def main():
    settings = json.load(sys.stdin)
    found = samples()
    if not found:
        print("none of the sample messages is here")
        return 3
    assert len(found) >= LEAST, f"only {len(found)} sample messages"
    messages = [with_crlf(octets)[0] for octets in found.values()]
    user, other = settings["user"], settings["other"]
    if "submission" in settings:
        send(settings, settings["submission"], user[0], other[0], user, messages)
        print(f"{len(messages)} messages submitted")
        return 0
    arrived = list(fetch(settings, other))
    assert len(arrived) == len(messages), f"{len(arrived)} of {len(messages)} have arrived"
    # In whatever order they have come; the longest first, for one may be the end of another.
    for sent in sorted(messages, key=len, reverse=True):
        matching = [message for message in arrived if message.endswith(sent)]
        assert matching, f"none has come back with these octets: {sent!r}"
        best = min(matching, key=len)
        compare(sent, best, user[0].encode(), other[0].encode())
        arrived.remove(best)
    print(f"{len(messages)} messages relayed, {sum(map(len, messages))} octets the same")
    return 0


if __name__ == "__main__":
    sys.exit(main())
