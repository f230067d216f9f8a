// A machine that does not play along: no descriptors, a full disk, a private Redis that hangs, a log
// that goes nowhere. The node says what it cannot do, and does it again as soon as it can.
// What else a machine can do: a log reader that stands still (log), Redis away or standing still
// (outage), names and name servers that fail or change (tests/unit/net/resolve_test.c).
import assert from 'node:assert/strict';
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
    connect,
    eventually,
    filesOf,
    messagesRequest,
    nothingRemains,
    ownError,
    post,
    run,
    test,
} from './harness/index.js';

const served = (node, options) =>
    eventually('a request to be served', async () => (await post(node.port)).status === 200, {
        ms: 20000,
        ...options,
    });

/** Refused with 503 and when to come again; returns what it says. */
async function refusedForNow(node) {
    const answer = await post(node.port, { ms: 10000 });
    ownError(answer, 503, 'api_error');
    assert.match(answer.header('retry-after'), /^[1-9]\d*$/);
    return answer.text;
}

/** A node that brings its own Redis. */
async function withPrivateRedis(world, options = {}) {
    const provider = await world.provider();
    const state = world.place('state');
    const subscriptions = world.subscriptions(provider, 1);
    const config = { subscriptions, node: { state_dir: state }, server: { drain_seconds: 2 } };
    const node = await world.node({ config, ...options });
    assert.equal((await post(node.port)).status, 200);
    const status = await run('redis-cli', ['-s', join(state, 'redis.sock'), 'INFO', 'server']);
    return { provider, node, state, pid: Number(/process_id:(\d+)/.exec(status.out)[1]) };
}

test('without descriptors callers wait or hear 503, and later all is well', async (world) => {
    const setting = await world.setting({ subscriptions: 2, max: 100 });
    const { node, redis } = setting;
    await post(node.port);
    const files = await filesOf(node);
    for (let round = 0; round < 3; round++) {
        const allowed = await node.limitFiles((await node.openFiles()) + 10);
        const wires = await Promise.all(Array.from({ length: 60 }, () => connect(node.port)));
        const asked = wires.map(async (wire) => {
            await wire.send(messagesRequest({ script: { delay_ms: 30 } }));
            return (await wire.answer({ ms: 30000 })).status;
        });
        const [first] = await Promise.all([
            Promise.race(asked),
            redis.cli('CLIENT', 'KILL', 'TYPE', 'normal'),
        ]);
        assert.ok([200, 503].includes(first), `${first}`);
        await node.limitFiles(allowed);
        for (const status of await Promise.all(asked)) {
            assert.ok([200, 503].includes(status), `${status}`);
        }
        for (const wire of wires) wire.leave();
        await served(node);
        await nothingRemains({ ...setting, files }, { ms: 20000 });
    }
    assert.ok(
        (await node.metrics()).value('weir_descriptors_short_total') > 0,
        'there were enough',
    );
});

test('a private Redis that hangs: 503 in time, and all is well when it goes on', async (world) => {
    const { node, pid } = await withPrivateRedis(world);
    process.kill(pid, 'SIGSTOP');
    for (let i = 0; i < 3; i++) await refusedForNow(node);
    assert.equal((await node.get('/health')).json.redis, 'down');
    assert.equal((await node.get('/ready')).status, 503);
    process.kill(pid, 'SIGCONT');
    await served(node);
    await node.activeReaches(0, { ms: 20000 });
});

test('a node whose private Redis hangs leaves in seconds, and ends it in order', async (world) => {
    const { node, state, pid } = await withPrivateRedis(world);
    process.kill(pid, 'SIGSTOP');
    await refusedForNow(node);
    await node.child.end({ signal: 'SIGTERM', ms: 10000 });
    const said = await readFile(join(state, 'redis.log'), 'utf8');
    assert.match(said.trimEnd().split('\n').at(-1), /ready to exit/);
});

/** How large the data of that private Redis is. */
async function dataBytes(state) {
    const dir = join(state, 'appendonlydir');
    const sizes = (await readdir(dir)).map(async (name) => (await stat(join(dir, name))).size);
    return Math.max(...(await Promise.all(sizes)));
}

test('a private Redis whose disk is full: 503 that says so, until there is room', async (world) => {
    const shell = 'trap "" XFSZ; exec "$@"'; // a file at its limit is an error then, as a full disk is
    const { provider, node, state, pid } = await withPrivateRedis(world, { shell });
    await run('prlimit', ['--pid', `${pid}`, `--fsize=${(await dataBytes(state)) + 100}:`]);
    await eventually('a refusal', async () => (await post(node.port)).status !== 200);
    const asked = (await provider.log()).length;
    for (let i = 0; i < 5; i++) await refusedForNow(node);
    assert.equal((await provider.log()).length, asked, 'nothing goes up that cannot be counted');
    assert.equal((await node.get('/ready')).status, 503);
    await node.event('redis is away', (line) => /cannot save its data/.test(line.reason));
    await run('prlimit', ['--pid', `${pid}`, '--fsize=unlimited:']);
    await served(node);
    await node.activeReaches(0, { ms: 20000 });
});

/** A node that serves, keeps nothing and leaves as always, whatever has become of its log. */
async function servesUnheard(world, { shell, then = () => {} }) {
    const setting = await world.setting({ shell });
    const { node } = setting;
    await then(node);
    const files = await filesOf(node);
    for (let i = 0; i < 50; i++) assert.equal((await post(node.port)).status, 200);
    await nothingRemains({ ...setting, files });
    return node;
}

/** It counts what nobody will read. */
const tellsOfLostLines = (node) =>
    eventually('lost lines', async () => {
        return (await node.metrics()).value('weir_log_lines_lost_total') > 50;
    });

test('a log on a full disk stops nothing, and what is lost is counted', async (world) => {
    const node = await servesUnheard(world, { shell: 'exec "$@" 2>/dev/full' });
    await tellsOfLostLines(node);
});

test('a log whose reader is gone stops nothing', async (world) => {
    const node = await servesUnheard(world, {
        then: (node) => node.child.process.stderr.destroy(),
    });
    await tellsOfLostLines(node);
});

test('a node started without standard streams keeps its log out of everything else', async (world) => {
    const node = await servesUnheard(world, { shell: 'exec "$@" <&- >&- 2>&-' });
    for (const fd of [0, 1, 2]) {
        assert.equal(await readlink(`/proc/${node.pid}/fd/${fd}`), '/dev/null');
    }
});
