"""Makes mailboxes with Python's `mailbox`, or reads some; prints what is in them: folder, flags, time, octets."""

import calendar
import hashlib
import json
import mailbox
import os
import re
import sys
import time


def crlf(octets):
    return re.sub(rb"\r?\n", b"\r\n", octets)


def line(folder, flags, when, octets):
    return [folder, "".join(sorted(set(flags) & set("DFRST"))), when, hashlib.sha256(crlf(octets)).hexdigest()]


def texts():
    for number in range(60):
        body = "From here on\nFrom: x\n.\nline %d\n" % number * (number % 7)
        yield number, ("Subject: %d\nX-Long: a\n\tb\n\n%s" % (number, body)).encode()
    # A header alone, eight bits, and a line of more than a buffer.
    yield 60, b"Subject: no body\n\n"
    yield 61, b"Subject: eight\n\nna\xefve \xff\xfe\n"
    yield 62, b"Subject: long\n\n" + b"x" * 200000 + b"\nFrom the end\n"


def make_maildir(path):
    made = []
    top = mailbox.Maildir(path, create=True)
    folders = {"": top, "Sent": top.add_folder("Sent"), "a.b": top.add_folder("a.b")}
    for number, text in texts():
        folder = ["", "Sent", "a.b"][number % 3]
        text += b">From a quote\n"
        message = mailbox.MaildirMessage(text)
        flags = "".join(flag for place, flag in enumerate("DFRST") if number >> place & 1)
        message.set_subdir("cur")
        message.set_flags(flags)
        key = folders[folder].add(message)
        file = os.path.join(path, "." + folder if folder else "", folders[folder]._lookup(key))
        with open(file, "wb") as out:
            out.write(text)
        when = 1600000000 + number * 61
        os.utime(file, (when, when))
        made.append(line(folder, flags, when, text))
    return made


def read_maildir(path):
    found = []
    top = mailbox.Maildir(path, create=False)
    for folder in [""] + top.list_folders():
        box = top.get_folder(folder) if folder else top
        for key in box.keys():
            message = box.get_message(key)
            file = os.path.join(box._path, box._lookup(key))
            found.append(line(folder, message.get_flags(), int(os.stat(file).st_mtime), box.get_bytes(key)))
    return found


LETTERS = {"R": "S", "A": "R", "F": "F", "D": "T", "T": "D"}


def make_mbox(path):
    made = []
    box = mailbox.mbox(path, create=True)
    for number, text in texts():
        message = mailbox.mboxMessage(text)
        flags = "".join(flag for place, flag in enumerate("RAFD") if number >> place & 1)
        message.set_flags(flags + "O")
        message.set_from("anna@example.test", time.gmtime(1600000000 + number * 61))
        box.add(message)
        made.append(line("", (LETTERS[flag] for flag in flags), 1600000000 + number * 61, text))
    box.close()
    return made


def read_mbox(path):
    found = []
    box = mailbox.mbox(path, create=False)
    for key in box.keys():
        message = box.get_message(key)
        when = calendar.timegm(time.strptime(message.get_from().split(" ", 1)[1]))
        octets = box.get_bytes(key)
        while re.match(rb"(X-)?Status:|X-Keywords:", octets):
            octets = octets.split(b"\n", 1)[1]
        octets = re.sub(rb"(?m)^>(>*From )", rb"\1", octets)
        flags = (LETTERS[flag] for flag in message.get_flags() if flag in LETTERS)
        found.append(line("", flags, when, octets))
    return found


what, path = sys.argv[1:]
print(json.dumps(sorted(globals()[what](path))))
