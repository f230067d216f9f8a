// Streams: event by event, slots held to the end, memory bounded whoever is slow.
import assert from 'node:assert/strict';
import {
    connect,
    eventually,
    EventReader,
    isSanitized,
    messages,
    messagesRequest,
    open,
    ownError,
    pause,
    post,
    quiet,
    request,
    size,
    test,
    within,
} from './harness/index.js';

const MEBIBYTE = 1024 * 1024;

test('each event reaches the client before the provider sends the next', async (world) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    // Up to the first content the node may hold events back, to try elsewhere if an error comes.
    await provider.step('alpha', 2);
    const events = new EventReader(await wire.head());
    const names = [(await events.next()).event, (await events.next()).event];
    assert.deepEqual(names, ['message_start', 'content_block_start']);
    while (names.at(-1) !== 'message_stop') {
        await provider.step('alpha', 1);
        names.push((await events.next({ ms: 3000 })).event);
    }
    assert.equal(await events.next(), null);
    assert.ok(names.filter((name) => name === 'content_block_delta').length >= 2, names.join(' '));
    assert.equal(events.answer.header('content-type').split(';')[0], 'text/event-stream');
    assert.equal(events.answer.header('content-length'), undefined);
});

test('an event comes down as it was sent, unknown ones too', async (world) => {
    const { provider, node } = await world.setting();
    const body = [
        'event: message_start\ndata: {"type":"message_start","message":{"usage":{}}}\n\n',
        ': a comment\n\n',
        'event: ping\ndata: {"type": "ping"}\n\n',
        'event: content_block_start\r\ndata: {"type":"content_block_start"}\r\n\r\n',
        'event: something_new\nid: 7\nretry: 10\ndata: {"a":\ndata: 1}\n\n',
        'event: message_stop\ndata: {"type":"message_stop"}\n\n',
    ].join('');
    const script = { body, status: 200, headers: { 'content-type': 'text/event-stream' } };
    const answer = await post(node.port, { stream: true, script });
    assert.equal(answer.text, body);
    await quiet({ node, provider });
});

test('a slot is held until the stream has really ended', async (world) => {
    const { provider, node } = await world.setting({ max: 1 });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    await provider.step('alpha', 4);
    const events = new EventReader(await wire.head());
    await events.next();
    ownError(await post(node.port), 529, 'overloaded_error');
    await provider.step('alpha', -1);
    await events.all();
    await node.activeReaches(0);
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await provider.credential('alpha')).high_water, 1);
});

test('a slot is held while a slow client still takes a whole answer', async (world) => {
    const { provider, node } = await world.setting({ max: 1 });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ script: { raw_bytes: size(64 * MEBIBYTE) } }));
    const answer = await wire.head();
    ownError(await post(node.port), 529, 'overloaded_error');
    assert.equal((await answer.digestBody({ ms: 30000 })).bytes, size(64 * MEBIBYTE));
    await quiet({ node, provider });
});

/** Waits until the provider can send no more; how much it has sent. */
async function standstill(provider) {
    let last = -1;
    let same = 0;
    return eventually(
        'the provider to be held back',
        async () => {
            const record = (await provider.log()).at(-1);
            same = record.bytes_sent === last ? same + 1 : 0;
            last = record.bytes_sent;
            return same >= 10 && last;
        },
        { every: 30 },
    );
}

test(
    'a slow reader of a 200 MB stream costs the node no memory',
    { ms: 90000 },
    async (world, t) => {
        const { provider, node } = await world.setting();
        await post(node.port);
        const before = await node.memory('VmRSS');
        await node.forgetPeak();
        const script = { raw_bytes: size(200 * MEBIBYTE) };
        const { answer, wire } = await open(node.port, { script });
        const sent = await standstill(provider);
        assert.ok(sent < 32 * MEBIBYTE, `the provider could send ${sent} bytes to nobody`);
        for (let sips = 0; sips < 200; sips++) {
            await answer.piece();
            await pause(1);
        }
        let tail = '';
        for (let piece; (piece = await answer.piece({ ms: 20000 }));) {
            tail = (tail + piece.toString('latin1')).slice(-200);
        }
        assert.ok(wire.received > size(200 * MEBIBYTE));
        assert.match(tail, /event: message_stop/);
        const growth = (await node.memory('VmHWM')) - before;
        t.diagnostic(`grew by ${growth} KiB; the provider was held back at ${sent} bytes`);
        assert.ok(growth < (isSanitized() ? 64 : 16) * 1024, `grew by ${growth} KiB`);
    },
);

test('a client that sends ahead of its answers is not read without end', async (world, t) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ script: { hold: true } }));
    await provider.activeReaches(1);
    const before = await node.memory();
    await node.forgetPeak();
    let taken = 0;
    const flood = messagesRequest({ text: 'x'.repeat(MEBIBYTE) });
    for (let i = 0; i < 64; i++)
        wire.send(flood).then(
            () => taken++,
            () => {},
        );
    await eventually('the flood to be held back', async () => {
        const now = taken;
        await pause(200);
        return now === taken;
    });
    t.diagnostic(`${taken} MiB of 64 were taken`);
    assert.ok(taken < 40, `${taken} MiB were read ahead`);
    const growth = (await node.memory('VmHWM')) - before;
    assert.ok(growth < (isSanitized() ? 64 : 16) * 1024, `grew by ${growth} KiB`);
    wire.reset(); // a close would wait behind what is not read
    await quiet({ node, provider });
});

test('an upload that takes its time holds no slot', async (world) => {
    const { provider, node } = await world.setting({ max: 1 });
    const bytes = messagesRequest({ text: 'x'.repeat(100000) });
    const wire = await connect(node.port);
    await wire.send(bytes.subarray(0, 50000));
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await node.status()).total_active, 0);
    await wire.send(bytes.subarray(50000));
    assert.equal((await wire.answer()).status, 200);
    await quiet({ node, provider });
});

test('a client that takes nothing for too long is let go, and its slot freed', async (world) => {
    const { provider, node } = await world.setting({ config: { timeouts: { client_ms: 600 } } });
    const { answer } = await open(node.port, { script: { raw_bytes: 64 * MEBIBYTE } });
    const line = await node.event('exchange finished', (l) => l.path === '/v1/messages');
    assert.notEqual(line.end, 'ok');
    await quiet({ node, provider });
    await assert.rejects(answer.digestBody({ ms: 10000 }), /ended/, 'it must not look whole');
});

test('a silent stream is not cut while the provider may still speak', async (world) => {
    const config = { timeouts: { client_ms: 300 } };
    const { provider, node } = await world.setting({ config });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { event_delay_ms: 500, events: 8 } }));
    const answer = await wire.answer();
    assert.match(answer.text, /event: message_stop/);
    await quiet({ node, provider });
});

test('many streams at once all come whole', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 3, max: 50 });
    const answers = await Promise.all(
        Array.from({ length: 100 }, () =>
            post(node.port, {
                stream: true,
                script: { text_bytes: 20000, event_delay_ms: 1 },
            }),
        ),
    );
    for (const answer of answers) {
        assert.equal(answer.status, 200);
        assert.match(answer.text, /event: message_stop/);
    }
    await quiet({ node, provider });
});

test('a stream may follow another on one connection', async (world) => {
    const { node } = await world.setting();
    const wire = await connect(node.port);
    for (let i = 0; i < 3; i++) {
        await wire.send(messagesRequest({ stream: true }));
        assert.match((await wire.answer()).text, /event: message_stop/);
    }
    await wire.send(request('GET', '/health'));
    assert.equal((await wire.answer()).status, 200);
});

test("a large upload is sent on at the provider's pace", async (world) => {
    const { provider, node } = await world.setting();
    const body = messages({ text: 'y'.repeat(20 * MEBIBYTE) });
    const answers = await within(
        40000,
        'four uploads',
        Promise.all(Array.from({ length: 4 }, () => post(node.port, { body, ms: 40000 }))),
    );
    for (const answer of answers) assert.equal(answer.status, 200);
    for (const record of await provider.log()) {
        assert.equal(record.body_sha256, provider.digest(body));
    }
});
