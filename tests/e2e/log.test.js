// The log as its reader sees it, and what a reader that stands still does to a node: nothing.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
    connect,
    EventReader,
    eventually,
    messagesRequest,
    post,
    test,
    within,
} from './harness/index.js';

const LOST = 'weir_log_lines_lost_total';
const LOSS = 'log lines were lost: not read in time, or too long';

/** `count` requests on a few connections; every one is answered. */
async function ask(node, count, lanes = 12) {
    let left = count;
    const lane = async () => {
        const wire = await connect(node.port);
        while (left-- > 0) {
            await wire.send(messagesRequest());
            assert.equal((await wire.answer({ ms: 30000 })).status, 200);
        }
        wire.leave();
    };
    await Promise.all(Array.from({ length: lanes }, lane));
}

const lostLines = async (node) => (await node.metrics()).value(LOST);

/** Makes the node say more than the pipe and its own room hold. */
async function sayTooMuch(node) {
    node.stopReading();
    let asked = 0;
    for (; (await lostLines(node)) === 0; asked += 300) {
        assert.ok(asked < 30000, 'no line was lost');
        await ask(node, 300);
    }
}

test('a log nobody reads stops no request and ends no lease', { ms: 120000 }, async (world) => {
    const { provider, redis, node } = await world.setting({ max: 20 });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    await provider.step('alpha', 2);
    const events = new EventReader(await wire.head());
    await events.next();
    const [id] = await redis.leases();
    const expiry = () => redis.expiryOf(id);
    await sayTooMuch(node);
    for (let renewals = 0; renewals < 2; renewals++) {
        const before = await expiry();
        await eventually('a renewal', async () => (await expiry()) > before, { ms: 20000 });
        await ask(node, 20);
    }
    await provider.step('alpha', -1);
    assert.equal((await events.all()).at(-1).event, 'message_stop');
    assert.equal(node.events(LOSS).length, 0);
    node.readOn();
    const told = await node.event(LOSS);
    assert.equal(told.level, 'warn');
    assert.ok(told.lines > 0);
    await node.finished(await post(node.port));
    const all = node.events(LOSS);
    const sum = all.reduce((lines, line) => lines + line.lines, 0);
    await eventually('the count', async () => (await lostLines(node)) === sum);
    assert.deepEqual(node.events('text'), []);
});

test('a log nobody reads does not keep a node that leaves', { ms: 120000 }, async (world) => {
    const { node } = await world.setting({ max: 20 });
    await sayTooMuch(node);
    const exit = once(node.child.process, 'exit');
    node.child.signal('SIGINT');
    const [code] = await within(20000, 'the node to leave', exit);
    assert.equal(code, 0);
    node.readOn();
    await node.child.wait();
});

test('lines of four workers on one pipe are whole and all there', { ms: 120000 }, async (world) => {
    const server = { workers: 4 };
    const { node } = await world.setting({ max: 40, config: { server } });
    await ask(node, 500, 32);
    node.stopReading(); // the pipe is full for a while, and then taken in pieces
    await ask(node, 500, 32);
    node.readOn();
    await ask(node, 1000, 32);
    await node.stop();
    assert.deepEqual(node.events('text'), []);
    const finished = node.events('exchange finished');
    assert.equal(finished.length, 2000);
    assert.equal(new Set(finished.map((line) => line.thread)).size, 4);
    assert.equal(node.events(LOSS).length, 0);
});
