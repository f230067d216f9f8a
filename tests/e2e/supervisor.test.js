// What a node and the supervisor that started it have to say to each other: tests/supervisor, which
// starts it as systemd does, prints what it is told, and keeps a listening socket for it.
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import {
    connect,
    EventReader,
    eventually,
    freePort,
    Load,
    messagesRequest,
    pause,
    post,
    test,
} from './harness/index.js';

const fits = (node, what, wanted, options) =>
    node.child.out.find(what, (line) => wanted(JSON.parse(line)), options);

/** The lines of the first thing it is told of that name, since `from`. */
async function told(node, name, { value = /./, ...options } = {}) {
    const has = ({ told: text }) =>
        text?.split('\n').some((line) => line.startsWith(`${name}=`) && value.test(line));
    const line = await fits(node, `${name} to be told`, has, options);
    return Object.fromEntries(
        JSON.parse(line)
            .told.split('\n')
            .map((part) => [part.split('=')[0], part.slice(part.indexOf('=') + 1)]),
    );
}

/** How often it was told that, so far. */
const count = (node, name) =>
    node.child.out.items.filter((line) => JSON.parse(line).told?.includes(`${name}=`)).length;

const mark = (node) => node.child.out.items.length;

/** The node that the supervisor started last. */
const pidOf = (node) =>
    node.child.out.items.map((line) => JSON.parse(line).started).filter(Boolean).at(-1);

async function passedPort(node) {
    await eventually('the supervisor', () => node.child !== undefined);
    return JSON.parse(await fits(node, 'the passed port', (line) => line.port)).port;
}

for (const kind of ['path', 'abstract'])
    test(`READY comes when /ready says 200, by a socket that is ${kind}`, async (world) => {
        const supervisor = kind === 'abstract' ? ['--abstract'] : ['--watchdog-usec', '60000000'];
        const { node } = await world.setting({ supervisor, subscriptions: 2 });
        const said = await told(node, 'READY');
        assert.equal((await node.get('/ready')).status, 200);
        assert.deepEqual(said, { READY: '1', STATUS: 'ready; 2 subscriptions, 0 running' });
        assert.ok(node.child.out.items.every((line) => JSON.parse(line).by === undefined));
    });

test('without Redis READY is not said, but what is missing, and time is asked for', async (world) => {
    const redis = await world.redis({ keep: true });
    await redis.kill();
    const { node } = await world.setting({ redis, supervisor: [] });
    assert.equal((await node.get('/ready')).status, 503);
    const said = await told(node, 'STATUS', { value: /redis down/ });
    assert.match(said.EXTEND_TIMEOUT_USEC, /^\d{8}$/);
    assert.equal(count(node, 'READY'), 0);
    await redis.start();
    await told(node, 'READY');
    assert.equal((await node.get('/ready')).status, 200);
});

test('one that waits for its name says so, asks for time, and leaves when told', async (world) => {
    const { provider, redis, node } = await world.setting();
    const second = world.nodeToCome({
        id: node.id,
        supervisor: [],
        config: {
            node: { taken_name: 'wait' },
            server: { port: await freePort() },
            subscriptions: world.subscriptions(provider, 1),
            redis: { url: redis.url },
        },
    });
    const starting = assert.rejects(second.start());
    await eventually('the supervisor', () => second.child !== undefined);
    const said = await told(second, 'STATUS', { value: /waiting until its name is free/ });
    assert.match(said.EXTEND_TIMEOUT_USEC, /^\d{8}$/);
    second.child.signal('SIGTERM');
    await told(second, 'STOPPING');
    assert.equal((await second.child.wait()).code, 0);
    await starting;
    assert.equal(count(second, 'READY'), 0);
});

test('STOPPING comes with SIGTERM, and what is waited for while it leaves', async (world) => {
    const { provider, node } = await world.setting({ supervisor: [] });
    await told(node, 'READY');
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    await provider.step('alpha', 4);
    const { answer } = new EventReader(await wire.head());
    node.child.signal('SIGTERM');
    const said = await told(node, 'STOPPING');
    assert.equal((await node.get('/ready')).status, 503);
    assert.equal(said.STATUS.replace(/:.*;/, ';'), 'leaving; 1 subscription, 1 running');
    assert.match(said.EXTEND_TIMEOUT_USEC, /^\d{8}$/);
    await told(node, 'STATUS', { value: /what runs may end; .* 1 running/ });
    await provider.step('alpha', -1);
    await answer.readBody();
    wire.leave();
    assert.equal((await node.child.wait()).code, 0);
    assert.equal(count(node, 'STOPPING'), 1);
});

test('a reload: RELOADING with the time before it, READY behind it', async (world) => {
    const { node } = await world.setting({ supervisor: [] });
    await told(node, 'READY');
    const from = mark(node);
    await node.reload({ ...node.config, subscriptions: [{ name: 'other', api_key: 'sk-ant-x' }] });
    const said = await told(node, 'RELOADING', { from });
    const uptime = Number((await readFile('/proc/uptime', 'utf8')).split(' ')[0]);
    assert.ok(Math.abs(Number(said.MONOTONIC_USEC) / 1e6 - uptime) < 60, JSON.stringify(said));
    const ready = await told(node, 'READY', { from });
    assert.equal(ready.STATUS, 'ready; 1 subscription, 0 running');
});

test('a reload that is refused: READY all the same, and why in one line', async (world) => {
    const { node } = await world.setting({ supervisor: [] });
    await told(node, 'READY');
    const from = mark(node);
    node.text = '{ "server": { "po\\nSTOPPING=1\\nrt": 1 } }';
    assert.match((await node.reload(node.config)).event, /^reload refused/);
    const ready = await told(node, 'READY', { from });
    assert.match(ready.STATUS, /^reload refused, nothing was changed: .*STOPPING/);
    assert.equal(ready.STOPPING, undefined);
});

test('many reloads in a row: the last word is READY', async (world) => {
    const { node } = await world.setting({ supervisor: [], config: { server: { workers: 3 } } });
    await told(node, 'READY');
    for (let i = 0; i < 10; i++) node.child.signal('SIGHUP');
    assert.equal((await node.reload()).event, 'reloaded');
    await eventually('READY behind the last RELOADING', () => {
        const lines = node.child.out.items.map((line) => JSON.parse(line).told ?? '');
        const last = (name) => lines.findLastIndex((text) => text.startsWith(`${name}=`));
        return last('READY') > last('RELOADING') && last('RELOADING') > 0;
    });
});

test('a worker that is stuck keeps the watchdog from being told', async (world) => {
    const supervisor = ['--watchdog-usec', '200000'];
    const { node } = await world.setting({ supervisor, config: { server: { workers: 2 } } });
    for (let from = 0, i = 0; i < 5; i++) {
        await told(node, 'WATCHDOG', { from });
        from = mark(node);
    }
    node.child.signal('SIGUSR2');
    await fits(node, 'a stuck worker', (line) => line.stuck);
    const said = await node.event('a worker does not turn: the watchdog is told nothing');
    assert.deepEqual([said.worker, said.watchdog_ms], [1, 200]);
    const from = mark(node);
    // The control loop turns all the while: what it does every second is seen.
    await eventually('the rest of the node to go on', async () => {
        const text = await readFile(`/proc/${pidOf(node)}/schedstat`, 'utf8');
        node.slices ??= Number(text.split(' ')[2]);
        return Number(text.split(' ')[2]) > node.slices + 20;
    });
    const since = node.child.out.items.slice(from).map((line) => JSON.parse(line).told);
    assert.deepEqual(since.filter((text) => text?.includes('WATCHDOG')), []);
    node.child.signal('SIGUSR2');
    await told(node, 'WATCHDOG', { from });
});

test('callers who come before the node are served by it', async (world) => {
    const redis = await world.redis();
    const provider = await world.provider();
    const node = world.nodeToCome({
        supervisor: ['--later', '--pass', 'listening'],
        config: {
            server: { workers: 2 },
            subscriptions: world.subscriptions(provider, 1, { max_concurrent: 20 }),
            redis: { url: redis.url },
        },
    });
    const starting = node.start();
    const port = await passedPort(node);
    const wires = await Promise.all(Array.from({ length: 20 }, () => connect(port)));
    for (const wire of wires) await wire.send(messagesRequest());
    assert.equal(count(node, 'STATUS'), 0, 'there is no node yet');
    node.child.signal('SIGUSR1');
    await starting;
    assert.equal(node.port, port);
    await node.event('a listening socket was passed: server.host and server.port are not used');
    for (const wire of wires) assert.equal((await wire.answer()).status, 200);
});

test('all workers take from a passed socket, and one that is stuck keeps nobody waiting', async (world) => {
    const supervisor = ['--pass', 'listening'];
    const config = { server: { workers: 2 } };
    const { node } = await world.setting({ supervisor, config, max: 100 });
    const served = async () => {
        const wires = await Promise.all(Array.from({ length: 20 }, () => connect(node.port)));
        for (const wire of wires) await wire.send(messagesRequest());
        const threads = [];
        for (const wire of wires) threads.push((await node.finished(await wire.answer())).thread);
        return threads;
    };
    const workers = new Set();
    await eventually('both to have served', async () => {
        for (const thread of await served()) workers.add(thread);
        return workers.size === 2;
    });
    node.child.signal('SIGUSR2');
    await fits(node, 'a stuck worker', (line) => line.stuck);
    assert.deepEqual([...new Set(await served())], ['worker-0']);
    node.child.signal('SIGUSR2');
    await fits(node, 'it to go on', (line) => line.freed);
});

test('restarts behind a passed socket cost no caller anything', async (world) => {
    const config = { server: { workers: 2 } };
    const supervisor = ['--pass', 'listening'];
    const { node } = await world.setting({ supervisor, config, max: 50 });
    const load = new Load([node], 6);
    for (let round = 0; round < 3; round++) {
        const from = node.mark();
        const before = load.served;
        await eventually('requests to run', () => load.served > before + 10);
        node.child.signal('SIGUSR1');
        await node.event('weir has left', undefined, { from, ms: 20000 });
        await node.event('listening', undefined, { from, ms: 20000 });
    }
    const before = load.served;
    await eventually('requests to run', () => load.served > before + 10);
    await load.stop();
    assert.deepEqual(load.faults, []);
    assert.deepEqual(Object.keys(load.statuses), ['200']);
});

/** CPU time of a process so far, in ms. */
async function cpuMs(pid) {
    const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10;
}

test('who waits behind a passed socket is left to the next node, and keeps this one from nothing', async (world) => {
    const config = { server: { workers: 2, drain_seconds: 30 } };
    const supervisor = ['--pass', 'listening'];
    const { provider, node } = await world.setting({ supervisor, config });
    const held = await connect(node.port);
    await held.send(messagesRequest({ script: { hold: true } }));
    await provider.activeReaches(1);
    const former = pidOf(node);
    const from = node.mark();
    node.child.signal('SIGUSR1');
    await node.log.find('the drain', (line) => /^draining/.test(line.event), { from });
    await told(node, 'STATUS', { value: /what runs may end/ });
    const waiting = await connect(node.port);
    await waiting.send(messagesRequest());
    const before = await cpuMs(former);
    await pause(1000);
    const used = (await cpuMs(former)) - before;
    assert.ok(used < 500, `${used} ms of CPU in a second of waiting`);
    await provider.step('alpha', -1);
    assert.equal((await held.answer()).status, 200);
    assert.equal((await waiting.answer({ ms: 20000 })).status, 200);
    assert.notEqual(pidOf(node), former);
    assert.equal((await provider.log()).length, 2);
});

const WRONG = {
    bound: /descriptor 3, weir\.socket\) is a TCP socket that does not listen/,
    udp: /is an IP socket that is not TCP/,
    unix: /is a Unix socket/,
    file: /is no socket/,
    two: /2 sockets were passed to this node \(LISTEN_FDS; one:two\), but it has one door/,
};
for (const [kind, words] of Object.entries(WRONG))
    test(`a passed socket that cannot be used is an error in words: ${kind}`, async (world) => {
        const subscriptions = [{ name: 'alpha', api_key: 'sk-ant-x' }];
        const node = world.nodeToCome({ supervisor: ['--pass', kind], config: { subscriptions } });
        await assert.rejects(node.start());
        node.isEndExpected = false;
        assert.equal((await node.child.wait()).code, 1);
        assert.match(node.lines.join('\n'), words);
    });

test('what was meant for another process is not taken', async (world) => {
    const env = { LISTEN_FDS: '1', LISTEN_PID: '1', WATCHDOG_USEC: '1000', WATCHDOG_PID: '1' };
    const { node } = await world.setting({ env });
    assert.equal((await post(node.port)).status, 200);
});

test('NOTIFY_SOCKET where nobody listens is told once, and the node serves', async (world) => {
    const { node } = await world.setting({ env: { NOTIFY_SOCKET: '/nowhere/at-all' } });
    assert.equal((await post(node.port)).status, 200);
    const isAbout = (line) => /supervisor .* cannot be told/.test(line.event);
    await node.log.find('a warning', isAbout);
    await node.event('listening');
    assert.equal(node.log.items.filter(isAbout).length, 1);
});

test('a private Redis hears nothing of the supervisor, and has no part of its socket', async (world) => {
    const supervisor = ['--pass', 'listening', '--watchdog-usec', '60000000'];
    const config = { redis: undefined };
    const { node } = await world.setting({ supervisor, config });
    await told(node, 'READY');
    const children = await readFile(`/proc/${pidOf(node)}/task/${pidOf(node)}/children`, 'utf8');
    const [pid] = children.trim().split(' ');
    assert.match(await readFile(`/proc/${pid}/cmdline`, 'utf8'), /redis-server/);
    assert.doesNotMatch(await readFile(`/proc/${pid}/environ`, 'utf8'), /NOTIFY|WATCHDOG|LISTEN/);
    assert.ok((await readdir(`/proc/${pid}/fd`)).length > 0);
});
