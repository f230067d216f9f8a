// When a request is sent again, where, and how often at most.
import assert from 'node:assert/strict';
import { connect, messagesRequest, open, ownError, post, quiet, test } from './harness/index.js';

const SHOWN = { server: { expose_subscription: true } };
const FAST = { retry: { attempts: 3, delay_ms: 1 } };
const setting = (world, subscriptions, more = {}) =>
    world.setting({ subscriptions, config: { ...SHOWN, ...FAST, ...more } });

const BUSY = {
    'a 529': { status: 529 },
    'an overloaded_error in a stream': {
        error_event: { type: 'overloaded_error', message: 'Overloaded', after_events: 0 },
    },
    'an overloaded_error behind a 200': {
        status: 200,
        headers: { 'content-type': 'application/json' },
        body: { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } },
    },
};

for (const [title, fault] of Object.entries(BUSY)) {
    const stream = title.includes('stream');
    test(`${title}: the same subscription is asked again, then the next one`, async (world) => {
        const { provider, redis, node } = await setting(world, 2);
        await provider.fault('alpha', { times: 2, ...fault });
        const answer = await post(node.port, { stream });
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.header('x-weir-subscription'), 'alpha');
        assert.equal(answer.header('x-weir-attempts'), '3');
        await redis.bookedReaches('sub:alpha', { requests: 1, errors: 0 });
        await provider.fault('alpha', { times: 3, ...fault });
        const next = await post(node.port, { stream });
        assert.equal(next.header('x-weir-subscription'), 'beta');
        assert.equal(next.header('x-weir-attempts'), '4');
        assert.deepEqual(await provider.asked(), { alpha: 6, beta: 1 });
        assert.equal((await node.metrics()).value('weir_retries_total'), 4);
        await quiet({ node, provider });
    });
}

test('who asks to be left alone for long is not asked again: the next one is', async (world) => {
    const { provider, node } = await setting(world, 2, { retry: { attempts: 3, delay_ms: 500 } });
    await provider.fault('alpha', { status: 529, headers: { 'retry-after': '30' } });
    const answer = await post(node.port);
    assert.equal(answer.header('x-weir-subscription'), 'beta');
    assert.equal(answer.header('x-weir-attempts'), '2');
});

test('a caller who leaves between two tries frees the slot, and no more is sent', async (world) => {
    const { provider, node } = await setting(world, 1, { retry: { attempts: 3, delay_ms: 30000 } });
    await provider.fault('alpha', { times: -1, status: 529 });
    const wire = await connect(node.port);
    await wire.send(messagesRequest());
    await node.event('retry');
    wire.leave();
    await quiet({ node, provider });
    assert.equal((await provider.log()).length, 1);
});

test('a node that leaves does not wait for a second try', async (world) => {
    const retry = { attempts: 3, delay_ms: 30000 };
    const server = { ...SHOWN.server, drain_seconds: 1 };
    const { provider, node } = await setting(world, 1, { retry, server });
    await provider.fault('alpha', { times: -1, status: 529 });
    const wire = await connect(node.port);
    await wire.send(messagesRequest());
    await node.event('retry');
    await node.stop();
    ownError(await wire.answer(), 503, 'api_error');
});

// Every request fails: what reaches the provider is counted there.
const OUTAGES = {
    'all overloaded': { status: 529 },
    'all failing with 500': { status: 500 },
    'all closing without an answer': { close_before_answer: true },
    'all saying nothing': { status: 200, headers: { 'content-type': 'text/event-stream' }, body: '' },
};

for (const [title, fault] of Object.entries(OUTAGES)) {
    test(`${title}: providers get at most 1.2 of what is asked`, async (world, t) => {
        const { provider, node } = await setting(world, 5);
        await provider.fault('*', { times: -1, ...fault });
        const count = 200;
        for (let i = 0; i < count; i += 10) {
            const answers = Array.from({ length: 10 }, () => post(node.port, { stream: true }));
            for (const answer of await Promise.all(answers)) assert.ok(answer.status >= 500);
        }
        const { length } = await provider.log();
        t.diagnostic(`${length} requests for ${count}`);
        assert.ok(length <= 1.2 * count, `${length} requests for ${count}`);
        assert.ok((await node.metrics()).value('weir_retries_denied_total') > 0);
    });
}

test('a long storm of 529 on five subscriptions never empties the pool', async (world, t) => {
    const { provider, node } = await setting(world, 5);
    let served = 0;
    for (let round = 0; round < 34; round++) {
        // Half a minute each, compressed: most requests are turned away.
        await provider.reset();
        await provider.fault('*', { times: 7, status: 529 });
        const answers = Array.from({ length: 10 }, () => post(node.port));
        for (const answer of await Promise.all(answers)) {
            assert.ok([200, 529].includes(answer.status), `${answer.status} ${answer.text}`);
            served += answer.status === 200 ? 1 : 0;
        }
    }
    t.diagnostic(`${served} of 340 were served`);
    assert.ok(served >= 3 * 34, `${served}`);
    const { subscriptions } = await node.status();
    for (const one of subscriptions) {
        assert.equal(one.in_cooldown, false, one.name);
        assert.equal(one.health, '', one.name);
    }
    assert.equal((await node.metrics()).value('weir_refused_total'), 0);
    await provider.reset();
    assert.equal((await post(node.port)).status, 200);
});

test('failures that close a subscription are not counted: all others are asked', async (world) => {
    const { provider, node } = await setting(world, 5);
    for (const name of ['alpha', 'beta', 'gamma', 'delta'])
        await provider.fault(name, { times: -1, status: 429, headers: { 'retry-after': '60' } });
    for (let i = 0; i < 20; i++) assert.equal((await post(node.port)).status, 200);
    assert.equal((await node.metrics()).value('weir_retries_denied_total'), 0);
});

/** A node that knows how long heads take: a hundred streams have passed. */
async function knowing(world) {
    const { provider, redis, node } = await setting(world, 2);
    for (let i = 0; i < 100; i++) await post(node.port, { stream: true });
    await provider.reset();
    return { provider, redis, node };
}

test('a stream whose head is late goes to a subscription that is idle', async (world) => {
    const { provider, redis, node } = await knowing(world);
    await provider.fault('*', { times: 1, stall: true });
    const answer = await post(node.port, { stream: true });
    assert.equal(answer.status, 200);
    assert.match(answer.text, /event: message_stop/);
    assert.equal(answer.header('x-weir-attempts'), '2');
    const moved = await node.event('moved');
    assert.notEqual(moved.from, answer.header('x-weir-subscription'));
    assert.equal((await node.metrics()).value('weir_moves_total'), 1);
    const [first, second] = await provider.log();
    assert.ok(first.ended_ms <= second.started_ms, 'never are both asked at once');
    await redis.bookedReaches(`sub:${moved.from}`, { cancelled: 1 });
    await quiet({ node, provider });
});

test('a late head is waited for where no other subscription is idle', async (world) => {
    const { provider, node } = await knowing(world);
    await provider.fault('*', { times: 2, hold: true });
    const held = [await open(node.port), await open(node.port)];
    await provider.fault('*', { times: 1, delay_ms: 1800 });
    const answer = await post(node.port, { stream: true });
    assert.equal(answer.header('x-weir-attempts'), '1');
    assert.equal((await node.metrics()).value('weir_moves_total'), 0);
    for (const name of ['alpha', 'beta']) await provider.step(name, -1);
    for (const one of held) await one.events.all();
    await quiet({ node, provider });
});

test('who leaves while a move is asked for, or after it, leaves nothing behind', async (world) => {
    const { provider, node } = await knowing(world);
    await provider.fault('*', { times: 2, stall: true });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true }));
    await node.event('moved');
    wire.leave();
    await quiet({ node, provider });
});
