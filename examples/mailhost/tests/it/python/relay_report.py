"""Reads a delivery status notification on standard input with the email package, and prints what it says.

The first line has the fields that are about the message, and each further line those about a recipient, all in the form
of `name=value; `, with the recipient in front.
"""

import email
import email.policy
import re
import sys


def main():
    message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)
    # RFC 6522 §3: the parts and their types.
    assert message.get_content_type() == "multipart/report", message.get_content_type()
    assert message.get_param("report-type") == "delivery-status"
    assert message["Return-Path"] == "<>", message["Return-Path"]
    assert message["Auto-Submitted"] == "auto-replied"
    for name in ("From", "To", "Date", "Message-ID", "Subject"):
        assert len(message.get_all(name)) == 1, name
    for part in message.walk():
        assert not part.defects, part.defects
    words, status, original = message.get_payload()
    assert words.get_content_type() == "text/plain"
    assert status.get_content_type() == "message/delivery-status"
    assert original.get_content_type() == "text/rfc822-headers"

    # RFC 3464 §2.1: groups of fields, parted by empty lines, the first of them about the message.
    about, *recipients = status.get_payload()
    assert recipients, "no recipient"
    # RFC 3464 §2.2.2
    assert about["Reporting-MTA"].startswith("dns; ")
    of_original = re.search(r"^Subject: (.*)$", original.get_payload(), re.MULTILINE)
    print(f"reported by={about['Reporting-MTA'][5:]}; subject={of_original and of_original.group(1).strip()};")
    for recipient in recipients:
        # RFC 3464 §2.3: these have to be there.
        kind, address = recipient["Final-Recipient"].split("; ")
        assert kind == "rfc822"
        assert recipient["Action"] in ("failed", "delayed"), recipient["Action"]
        assert re.fullmatch(r"[45]\.\d{1,3}\.\d{1,3}", recipient["Status"]), recipient["Status"]
        assert address in words.get_content(), "not told in words"
        fields = ("Action", "Status", "Remote-MTA", "Diagnostic-Code")
        values = ((name, " ".join(str(recipient[name]).split())) for name in fields if name in recipient)
        print(f"{address}", *(f"{name}={value};" for name, value in values))
    return 0


if __name__ == "__main__":
    sys.exit(main())
