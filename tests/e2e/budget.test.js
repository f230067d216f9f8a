// Who may take how much of a node: memory and connections, and that no caller takes what all need.
import assert from 'node:assert/strict';
import {
    call,
    connect,
    eventually,
    isSanitized,
    messagesRequest,
    post,
    quiet,
    request,
    test,
} from './harness/index.js';

const MEBIBYTE = 1024 * 1024;
const BODY = 4 * MEBIBYTE;

/** A node that may hold bodies of 4 MiB, and little of it: two of them for one caller. */
function tight(world, more = {}) {
    const server = { max_body_bytes: BODY, memory_bytes: 32 * MEBIBYTE, ...more.server };
    return world.setting({ max: 400, ...more, config: { ...more.config, server } });
}

const filling = Buffer.alloc(BODY, ' ');

/** A request of exactly `size` bytes of body, but for the last `missing` of them. */
function upload(size, { headers = {}, missing = 0, from = {} } = {}) {
    const text = Buffer.from(messagesRequest(from).toString('latin1').split('\r\n\r\n')[1]);
    const body = Buffer.concat([text, filling.subarray(0, size - text.length)]);
    const bytes = messagesRequest({ headers, body });
    return bytes.subarray(0, bytes.length - missing);
}

/** Connections with an upload each that stops one byte short; the node has as much as it takes. */
async function stopShort(node, count, options) {
    const wires = [];
    for (let i = 0; i < count; i++) {
        const wire = await connect(node.port);
        wire.send(upload(BODY, { missing: 1, ...options })).catch(() => {});
        wires.push(wire);
    }
    await eventually('the uploads to be taken, or to wait', async () => {
        const metrics = await node.metrics();
        const held = metrics.value('weir_request_bodies_held_bytes');
        const waiting = metrics.value('weir_budget_waiting');
        return Math.floor((held + count) / BODY) + waiting >= count;
    });
    return wires;
}

test('uploads that stop one byte short refuse nobody else', async (world) => {
    const { provider, node } = await tight(world);
    const wires = await stopShort(node, 8, { headers: { 'x-client-id': 'alice' } });
    assert.equal((await post(node.port)).status, 200, 'a small request of another');
    assert.equal((await post(node.port, { headers: { 'x-client-id': 'alice' } })).status, 200);
    const large = { headers: { 'x-client-id': 'bob' }, text: 'x'.repeat(2 * MEBIBYTE) };
    assert.equal((await post(node.port, large)).status, 200, 'a large one of another');
    assert.equal((await node.get('/ready')).status, 200);
    assert.ok((await node.metrics()).value('weir_budget_waiting') > 0);
    const answers = wires.map(async (wire) => {
        await wire.send(' ');
        return (await wire.answer({ ms: 20000 })).status;
    });
    assert.deepEqual(new Set(await Promise.all(answers)), new Set([200]), 'and then they pass');
    await quiet({ node, provider });
});

test('nor do callers from a tunnel, who are not served at all', async (world) => {
    const { provider, node } = await tight(world);
    const wires = [];
    for (let i = 0; i < 8; i++) {
        const wire = await connect(node.port);
        const headers = { 'cf-ray': 'x', 'cf-connecting-ip': '203.0.113.9' };
        wire.send(upload(BODY, { missing: 1, headers })).catch(() => {});
        wires.push(wire);
    }
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await post(node.port, { text: 'x'.repeat(2 * MEBIBYTE) })).status, 200);
    for (const wire of wires) wire.leave();
    await quiet({ node, provider });
});

test('posts that are too many together wait for each other, and none is refused', async (world, t) => {
    const { provider, node } = await tight(world);
    const bytes = upload(BODY);
    const statuses = await Promise.all(
        Array.from({ length: 60 }, async () => {
            const wire = await connect(node.port);
            await wire.send(bytes);
            const answer = await wire.answer({ ms: 50000 });
            wire.leave();
            return answer.status;
        }),
    );
    assert.deepEqual(new Set(statuses), new Set([200]));
    const peak = await node.memory('VmHWM');
    t.diagnostic(`peak ${peak} KiB for 60 bodies of 4 MiB`);
    if (!isSanitized()) assert.ok(peak < 96 * 1024, `${peak} KiB`);
    assert.ok((await node.metrics()).value('weir_budget_paused_total', { kind: 'bodies' }) > 0);
    await quiet({ node, provider });
});

test('chunked uploads that are too many together all pass', async (world) => {
    const { provider, node } = await tight(world);
    const text = Buffer.from(upload(2 * MEBIBYTE).toString('latin1').split('\r\n\r\n')[1]);
    const head = messagesRequest({ headers: { 'transfer-encoding': 'chunked' }, body: '' });
    const chunk = (bytes) =>
        Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
    const statuses = await Promise.all(
        Array.from({ length: 20 }, async () => {
            const wire = await connect(node.port);
            await wire.send(head);
            for (let at = 0; at < text.length; at += 300000)
                await wire.send(chunk(text.subarray(at, at + 300000)));
            await wire.send('0\r\n\r\n');
            const answer = await wire.answer({ ms: 50000 });
            wire.leave();
            return answer.status;
        }),
    );
    assert.deepEqual(new Set(statuses), new Set([200]));
    await quiet({ node, provider });
});

test('what is held for uploads is told, never above its limit, and goes back', async (world, t) => {
    const { provider, node } = await tight(world);
    await post(node.port);
    const before = await node.memory();
    const large = { text: 'x'.repeat(3 * MEBIBYTE) };
    await Promise.all(Array.from({ length: 4 }, () => post(node.port, large)));
    const wires = await stopShort(node, 40, {});
    const metrics = await node.metrics();
    const kind = { kind: 'large_bodies' };
    const reserved = metrics.value('weir_budget_bytes', kind);
    assert.ok(reserved > 0 && reserved <= metrics.value('weir_budget_limit_bytes', kind));
    assert.ok(metrics.value('weir_request_bodies_held_bytes') <= 32 * MEBIBYTE);
    const peak = (await node.memory('VmHWM')) - before;
    for (const wire of wires) wire.leave();
    await eventually('the memory to be given back', async () => {
        const now = await node.metrics();
        return now.value('weir_budget_bytes', kind) === 0 && now.value('weir_budget_waiting') === 0;
    });
    const kept = (await node.memory()) - before;
    t.diagnostic(`${peak} KiB more at the peak, ${kept} KiB kept`);
    if (!isSanitized()) {
        assert.ok(peak < 48 * 1024, `${peak} KiB at the peak`);
        assert.ok(kept < 12 * 1024, `${kept} KiB kept`);
    }
    await quiet({ node, provider });
});

test('a caller with many unfinished heads comes to its share, others are served', async (world) => {
    const { provider, node } = await tight(world);
    const head = `GET /v1/models HTTP/1.1\r\nhost: x\r\nx-long: ${'h'.repeat(60000)}`;
    const wires = [];
    for (let i = 0; i < 100; i++) {
        const wire = await connect(node.port);
        wire.send(head).catch(() => {});
        wires.push(wire);
    }
    await eventually('some to be refused', async () => {
        const metrics = await node.metrics();
        const limit = metrics.value('weir_budget_limit_bytes', { kind: 'heads' });
        assert.ok(metrics.value('weir_budget_bytes', { kind: 'heads' }) <= limit);
        return metrics.value('weir_budget_refused_total', { kind: 'heads' }) > 0;
    });
    const refused = await wires.at(-1).answer();
    assert.equal(refused.status, 503);
    assert.match(refused.header('retry-after') ?? '', /^\d+$/);
    const other = await connect(node.port, { from: '127.0.0.2' });
    const long = { 'x-long': 'h'.repeat(40000) };
    const bytes = messagesRequest({ headers: long });
    await other.send(bytes.subarray(0, 30000));
    await other.send(bytes.subarray(30000));
    assert.equal((await other.answer()).status, 200);
    for (const wire of wires) wire.leave();
    await quiet({ node, provider });
});

// Of 300 files about 80 are for connections of callers.
const FILES = 300;

/** How many connections make up the ceiling: opened until the node says that it is reached. */
async function fill(node, connectOne) {
    const list = [];
    const isReached = () => node.lines.some((line) => /as many as there may be/.test(line));
    while (!isReached() && list.length < FILES) {
        list.push(await connectOne());
        await node.get('/health');
    }
    return list;
}

test('with as many streams as it may have, a node answers probes and operators', async (world) => {
    const { provider, node } = await world.setting({ files: FILES, max: 300 });
    const streams = await fill(node, async () => {
        const wire = await connect(node.port);
        await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
        return wire;
    });
    assert.ok(streams.length > 50, `${streams.length} streams`);
    for (let i = 0; i < 100; i++) {
        assert.equal((await node.get('/ready')).status, 200);
        assert.equal((await node.get('/health')).status, 200);
    }
    assert.ok((await node.status()).total_active > 50);
    const refused = await post(node.port);
    assert.equal(refused.status, 503);
    assert.match(refused.header('retry-after') ?? '', /^\d+$/);
    const metrics = await node.metrics();
    assert.ok(metrics.value('weir_budget_refused_total', { kind: 'connections' }) > 0);
    const lines = node.lines.filter((line) => /as many as there may be/.test(line));
    assert.equal(lines.length, 1, 'said once');
    for (const wire of streams) wire.leave();
    await quiet({ node, provider });
    assert.equal((await post(node.port)).status, 200);
});

test('connections that say nothing make room for those who ask', async (world) => {
    const { provider, node } = await world.setting({ files: FILES });
    const silent = await Promise.all(Array.from({ length: 200 }, () => connect(node.port)));
    // For a second each may still be about to ask.
    await eventually('room for a request', async () => (await post(node.port)).status === 200);
    for (let i = 0; i < 20; i++) {
        assert.equal((await node.get('/ready')).status, 200);
        assert.equal((await post(node.port)).status, 200);
    }
    const metrics = await node.metrics();
    const closed = metrics.value('weir_client_connections_closed_for_room_total', {
        was: 'silent',
    });
    assert.ok(closed > 0);
    for (const wire of silent) wire.leave();
    await quiet({ node, provider });
});

test('connections that are idle make room, the longest idle first', async (world) => {
    const { provider, node } = await world.setting({ files: FILES });
    const idle = [];
    for (let i = 0; i < 200; i++) {
        const wire = await connect(node.port);
        await wire.send(request('GET', '/v1/models'));
        assert.equal((await wire.answer()).status, 200);
        idle.push(wire);
    }
    assert.notEqual(idle[0].end, null, 'the first is closed');
    assert.equal(idle.at(-1).end, null, 'the last is not');
    assert.equal((await call(node.port, 'GET', '/ready')).status, 200);
    const metrics = await node.metrics();
    const closed = metrics.value('weir_client_connections_closed_for_room_total', { was: 'idle' });
    assert.ok(closed >= 100, `${closed} closed`);
    const lines = node.lines.filter((line) => /as many as there may be/.test(line));
    assert.equal(lines.length, 1, 'said once');
    for (const wire of idle) wire.leave();
    await quiet({ node, provider });
});
