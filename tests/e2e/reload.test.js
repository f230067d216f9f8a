// A reload tells the truth: what was read, what that changed, and what became of it. And a node
// that is taken out by hand.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
    call,
    connect,
    EventReader,
    eventually,
    key,
    messagesRequest,
    pause,
    post,
    test,
    weir,
} from './harness/index.js';

const sha = (bytes) => createHash('sha256').update(bytes).digest('hex').slice(0, 8);
const reload = (node) => call(node.port, 'POST', '/admin/reload', { body: '' });
const at = (node) => ['--url', `http://127.0.0.1:${node.port}`];

test('a reload names its source, and what was added, removed, renamed, rotated, changed', async (world) => {
    const { node } = await world.setting({ subscriptions: 4 });
    const config = structuredClone(node.config);
    const [alpha, beta, gamma] = config.subscriptions;
    const added = { ...alpha, name: 'new', api_key: key('new') };
    config.subscriptions = [
        { ...alpha, api_key: key('other') },
        { ...beta, name: 'second' },
        { ...gamma, max_concurrent: 9, priority: 7 },
        added,
    ];
    config.timeouts = { idle_ms: 123000 };
    await node.writeConfig(config);
    const from = node.mark();
    const { status, json } = await reload(node);
    assert.equal(status, 200);
    const file = await readFile(node.file);
    assert.equal(json.source, `${node.file} (sha256 ${sha(file)}), environment`);
    assert.match(json.digest, /^[0-9a-f]{8}$/);
    assert.equal(json.unchanged, false);
    assert.deepEqual(json.added, ['new']);
    assert.deepEqual(json.removed, ['delta']);
    assert.deepEqual(json.renamed, ['beta -> second']);
    assert.deepEqual(json.rotated, [`alpha ${sha(key('alpha'))} -> ${sha(key('other'))}`]);
    assert.deepEqual(json.changed.sort(), [
        'gamma.max_concurrent',
        'gamma.priority',
        'timeouts.idle_ms',
    ]);
    assert.deepEqual(json.needs_restart, []);
    const line = await node.log.find('the line', (l) => l.event === 'reloaded', { from });
    assert.equal(line.changes, json.summary);
    assert.equal(line.source, json.source);
    for (const name of ['alpha', 'other', 'new'])
        assert.ok(!JSON.stringify([json, line]).includes(key(name)), 'no key is shown');
});

test('a reload that changes nothing says so, and one that needs a restart names what', async (world) => {
    const { node } = await world.setting();
    assert.deepEqual([(await reload(node)).json.unchanged], [true]);
    const again = await weir(['reload', ...at(node)], { dir: node.dir });
    assert.equal(again.code, 0);
    assert.match(again.out, /has read .*weir\.json \(sha256 [0-9a-f]{8}\)/);
    assert.match(again.out, /^unchanged$/m);
    const config = structuredClone(node.config);
    config.server.workers = 2;
    await node.writeConfig(config);
    const { json } = await reload(node);
    assert.deepEqual([json.unchanged, json.needs_restart], [true, ['server.workers']]);
    const told = await weir(['reload', ...at(node)], { dir: node.dir });
    assert.match(told.out, /^needs a restart: server\.workers$/m);
});

test('a reload of very many changes tells all kinds of them, what needs a restart too', async (world) => {
    const { node } = await world.setting();
    const config = structuredClone(node.config);
    const [alpha] = config.subscriptions;
    const named = (word) =>
        Array.from({ length: 25 }, (_, i) => {
            const name = `${word}-${i}-`.padEnd(64, 'x');
            return { ...alpha, name, api_key: key(name) };
        });
    config.subscriptions = named('former');
    await node.reload(config);
    config.subscriptions = named('new');
    config.server.workers = 2;
    await node.writeConfig(config);
    const told = await weir(['reload', ...at(node)], { dir: node.dir });
    assert.equal(told.code, 0, told.err);
    assert.match(told.out, /^added new-0-x+, .* and 5 more$/m);
    assert.match(told.out, /^removed former-0-x+, .* and 5 more$/m);
    assert.match(told.out, /^needs a restart: server\.workers$/m);
    await node.event('reloaded', ({ changes }) => /^added new-0-/.test(changes));
    const isWarning = (l) => /only by a restart of the node: server\.workers$/.test(l.event);
    await node.log.find('a warning', isWarning);
});

test('a refused reload: why, that the old one goes on, and both in /metrics', async (world) => {
    const { node } = await world.setting();
    const value = async (name) => (await node.metrics()).value(`weir_config_last_${name}`);
    assert.equal(await value('reload_successful'), 1, 'the start counts');
    const started = await value('reload_success_timestamp_seconds');
    assert.ok(Math.abs(started - Date.now() / 1000) < 60);
    const good = structuredClone(node.config);
    await node.writeConfig({
        ...good,
        timeouts: { idle_ms: -1 },
        retry: { attempts: 'x' },
    });
    const told = await weir(['reload', ...at(node)], { dir: node.dir });
    assert.equal(told.code, 1);
    assert.match(told.err, /goes on with the configuration it had: .*timeouts\.idle_ms: found -1/);
    assert.match(told.err, /: .*retry\.attempts: found "x".*; /, 'all that is wrong, not the first');
    assert.equal(await value('reload_successful'), 0);
    assert.ok((await value('reload_timestamp_seconds')) >= started);
    assert.equal((await post(node.port)).status, 200);
    await node.writeConfig(good);
    assert.equal((await reload(node)).status, 200);
    assert.equal(await value('reload_successful'), 1);
});

test('a configuration is as old as its file was when it was taken, whatever was refused since', async (world) => {
    const { node, redis } = await world.setting();
    const edited = async () => {
        const line = await (await redis.view()).hGet('weir:{main}:roster', 'alpha');
        return /edited=([1-9]\d*)/.exec(line)[1];
    };
    const taken = await eventually('it to be declared', edited);
    const good = structuredClone(node.config);
    const { event } = await node.reload({ ...good, timeouts: { idle_ms: -1 } });
    assert.match(event, /^reload refused/);
    await redis.cli('FLUSHALL');
    assert.equal(await eventually('it to be declared again', edited), taken);
    await node.reload(good);
    await eventually('the new one to be declared', async () => (await edited()) > taken);
});

test('reloads at the same time: one after the other, and each hears what came of it', async (world) => {
    const { node } = await world.setting();
    const config = structuredClone(node.config);
    config.subscriptions[0].max_concurrent = 9;
    await node.writeConfig(config);
    const answers = await Promise.all(Array.from({ length: 8 }, () => reload(node)));
    const changed = answers.filter(({ json }) => !json.unchanged);
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([200]));
    assert.deepEqual(
        changed.map(({ json }) => json.changed),
        [['alpha.max_concurrent']],
    );
});

/** A node whose keys are in .env beside it. */
async function withDotenv(world, env = {}) {
    const redis = await world.redis();
    const node = world.nodeToCome({ config: { redis: { url: redis.url } }, env });
    await mkdir(node.dir, { recursive: true });
    const file = join(node.dir, '.env');
    const put = (text) => writeFile(file, text, { mode: 0o600 });
    await put(`ANTHROPIC_API_KEYS=${key('one')}\n`);
    await node.start();
    return { node, file, put };
}

test('a node that has said farewell is not heard of again, whatever it is asked to read', async (world) => {
    const { node, redis } = await world.setting();
    redis.suspend(); // its farewell stays on its way until it has gone
    node.child.signal('SIGINT');
    for (let isGone = false; !isGone;) {
        node.child.signal('SIGHUP');
        isGone = await Promise.race([node.child.ended.then(() => true), pause(20)]);
    }
    redis.resume();
    const boots = async () => (await redis.view()).zRange('weir:{main}:boots', 0, -1);
    await eventually('its farewell', async () => (await boots()).length === 0, { ms: 3000 });
});

test('.env is watched like the file, edits by rename too', async (world) => {
    const { node, file, put } = await withDotenv(world);
    const isReloaded = (line) => line.event === 'reloaded';
    let from = node.mark();
    await put(`ANTHROPIC_API_KEYS=${key('one')},${key('two')}\n`);
    const edited = await node.log.find('the edit', isReloaded, { from });
    assert.equal(edited.cause, '.env changed');
    assert.equal(edited.subscriptions, 2);
    assert.match(edited.changes, /^added /);
    assert.ok(edited.source.includes(`.env (sha256 ${sha(await readFile(file))})`));
    from = node.mark();
    const text = `ANTHROPIC_API_KEYS=${key('one')},${key('two')},${key('three')}\n`;
    await writeFile(`${file}.new`, text, { mode: 0o600 });
    await rename(`${file}.new`, file); // as sed -i and editors do
    assert.equal((await node.log.find('the rename', isReloaded, { from })).subscriptions, 3);
});

test('a .env that was not there at the start and comes later is noticed', async (world) => {
    const redis = await world.redis();
    const config = { redis: { url: redis.url } };
    const node = await world.node({ config, env: { ANTHROPIC_API_KEY: key('own') } });
    assert.equal((await node.status()).subscriptions.length, 1);
    const from = node.mark();
    const text = `ANTHROPIC_API_KEYS=${key('one')},${key('two')}\n`;
    await writeFile(join(node.dir, '.env'), text, { mode: 0o600 });
    const done = await node.log.find('the reload', (l) => l.event === 'reloaded', { from });
    assert.deepEqual([done.cause, done.subscriptions], ['.env changed', 2]);
    assert.match(done.source, /\.env \(sha256 /);
});

test('a line of .env that the environment overrules is named', async (world) => {
    const { node, put } = await withDotenv(world, { ANTHROPIC_API_KEYS: key('own') });
    const from = node.mark();
    await put(`# mine\nANTHROPIC_API_KEYS=${key('one')},${key('two')}\n`);
    const isNamed = (line) => /^\.env:2: ANTHROPIC_API_KEYS is set in the env/.test(line.event);
    await node.log.find('the line', isNamed, { from });
    const done = await node.log.find('the reload', (l) => l.event === 'reloaded', { from });
    assert.deepEqual([done.subscriptions, done.changes], [1, 'unchanged']);
});

test('weir drain: not ready at once, what runs ends, then the node leaves', async (world) => {
    const { provider, redis, node } = await world.setting({
        config: { server: { drain_seconds: 30 } },
    });
    await provider.fault('alpha', { hold: true });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, script: { hold: true } }));
    await provider.activeReaches(1);
    await provider.step('alpha', 4);
    const events = new EventReader(await wire.head());
    const from = node.mark();
    const drained = weir(['drain', ...at(node)], { dir: node.dir, ms: 40000 });
    await node.log.find('its leave', (line) => /\/admin\/drain: leaving/.test(line.event), { from });
    const ready = await call(node.port, 'GET', '/ready');
    assert.deepEqual([ready.status, ready.json.status], [503, 'draining']);
    const asked = await call(node.port, 'POST', '/admin/drain', { body: '' });
    assert.equal(asked.json.running, 1, 'asked again, it only says how far it is');
    await provider.step('alpha', -1);
    await events.all();
    const { code, out } = await drained;
    assert.equal(code, 0, out);
    assert.match(out, /is leaving[^]*^1 request left$[^]*^0 requests left$[^]*is drained: nothing ran/m);
    wire.leave();
    assert.equal((await node.child.wait(5000)).code, 0);
    assert.equal((await redis.leases()).length, 0);
});

test('weir drain: what does not end is cut off with server.drain_seconds', async (world) => {
    const { provider, node } = await world.setting({ config: { server: { drain_seconds: 2 } } });
    await provider.fault('alpha', { hold: true });
    const held = post(node.port).catch((error) => error);
    await provider.activeReaches(1);
    const { code, err } = await weir(['drain', ...at(node)], { dir: node.dir });
    assert.equal(code, 1);
    assert.match(err, /takes no connections any more; when it was last asked 1 still ran/);
    assert.equal((await node.child.wait(8000)).code, 0);
    await held;
});

test('reload and drain are an operator’s: with a token set, nobody else’s', async (world) => {
    const { node } = await world.setting({ config: { admin: { token: 'a-token-of-the-admin' } } });
    for (const command of ['reload', 'drain']) {
        const refused = await weir([command, ...at(node)], { dir: node.dir });
        assert.equal(refused.code, 1);
        assert.match(refused.err, /set admin\.token or WEIR_ADMIN_TOKEN/);
    }
    assert.equal((await call(node.port, 'GET', '/ready')).status, 200);
    const env = { WEIR_ADMIN_TOKEN: 'a-token-of-the-admin' };
    assert.equal((await weir(['reload', ...at(node)], { dir: node.dir, env })).code, 0);
});

const reloadAll = (node) => call(node.port, 'POST', '/admin/reload?all=1', { body: '' });
const results = (json) => json.nodes.map((n) => [n.id, n.result]);

/** So many nodes of one pool, each with a file of its own that says the same. */
async function cluster(world, count) {
    const { node, provider, redis } = await world.setting();
    const nodes = [node];
    for (let i = 2; i <= count; i++)
        nodes.push(await world.node({ id: `n${i}`, config: { ...node.config, node: { id: `n${i}` } } }));
    await eventually('all of them', async () => (await node.status()).nodes.length === count);
    return { nodes, provider, redis };
}

/** Changed so that nobody sees it by itself: what is seen is another time of change. */
const changed = (node, max) => {
    const config = structuredClone(node.config);
    config.subscriptions[0].max_concurrent = max;
    return node.writeConfig(config);
};

test('one question has every node read its configuration, and tells of each what came of it', async (world) => {
    const { nodes } = await cluster(world, 3);
    const [first, second, third] = nodes;
    for (const node of nodes) await changed(node, 9);
    const { status, json } = await reloadAll(second);
    assert.equal(status, 200, JSON.stringify(json));
    assert.equal(json.status, 'reloaded');
    assert.deepEqual(results(json), [
        ['n1', 'taken'],
        ['n2', 'taken'],
        ['n3', 'taken'],
    ]);
    assert.equal(new Set(json.nodes.map((n) => n.digest)).size, 1);
    for (const [i, node] of nodes.entries()) {
        assert.ok(json.nodes[i].words.startsWith(`${node.file} (sha256 `), json.nodes[i].words);
        assert.equal(node.config.subscriptions[0].max_concurrent, 9);
        await node.event('reloaded');
    }
    assert.equal((await first.status()).total_capacity, 9);
    const run = await weir(['reload', '--all', ...at(third)], { dir: third.dir });
    assert.equal(run.code, 0, run.err);
    for (const id of ['n1', 'n2', 'n3']) {
        assert.match(run.out, new RegExp(`^${id} +taken +[0-9a-f]{8} +.*weir\\.json.*: unchanged$`, 'm'));
    }
});

test('a node that refuses, or does not answer, is named; the others have it', async (world) => {
    const { nodes } = await cluster(world, 3);
    const [first, second, third] = nodes;
    await second.writeConfig({ ...second.config, timeouts: { idle_ms: -1 } });
    third.suspend();
    const { status, json } = await reloadAll(first);
    assert.equal(status, 500);
    assert.deepEqual(results(json), [
        ['n1', 'taken'],
        ['n2', 'refused'],
        ['n3', 'no answer'],
    ]);
    assert.match(json.nodes[1].words, /timeouts\.idle_ms: found -1/);
    assert.match(json.nodes[2].words, /last heard of \d+ s ago/);
    assert.match(json.error.message, /of 3 nodes 1 took it over, 1 refused it .*, 1 did not answer/);
    const run = await weir(['reload', '--all', ...at(first)], { dir: first.dir });
    assert.equal(run.code, 1);
    assert.match(run.out, /^n3 +no answer/m);
    assert.match(run.err, /of 3 nodes/);
    third.resume();
    await second.writeConfig(first.config);
    await eventually('the last to have read it when it wakes', async () => {
        const told = (await first.status()).nodes.find((n) => n.id === 'n3');
        return told.reload.result === 'taken' && told.reload.asked >= json.asked;
    });
});

test('an asking that no notice tells of is heard all the same; a node that begins has done it', async (world) => {
    const { nodes, redis } = await cluster(world, 2);
    const view = await redis.view();
    await view.hSet('weir:{main}:settings', 'reload', String(Date.now() + 1)); // and nobody is told
    for (const node of nodes) await node.log.find('a reload', (l) => l.cause === 'asked of all nodes');
    const late = await world.node({ id: 'n9', config: { ...nodes[0].config, node: { id: 'n9' } } });
    const { json } = await reloadAll(late);
    assert.equal(json.status, 'reloaded');
    assert.equal(json.nodes.length, 3);
    assert.equal(nodes[0].events('reloaded').length, 2, 'once for each asking');
});

test('who asked and leaves, and a node that leaves while it waits for the others, leave nothing behind', async (world) => {
    const { nodes, redis } = await cluster(world, 2);
    const [first, second] = nodes;
    second.suspend();
    const asked = async () => (await redis.cli('XRANGE', 'weir:{main}:events', '-', '+')).split('reload asked').length - 1;
    const wire = await connect(first.port);
    await wire.send('POST /admin/reload?all=1 HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n');
    await eventually('it to be asked', async () => (await asked()) === 1);
    wire.leave();
    const waiting = reloadAll(first).catch((error) => error);
    await eventually('it to be asked again', async () => (await asked()) === 2);
    await first.stop();
    await waiting;
    second.resume();
    await second.event('reloaded');
});

test('a word behind the path that is not known is refused', async (world) => {
    const { node } = await world.setting();
    const { status, text } = await call(node.port, 'POST', '/admin/reload?al=1', { body: '' });
    assert.equal(status, 400);
    assert.match(text, /reload\?all=1/);
});
