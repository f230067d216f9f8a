// A client that leaves, in each phase of its request: the request upstream ends at once, the slot
// is free again, and what was used so far is booked. How long it takes is told, not judged sharply:
// a busy machine is no fault of the node.
import assert from 'node:assert/strict';
import {
    clockMs,
    connect,
    EventReader,
    messagesRequest,
    open,
    pause,
    post,
    quiet,
    test,
    within,
} from './harness/index.js';

const AT_ONCE_MS = 1000; // the promise is 50; see above

/** How the last request at the provider ended, after the client left at `leftMs`. */
async function endedAtOnce(t, provider, leftMs) {
    await provider.activeReaches(0);
    const record = (await provider.log()).at(-1);
    const took = record.ended_ms - leftMs;
    t.diagnostic(`the provider saw the end after ${took} ms`);
    assert.equal(record.state, 'client_closed');
    assert.ok(took < AT_ONCE_MS, `${took} ms`);
}

const cancelled = (redis, more = {}) =>
    redis.bookedReaches('sub:alpha', { requests: 1, cancelled: 1, errors: 0, ...more });

test('while it sends its body: nothing went upstream, nothing is held', async (world) => {
    const { provider, node } = await world.setting();
    const idle = await node.openFiles();
    const bytes = messagesRequest({ text: 'x'.repeat(100000) });
    const wire = await connect(node.port);
    await wire.send(bytes.subarray(0, 60000));
    wire.leave();
    await quiet({ node, provider });
    assert.deepEqual(await provider.log(), []);
    assert.ok((await node.openFiles()) <= idle + 1, 'its connection stays open');
});

test('while it waits for admission: it is over at once, and a late grant goes back', async (world) => {
    const { provider, redis, node } = await world.setting({ max: 1 });
    assert.equal((await post(node.port)).status, 200);
    await node.event('exchange finished');
    redis.suspend();
    const from = node.mark();
    const wire = await connect(node.port);
    await wire.send(messagesRequest());
    await node.event('step', (line) => line.to === 'admit', { from });
    wire.leave();
    assert.equal((await node.event('exchange finished', undefined, { from })).end, 'client_gone');
    redis.resume();
    await redis.bookedReaches('sub:alpha', { requests: 2, cancelled: 1 });
    await node.activeReaches(0);
    assert.equal((await provider.log()).length, 1, 'nothing went upstream for a client that left');
    assert.equal((await post(node.port)).status, 200);
});

test('while the connection upstream is made', async (world) => {
    const { port } = await world.fullPort();
    const { redis, node } = await world.setting({ url: `http://127.0.0.1:${port}` });
    const wire = await connect(node.port);
    await wire.send(messagesRequest());
    await node.activeReaches(1);
    wire.leave();
    await node.activeReaches(0, { ms: 3000 });
    await cancelled(redis);
});

test('during the TLS handshake upstream', async (world) => {
    const mute = await world.mute();
    const { redis, node } = await world.setting({ url: `https://localhost:${mute.port}` });
    const wire = await connect(node.port);
    await wire.send(messagesRequest());
    const upstream = await mute.connection();
    wire.leave();
    await within(AT_ONCE_MS, 'the handshake to be given up', upstream.closedByPeer);
    await node.activeReaches(0, { ms: 3000 });
    await cancelled(redis);
});

test('while it waits for the first byte', async (world, t) => {
    const { provider, redis, node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ script: { stall: true } }));
    await provider.activeReaches(1);
    const left = clockMs();
    wire.leave();
    await endedAtOnce(t, provider, left);
    await quiet({ node, provider });
    await cancelled(redis);
});

test('with a reset instead of a close', async (world, t) => {
    const { provider, redis, node } = await world.setting();
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ script: { stall: true } }));
    await provider.activeReaches(1);
    const left = clockMs();
    wire.reset();
    await endedAtOnce(t, provider, left);
    await quiet({ node, provider });
    await cancelled(redis);
});

test('in the middle of a stream: what was used so far is booked', async (world, t) => {
    const { provider, redis, node } = await world.setting();
    const wire = await connect(node.port);
    const usage = { input_tokens: 777, output_tokens: 5000, cache_read_input_tokens: 11 };
    await wire.send(messagesRequest({ stream: true, script: { hold: true, usage } }));
    await provider.activeReaches(1);
    await provider.step('alpha', 5);
    const events = new EventReader(await wire.head());
    for (let i = 0; i < 5; i++) await events.next();
    const left = clockMs();
    wire.leave();
    await endedAtOnce(t, provider, left);
    await quiet({ node, provider });
    const line = await cancelled(redis, { input: 777, cache_read: 11 });
    assert.ok(line.output < 5000, 'output that never came must not be booked');
    assert.equal((await node.finished(events.answer)).end, 'client_gone');
});

test('in the middle of a large answer that is no stream', async (world, t) => {
    const { provider, redis, node } = await world.setting();
    const { answer, wire } = await open(node.port, { stream: false, script: { raw_bytes: 500e6 } });
    for (let bytes = 0; bytes < 1e6;) bytes += (await answer.piece()).length;
    const left = clockMs();
    wire.leave();
    await endedAtOnce(t, provider, left);
    await quiet({ node, provider });
    await cancelled(redis);
});

test('while it takes nothing of a stream that is held back for it', async (world, t) => {
    const { provider, redis, node } = await world.setting();
    const { wire } = await open(node.port, { script: { raw_bytes: 500e6 } });
    await pause(300); // until everything on the way is full; nothing tells
    const left = clockMs();
    wire.leave();
    await endedAtOnce(t, provider, left);
    await quiet({ node, provider });
    await cancelled(redis);
});

test('while another subscription is tried', async (world, t) => {
    const { provider, redis, node } = await world.setting({ subscriptions: 2 });
    await provider.fault('alpha', { status: 500 });
    await provider.fault('beta', { stall: true });
    const wire = await connect(node.port);
    await wire.send(messagesRequest());
    await provider.reaches({ requests: 2, active: 1 });
    const left = clockMs();
    wire.leave();
    await endedAtOnce(t, provider, left);
    await quiet({ node, provider });
    await redis.bookedReaches('sub:alpha', { requests: 1, errors: 1, cancelled: 0 });
    await redis.bookedReaches('sub:beta', { requests: 1, errors: 0, cancelled: 1 });
});

test('with a second request already sent on the same connection', async (world, t) => {
    const { provider, node } = await world.setting();
    const wire = await connect(node.port);
    const first = messagesRequest({ script: { stall: true } });
    await wire.send(Buffer.concat([first, messagesRequest(), messagesRequest()]));
    await provider.activeReaches(1);
    const left = clockMs();
    wire.leave();
    await endedAtOnce(t, provider, left);
    await quiet({ node, provider });
    assert.equal((await provider.log()).length, 1, 'nobody is left to take the second answer');
});

test('a hundred that leave at once leave nothing behind', async (world) => {
    const { provider, redis, node } = await world.setting({ max: 100 });
    await post(node.port);
    await quiet({ node, provider });
    const before = await node.openFiles();
    const wires = await Promise.all(
        Array.from({ length: 100 }, async () => {
            const wire = await connect(node.port);
            await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
            return wire;
        }),
    );
    await provider.activeReaches(100);
    await provider.step('alpha', 3);
    for (const wire of wires) wire.leave();
    await quiet({ node, provider });
    await redis.bookedReaches('sub:alpha', { requests: 101, cancelled: 100 });
    assert.ok((await node.openFiles()) <= before + 4, 'sockets were left open');
    assert.equal((await post(node.port)).status, 200);
});
