"""Thunderbird on a screen of its own: it finds its settings, logs in, reads, and sends.

What it has to work with comes as JSON on standard input: where to make its profile, the ports that stand for 80 and 443, the
address and its password, to whom to write, which certificate to trust, and where to put a picture of the window.
Status 0 means that all of it has worked; what was seen is printed as JSON.

It is driven by Marionette, its own remote control, with scripts that do what its windows do. No name is asked of a DNS server:
all of them stand for 127.0.0.1.
"""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

DEADLINE = 50

PREFERENCES = {
    # No packet leaves this machine.
    "network.dns.forceResolve": "127.0.0.1",
    "network.proxy.type": 0,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "marionette.port": 0,
    "datareporting.policy.dataSubmissionEnabled": False,
    "toolkit.telemetry.server": "",
    "app.update.auto": False,
    "extensions.update.enabled": False,
    "services.settings.server": "",
    # Nothing that greets, asks or advertises.
    "mail.provider.suppress_dialog_on_startup": True,
    "mail.shell.checkDefaultClient": False,
    "mail.rights.version": 1,
    "mailnews.start_page.enabled": False,
    "mail.inappnotifications.enabled": False,
    "app.donation.eoy.version.viewed": 999,
    "mailnews.auto_config_url": "",
    "mail.compose.warn_public_recipients.aggressive": False,
    # Nothing else that fetches the new message: of two that want it at once, Thunderbird may forget to answer one.
    "mailnews.database.global.indexer.enabled": False,
    "mail.server.default.spamLevel": 0,
    "mail.biff.show_alert": False,
}

# Trusts the host's certificate as a person does who looks at it and says yes, for each port that it is shown on.
TRUST = """
const [certificate, places] = arguments;
const database = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
const overrides = Cc["@mozilla.org/security/certoverride;1"].getService(Ci.nsICertOverrideService);
const made = database.constructX509FromBase64(certificate);
for (const [name, port] of places) {
  overrides.rememberValidityOverride(name, port, {}, made, false);
}
"""

# What the dialogue for a new account does: look for the settings, log in with them, keep them. All folders are there at its
# end: until Thunderbird has heard of them it calls INBOX by another address, and what asks by one does not see the other.
SET_UP = """
const [name, address, password] = arguments;
const at = "resource:///modules/accountcreation/";
const { FetchConfig } = ChromeUtils.importESModule(at + "FetchConfig.sys.mjs");
const { AccountConfig } = ChromeUtils.importESModule(at + "AccountConfig.sys.mjs");
const { ConfigVerifier } = ChromeUtils.importESModule(at + "ConfigVerifier.sys.mjs");
const { CreateInBackend } = ChromeUtils.importESModule(at + "CreateInBackend.sys.mjs");
const never = new AbortController().signal;
const config = await FetchConfig.fromISP(address.split("@")[1], address, never);
const found = [config.incoming, ...config.incomingAlternatives, config.outgoing, ...config.outgoingAlternatives]
  .map(server => [server.type, server.hostname, server.port, server.socketType, server.auth, server.username]);
AccountConfig.replaceVariables(config, name, address, password);
config.rememberPassword = true;
await new ConfigVerifier(null, never).verifyConfig(config, false);
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
await CreateInBackend.createAccountInBackend(config);
const root = MailServices.accounts.allServers.find(server => server.type == "imap").rootFolder;
await new Promise((resolve, reject) => Cc["@mozilla.org/messenger/imapservice;1"].getService(Ci.nsIImapService)
  .discoverAllFolders(root, {
    QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
    OnStartRunningUrl() {},
    OnStopRunningUrl(url, status) { status ? reject(new Error("folders: " + status)) : resolve(); },
  }, null));
return { source: config.subSource, found, trust: { imap: config.incoming.port, smtp: config.outgoing.port } };
"""

FIND_TRUST = """
const [address] = arguments;
const { FetchConfig } = ChromeUtils.importESModule("resource:///modules/accountcreation/FetchConfig.sys.mjs");
const config = await FetchConfig.fromISP(address.split("@")[1], address, new AbortController().signal);
return [config.incoming, config.outgoing].map(server => [server.hostname, server.port]);
"""

# Opens INBOX in the window, waits for mail to be there, and for the message to be shown.
READ = """
const [subject] = arguments;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const server = MailServices.accounts.allServers.find(server => server.type == "imap");
const inbox = server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox)
  ?? server.rootFolder.getChildNamed("INBOX");
const update = () => new Promise((resolve, reject) => inbox.QueryInterface(Ci.nsIMsgImapMailFolder)
  .updateFolderWithListener(null, {
    QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
    OnStartRunningUrl() {},
    OnStopRunningUrl(url, status) { status ? reject(new Error("INBOX: " + status)) : resolve(); },
  }));
const there = () => [...inbox.messages].find(header => header.mime2DecodedSubject == subject);
const come = new Promise(resolve => MailServices.mfn.addListener({
  msgAdded() { there() && resolve(); },
}, MailServices.mfn.msgAdded));
await update();
if (!there()) await come;
const header = there();
const text = await new Promise((resolve, reject) => {
  const chunks = [];
  const uri = inbox.getUriForMsg(header);
  MailServices.messageServiceFromURI(uri).streamMessage(uri, {
    QueryInterface: ChromeUtils.generateQI(["nsIStreamListener", "nsIRequestObserver"]),
    onStartRequest() {},
    onDataAvailable(request, stream, offset, count) {
      const octets = Cc["@mozilla.org/binaryinputstream;1"].createInstance(Ci.nsIBinaryInputStream);
      octets.setInputStream(stream);
      chunks.push(octets.readBytes(count));
    },
    onStopRequest(request, status) { status ? reject(new Error("message: " + status)) : resolve(chunks.join("")); },
  }, null, null, false, "");
});
const window = Services.wm.getMostRecentWindow("mail:3pane");
const pane = window.document.getElementById("tabmail").currentAbout3Pane;
const listed = new Promise(resolve => pane.addEventListener("allMessagesLoaded", resolve, { once: true }));
pane.displayFolder(inbox);
await listed;
const shown = new Promise(resolve => window.addEventListener("MsgLoaded", resolve, { once: true, capture: true }));
pane.threadTree.selectedIndex = pane.gDBView.findIndexOfMsgHdr(header, true);
await shown;
return { messages: inbox.getTotalMessages(false), text };
"""

# Writes a message as its composer does, sends it, and waits until it is in Sent, too.
SEND = """
const [to, subject, body] = arguments;
const { MailServices } = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const account = MailServices.accounts.accounts.find(account => account.incomingServer.type == "imap");
const identity = account.defaultIdentity;
const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
fields.from = identity.fullAddress;
fields.to = to;
fields.subject = subject;
fields.body = body;
const parameters = Cc["@mozilla.org/messengercompose/composeparams;1"].createInstance(Ci.nsIMsgComposeParams);
parameters.composeFields = fields;
parameters.identity = identity;
parameters.type = Ci.nsIMsgCompType.New;
parameters.format = Ci.nsIMsgCompFormat.PlainText;
const compose = MailServices.compose.initCompose(parameters);
const sent = new Promise((resolve, reject) => compose.RegisterStateListener({
  QueryInterface: ChromeUtils.generateQI(["nsIMsgComposeStateListener"]),
  NotifyComposeFieldsReady() {}, NotifyComposeBodyReady() {}, SaveInFolderDone() {},
  // When it has been sent and filed, or could not be.
  ComposeProcessDone(status) { status ? reject(new Error("not sent: " + status)) : resolve(); },
}));
await compose.sendMsg(Ci.nsIMsgCompDeliverMode.Now, identity, account.key, null, null);
await sent;
return { fcc: identity.fccFolderURI };
"""


class Marionette:
    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).makefile("rwb")
        self.number = 0
        self.read()
        self.does("WebDriver:NewSession", {})
        self.does("Marionette:SetContext", {"value": "chrome"})
        self.does("WebDriver:SetTimeouts", {"script": DEADLINE * 1000})

    def read(self):
        """Each message has its length in front."""
        length = b""
        while (octet := self.stream.read(1)) != b":":
            if not octet:
                raise EOFError("Thunderbird has gone")
            length += octet
        return json.loads(self.stream.read(int(length)))

    def does(self, name, parameters):
        self.number += 1
        message = json.dumps([0, self.number, name, parameters]).encode()
        self.stream.write(b"%d:%s" % (len(message), message))
        self.stream.flush()
        _, number, error, result = self.read()
        assert number == self.number
        if error:
            raise RuntimeError(f"{name}: {error['message']}\n{error.get('stacktrace', '')}")
        return result

    def run(self, script, *arguments):
        wrapped = (
            "const [given, resolve] = arguments; (async function () {" + script + "}).apply(null, given)"
            ".then(good => resolve({ good }), bad => resolve({ bad: String(bad) + '\\n' + (bad?.stack ?? '') }));"
        )
        asked = {"script": wrapped, "args": [list(arguments)], "sandbox": "system", "newSandbox": True}
        result = self.does("WebDriver:ExecuteAsyncScript", asked)["value"]
        if "bad" in result:
            raise RuntimeError(result["bad"])
        return result.get("good")


def start(command, environment, pattern, kept):
    """Starts a process, and waits for what it says when it is ready."""
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    kept.append(process)
    for line in process.stdout:
        if found := re.search(pattern, line.decode(errors="replace")):
            # Whatever else it says must not fill the pipe.
            threading.Thread(target=process.stdout.read, daemon=True).start()
            return found[1]
    raise EOFError(f"{command[0]} ended with {process.wait()}")


def main():
    given = json.load(sys.stdin)
    profile = given["profile"]
    os.makedirs(profile, exist_ok=True)
    ports = f"80={given['web']};443={given['webs']}"
    with open(os.path.join(profile, "user.js"), "w") as file:
        for name, value in {**PREFERENCES, "network.socket.forcePort": ports}.items():
            file.write(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n")
    kept = []
    step = "start"
    # The test that waits for this has a deadline, too, and would leave the processes behind.
    signal.signal(signal.SIGALRM, lambda *_: sys.exit(f"no end in time: {step}"))
    signal.alarm(DEADLINE)
    try:
        screen = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x900x24", "-nolisten", "tcp"]
        display = start(screen, os.environ, r"^(\d+)$", kept)
        environment = {
            **os.environ, "DISPLAY": f":{display}", "HOME": profile, "GDK_BACKEND": "x11",
            "LC_ALL": "C.UTF-8", "XDG_RUNTIME_DIR": profile, "DBUS_SESSION_BUS_ADDRESS": "disabled:",
            "MOZ_LOG": "IMAP:4,sync", "MOZ_LOG_FILE": os.path.join(profile, "imap"),
        }
        thunderbird = ["thunderbird", "--profile", profile, "--no-remote", "--marionette", "--remote-allow-system-access"]
        port = start(thunderbird, environment, r"Marionette\s+INFO\s+Listening on port (\d+)", kept)
        marionette = Marionette(int(port))
        seen = {}
        step = "trust"
        places = marionette.run(FIND_TRUST, given["address"])
        marionette.run(TRUST, given["certificate"], places)
        step = "set up"
        seen["set_up"] = marionette.run(SET_UP, given["name"], given["address"], given["password"])
        step = "read"
        seen["read"] = marionette.run(READ, given["subject"])
        step = "picture"
        picture = marionette.does("WebDriver:TakeScreenshot", {"full": False})["value"]
        with open(given["picture"], "wb") as file:
            file.write(base64.b64decode(picture))
        step = "send"
        seen["send"] = marionette.run(SEND, given["to"], given["reply"], given["body"])
        with open(os.path.join(profile, "imap.moz_log"), encoding="utf-8", errors="replace") as log:
            lines = log.readlines()
        # So that no complaints does not mean that nothing is written, or not in these words.
        seen["answers"] = sum("CreateNewLineFromSocket" in line for line in lines)
        seen["complaints"] = [line for line in lines if "Syntax Error" in line]
        print(json.dumps(seen))
    finally:
        for process in reversed(kept):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


main()
