"""Prints what Python's email package makes of the message on standard input, as JSON."""

import base64
import email
import email.policy
import json
import sys

message = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)


def text(kind):
    body = message.get_body(preferencelist=(kind,))
    return None if body is None else body.get_content()


def attachment(part):
    octets = part.get_payload(decode=True)
    return {
        "name": part.get_filename(),
        "old_name": part["Content-Type"].params["name"],
        "type": part.get_content_type(),
        "octets": base64.b64encode(octets).decode(),
    }


defects = [str(defect) for part in message.walk() for defect in part.defects]
for part in message.walk():
    for name, value in part.items():
        defects += [f"{name}: {defect}" for defect in value.defects]
print(json.dumps({
    "from": [[address.display_name, address.addr_spec] for address in message["From"].addresses],
    "to": [[address.display_name, address.addr_spec] for address in message["To"].addresses],
    "cc": [[address.display_name, address.addr_spec] for address in message["Cc"].addresses] if message["Cc"] else [],
    "reply_to": str(message["Reply-To"]),
    "subject": message["Subject"],
    "date": message["Date"].datetime.isoformat(),
    "id": message["Message-ID"],
    "answers": [message["In-Reply-To"], message["References"]],
    "hidden": "Bcc" in message,
    "text": text("plain"),
    "html": text("html"),
    "attachments": [attachment(part) for part in message.iter_attachments()],
    "defects": defects,
}))
