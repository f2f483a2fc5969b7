"""What both programs in Python share: what they are told, names of mailboxes, and how they say what they have seen."""

import base64
import json
import ssl
import sys


class Settings:
    def __init__(self):
        told = json.load(sys.stdin)
        self.imap, self.imaps = told["imap"], told["imaps"]
        self.login, self.password = told["login"], told["password"]
        self.context = ssl.create_default_context(cafile=told["certificate"])
        self.messages = told["messages"]
        for message in self.messages:
            message["octets"] = base64.b64decode(message["octets"])


def wire_name(name):
    """RFC 3501 section 5.1.3."""
    out, shifted = "", ""

    def flush():
        nonlocal out, shifted
        if shifted:
            octets = base64.b64encode(shifted.encode("utf-16-be")).rstrip(b"=").decode()
            out, shifted = out + "&" + octets.replace("/", ",") + "-", ""

    for character in name:
        if " " <= character <= "~":
            flush()
            out += "&-" if character == "&" else character
        else:
            shifted += character
    flush()
    return out


def plain_name(name):
    """The way back."""
    first, *parts = name.split("&")
    for part in parts:
        shifted, rest = part.split("-", 1)
        padded = shifted.replace(",", "/") + "=" * (-len(shifted) % 4)
        first += (base64.b64decode(padded).decode("utf-16-be") if shifted else "&") + rest
    return first


def equal(found, expected):
    assert found == expected, f"{found!r} instead of {expected!r}"


def idling():
    """From here on a delivery has to wake this client."""
    print("idling", flush=True)


def report(seen):
    """`seen`: by mailbox, UID, flags, seconds since 1970 and octets of each message."""
    mailboxes = {
        name: [
            {
                "uid": uid,
                "flags": [flag for flag in flags if flag != "\\Recent"],
                "seconds": seconds,
                "octets": base64.b64encode(octets).decode(),
            }
            for uid, flags, seconds, octets in messages
        ]
        for name, messages in seen.items()
    }
    print(json.dumps(mailboxes))
