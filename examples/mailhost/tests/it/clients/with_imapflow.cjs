// The work of clients/work.rs, done with imapflow under TLS.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { ImapFlow } = require('imapflow');

const settings = JSON.parse(fs.readFileSync(0, 'utf8'));
const sent = settings.messages.map((message) => ({ ...message, octets: Buffer.from(message.octets, 'base64') }));
const drafts = 'Entwürfe & more';

function connection(password) {
    return new ImapFlow({
        host: 'localhost',
        port: settings.imaps,
        secure: true,
        tls: { ca: fs.readFileSync(settings.certificate) },
        auth: { user: settings.login, pass: password },
        clientInfo: { name: 'a test' },
        logger: false,
    });
}

async function find(client, uids) {
    const searches = [
        [{ all: true }, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
        [{ subject: 'header alone' }, [8]],
        [{ body: 'needle' }, [1]],
        [{ body: 'Grüße' }, [3]],
        [{ seen: false, flagged: false }, [1, 4, 6, 7, 8, 9, 10]],
        [{ keyword: 'project' }, [9]],
        [{ since: '2026-01-03', before: '2026-01-05' }, [3, 4]],
        [{ sentOn: '2026-01-02' }, [2]],
        [{ larger: 100000 }, [6]],
        [{ or: [{ seq: '3' }, { from: 'carla', draft: true }] }, [3, 7]],
        [{ not: { uid: `${uids[1]}:*` } }, [1]],
        [{ header: { 'message-id': '<4@far.test>' } }, [5]],
        [{ deleted: true }, []],
    ];
    for (const [query, expected] of searches) {
        const found = await client.search(query, { uid: true });
        assert.deepEqual(found, expected.map((number) => uids[number - 1]), JSON.stringify(query));
    }
}

async function look(client, uids) {
    const items = { uid: true, envelope: true, bodyStructure: true, size: true };
    const fetched = await client.fetchAll(uids.join(','), items, { uid: true });
    assert.equal(fetched.length, sent.length);
    fetched.forEach((message, number) => {
        assert.equal(message.size, sent[number].octets.length);
        assert.equal(message.envelope.subject, sent[number].name);
        assert.equal(message.envelope.messageId, `<${number}@far.test>`);
        assert.equal(message.envelope.from[0].address, 'carla@far.test');
    });
    const mixed = fetched[2].bodyStructure;
    assert.equal(mixed.type, 'multipart/mixed');
    assert.deepEqual(mixed.childNodes.map((part) => part.type), ['text/plain', 'application/octet-stream']);
    assert.equal(mixed.childNodes[1].dispositionParameters.filename, 'ä.bin');
    assert.equal(fetched[3].bodyStructure.childNodes[0].type, 'multipart/mixed');

    // Parts, decoded and as they are.
    const { meta, content } = await client.download(uids[2], '2', { uid: true });
    assert.equal(meta.contentType, 'application/octet-stream');
    assert.deepEqual(await whole(content), Buffer.from([0, 1, 2, 3, 4, 5, 6, 7]));
    const long = await client.download(uids[5], undefined, { uid: true, chunkSize: 10000 });
    assert.deepEqual(await whole(long.content), sent[5].octets);
    const query = { bodyParts: ['1.2', '1.mime'], headers: ['subject'] };
    const nested = await client.fetchOne(uids[3], query, { uid: true });
    assert.equal(nested.bodyParts.get('1.2').toString(), '<p>two</p>');
    assert.equal(nested.headers.toString(), 'Subject: forwarded\r\n\r\n');
    assert.deepEqual(await client.search({ seen: true }, { uid: true }), [uids[1], uids[4]]);
}

async function whole(stream) {
    const chunks = [];
    for await (const chunk of stream) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks);
}

async function change(client, uids) {
    const uid = { uid: true };
    assert(await client.messageFlagsAdd(uids[0], ['\\Seen'], uid));
    assert(await client.messageFlagsAdd(uids[7], ['\\Seen'], { uid: true, silent: true }));
    assert(await client.messageFlagsRemove(uids[1], ['\\Seen'], uid));
    assert(await client.messageFlagsSet(uids[4], ['\\Draft'], uid));
    assert(await client.messageFlagsAdd(uids[8], ['\\Answered'], uid));
    assert(await client.messageFlagsAdd(uids[3], ['urgent'], uid));
    const one = await client.fetchOne(uids[3], { flags: true }, uid);
    assert.deepEqual([...one.flags].filter((flag) => flag !== '\\Recent').sort(), ['$Forwarded', 'urgent']);

    const copied = await client.messageCopy([uids[0], uids[1], uids[4]].join(','), 'Work/2026', uid);
    assert.deepEqual([...copied.uidMap.keys()], [uids[0], uids[1], uids[4]]);
    const moved = await client.messageMove(`${uids[2]}:${uids[3]}`, drafts, uid);
    assert.deepEqual([...moved.uidMap.keys()], [uids[2], uids[3]]);
    assert.equal(client.mailbox.exists, sent.length - 2);
    assert(await client.messageDelete([uids[0], uids[1], uids[5]].join(','), uid));
    assert.deepEqual(await client.search({ all: true }, uid), [uids[4], ...uids.slice(6)]);
}

/** Says that it idles when the server has said so. */
async function idle(client) {
    const here = new Promise((resolve) => client.on('exists', resolve));
    client.on('log', (entry) => {
        if (entry.src === 's' && /^\+ /.test(entry.msg)) {
            console.log('idling');
        }
    });
    const idling = client.idle();
    const event = await here;
    assert.deepEqual([event.path, event.count], ['INBOX', 1]);
    const message = await client.fetchOne('*', { uid: true, source: true, flags: true });
    await idling;
    assert(message.source.toString().endsWith('\r\n\r\nYou have mail.\r\n'));
    assert(await client.messageFlagsAdd(message.uid, ['\\Seen', '\\Flagged'], { uid: true }));
}

async function main() {
    const stranger = connection('a wrong password');
    await assert.rejects(stranger.connect(), (error) => error.authenticationFailed);
    stranger.close();
    const client = connection(settings.password);
    client.log = Object.fromEntries(
        ['trace', 'debug', 'info', 'warn', 'error', 'fatal'].map((level) => [level, (entry) => client.emit('log', entry)])
    );
    await client.connect();
    for (const name of ['Work', 'Work/2026', 'Old', drafts]) {
        assert((await client.mailboxCreate(name)).created, name);
    }
    assert(!(await client.mailboxCreate('Work')).created);
    await client.mailboxSubscribe('Work');
    await assert.rejects(client.mailboxOpen('None'));

    const uids = [];
    for (const { octets, flags, seconds } of sent) {
        uids.push((await client.append('Work', octets, flags, new Date(seconds * 1000))).uid);
    }
    const status = await client.status('Work', { messages: true, unseen: true, uidNext: true, highestModseq: true });
    assert.deepEqual([status.messages, status.unseen, status.uidNext], [10, 8, uids[9] + 1]);
    const opened = await client.mailboxOpen('Work');
    assert.deepEqual([opened.exists, opened.uidNext], [10, uids[9] + 1]);
    await find(client, uids);
    await look(client, uids);
    await change(client, uids);
    await client.mailboxClose();

    await client.mailboxRename('Work/2026', 'Done/2026');
    await client.mailboxDelete('Old');
    await assert.rejects(client.mailboxDelete('Old'));
    assert.equal((await client.mailboxOpen('INBOX')).exists, 0);
    await idle(client);

    const listed = await client.list();
    const names = listed.map((mailbox) => mailbox.path);
    for (const name of ['INBOX', 'Work', 'Done', 'Done/2026', drafts]) {
        assert(names.includes(name), name);
    }
    assert(!names.includes('Old') && !names.includes('Work/2026'));
    assert(listed.find((mailbox) => mailbox.path === 'Work').subscribed);

    const seen = {};
    const hidden = (flags) => [...flags].some((flag) => /^\\(noselect|nonexistent)$/i.test(flag));
    for (const { path } of listed.filter((mailbox) => !hidden(mailbox.flags))) {
        const { exists } = await client.mailboxOpen(path, { readOnly: true });
        const items = { uid: true, flags: true, internalDate: true, source: true };
        const messages = exists ? await client.fetchAll('1:*', items) : [];
        assert.equal(messages.length, exists);
        seen[path] = messages.map(({ uid, flags, internalDate, source }) => ({
            uid,
            flags: [...flags].filter((flag) => flag !== '\\Recent'),
            seconds: internalDate.getTime() / 1000,
            octets: source.toString('base64'),
        }));
    }
    await client.logout();
    console.log(JSON.stringify(seen));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
