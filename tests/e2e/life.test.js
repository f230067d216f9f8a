// A node's life: leaving without cutting anyone off, and new settings while it runs.
import assert from 'node:assert/strict';
import { mkdir, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
    call,
    connect,
    EventReader,
    eventually,
    key,
    messagesRequest,
    open,
    ownError,
    post,
    quiet,
    request,
    test,
} from './harness/index.js';

/** A stream that stands still after its first events. */
async function heldStream(node, provider, { name = 'alpha', headers } = {}) {
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ stream: true, headers, script: { hold: true } }));
    await provider.activeReaches(1, { name });
    await provider.step(name, 4);
    const events = new EventReader(await wire.head());
    for (let i = 0; i < 4; i++) await events.next();
    return { wire, events, answer: events.answer };
}

async function refusesConnections(port) {
    await eventually(`port ${port} to be closed`, () =>
        connect(port).then(
            (wire) => {
                wire.leave();
                return false;
            },
            (error) => error.code === 'ECONNREFUSED',
        ),
    );
}

test('SIGTERM: the listener closes, the stream finishes, its slot is free', async (world) => {
    const { provider, redis, node } = await world.setting();
    const { events, answer } = await heldStream(node, provider);
    node.child.signal('SIGTERM');
    await refusesConnections(node.port);
    await provider.step('alpha', -1);
    assert.equal((await events.all()).at(-1).event, 'message_stop');
    assert.equal(answer.isComplete, true);
    assert.equal((await node.child.wait()).code, 0);
    assert.equal((await redis.leases()).length, 0);
    assert.equal((await redis.booked('sub:alpha')).requests, 1);
    assert.equal((await node.finished(answer)).end, 'ok');
});

test('SIGTERM: /ready says 503 first, so that balancers look elsewhere', async (world) => {
    const { node } = await world.setting();
    assert.equal((await node.get('/ready')).status, 200);
    node.child.signal('SIGTERM');
    await node.event('SIGTERM: leaving');
    const answer = await node.get('/ready');
    assert.equal(answer.status, 503);
    assert.equal(answer.json.status, 'draining');
    assert.equal((await post(node.port)).status, 200, 'who comes all the same is served');
    await refusesConnections(node.port);
    assert.equal((await node.child.wait()).code, 0);
});

test('SIGTERM: who was not told is served once more, and told', async (world) => {
    const { node } = await world.setting();
    const kept = await connect(node.port);
    await kept.send(messagesRequest());
    const before = await kept.answer();
    assert.notEqual(before.header('connection'), 'close');
    node.child.signal('SIGTERM');
    await refusesConnections(node.port);
    await kept.send(messagesRequest());
    const last = await kept.answer();
    assert.equal(last.status, 200);
    assert.equal(last.header('connection'), 'close');
    assert.equal((await node.child.wait(5000)).code, 0);
});

test('SIGTERM: a silent caller is waited for some seconds, no longer', async (world) => {
    const { node } = await world.setting();
    const idle = await connect(node.port);
    await idle.send(messagesRequest());
    await idle.answer();
    node.child.signal('SIGTERM');
    assert.equal((await node.child.wait(15000)).code, 0);
    await idle.closed();
});

test('SIGINT waits for no silent caller', async (world) => {
    const { node } = await world.setting();
    const idle = await connect(node.port);
    await idle.send(messagesRequest());
    await idle.answer();
    node.child.signal('SIGINT');
    await idle.closed();
    assert.equal((await node.child.wait(5000)).code, 0);
});

test('SIGTERM without Redis: ends in seconds, and says what was not booked', async (world) => {
    const redis = await world.redis({ keep: true });
    const { provider, node } = await world.setting({ redis, config: { server: { drain_seconds: 600 } } });
    const { events } = await heldStream(node, provider);
    await redis.kill();
    await provider.step('alpha', -1);
    assert.equal((await events.all()).at(-1).event, 'message_stop');
    node.child.signal('SIGTERM');
    assert.equal((await node.child.wait(20000)).code, 0);
    const said = await node.event('leaving with what could not be booked');
    assert.deepEqual([said.settlements, said.redis], [1, 'down']);
});

test('SIGTERM: who has connected but not asked yet is still served, and booked', async (world) => {
    const { provider, redis, node } = await world.setting();
    const fresh = await connect(node.port);
    node.child.signal('SIGINT'); // drains at once
    await refusesConnections(node.port);
    await fresh.send(messagesRequest());
    assert.equal((await fresh.answer()).status, 200);
    assert.equal((await node.child.wait(5000)).code, 0);
    assert.equal((await provider.log()).length, 1);
    const pool = await redis.cli('FCALL_RO', 'weir_status', '1', 'weir:{main}');
    assert.match(String(pool), /today 1 requests/);
});

test('SIGTERM: an answer under way says that the connection will close', async (world) => {
    const { provider, node } = await world.setting();
    const waiting = post(node.port, { script: { hold: true } });
    await provider.activeReaches(1);
    node.child.signal('SIGTERM');
    await refusesConnections(node.port);
    await provider.step('alpha', -1);
    const answer = await waiting;
    assert.equal(answer.status, 200);
    assert.equal(answer.header('connection'), 'close');
    assert.equal((await node.child.wait()).code, 0);
});

test('what outlasts drain_seconds is cut off, settled, does not look whole', async (world) => {
    const { provider, redis, node } = await world.setting({
        config: { server: { drain_seconds: 1 } },
    });
    const { answer, events } = await heldStream(node, provider);
    node.child.signal('SIGTERM');
    await assert.rejects(events.all(), /ended/);
    assert.equal((await node.child.wait()).code, 0);
    assert.equal((await node.finished(answer)).end, 'broken');
    assert.equal((await redis.leases()).length, 0);
    const line = await redis.booked('sub:alpha');
    assert.equal(line.requests, 1);
    assert.equal(line.input, 100);
    await provider.activeReaches(0);
});

test('with drain_seconds 0 what runs is cut off at once, and settled', async (world) => {
    const { provider, redis, node } = await world.setting({
        config: { server: { drain_seconds: 0 } },
    });
    const wire = await connect(node.port);
    await wire.send(messagesRequest({ script: { hold: true } }));
    await provider.activeReaches(1);
    node.child.signal('SIGINT'); // drains at once
    ownError(await wire.answer(), 503, 'api_error');
    await node.stop();
    await redis.bookedReaches('sub:alpha', { requests: 1 });
});

test('what waits for Redis when the time is over is told so', async (world) => {
    const { provider, redis, node } = await world.setting({
        config: { server: { drain_seconds: 1 } },
    });
    redis.suspend();
    const from = node.mark();
    const wire = await connect(node.port);
    await wire.send(messagesRequest());
    await node.event('step', (line) => line.to === 'admit', { from });
    node.child.signal('SIGINT'); // drains at once
    const answer = await wire.answer();
    ownError(answer, 503, 'api_error');
    assert.match(answer.json.error.message, /stopping/);
    redis.resume();
    assert.equal((await node.child.wait()).code, 0);
    assert.deepEqual(await provider.log(), []);
});

test('SIGINT ends an idle node as well', async (world) => {
    const { node } = await world.setting();
    node.child.signal('SIGINT');
    assert.equal((await node.child.wait(5000)).code, 0);
});

test('a second SIGTERM ends the waiting', async (world) => {
    const { provider, redis, node } = await world.setting({
        config: { server: { drain_seconds: 60 } },
    });
    const { events } = await heldStream(node, provider);
    node.child.signal('SIGTERM');
    await refusesConnections(node.port);
    node.child.signal('SIGTERM');
    await assert.rejects(events.all(), /ended/);
    assert.equal((await node.child.wait(5000)).code, 0);
    assert.equal((await redis.leases()).length, 0);
});

/** Ways to ask for a reload; each says whether it worked. */
const RELOADS = {
    SIGHUP: async (node, config) => {
        const line = await node.reload(config);
        return { isDone: line.event === 'reloaded', words: JSON.stringify(line) };
    },
    'POST /admin/reload': async (node, config) => {
        if (config) await node.writeConfig(config);
        const answer = await call(node.port, 'POST', '/admin/reload', { body: '' });
        return { isDone: answer.status === 200, words: answer.text, answer };
    },
};

test('a renamed subscription keeps its slots, its cooldown and its books', async (world) => {
    const { provider, redis, node } = await world.setting({ subscriptions: 2, max: 2 });
    await provider.fault('beta', { status: 429, headers: { 'retry-after': '60' } });
    await provider.fault('alpha', { hold: true });
    const held = post(node.port);
    await provider.activeReaches(1);
    assert.equal((await post(node.port)).status, 200, 'beta is cooled, alpha has served');
    const config = structuredClone(node.config);
    config.subscriptions[0].name = 'first';
    config.subscriptions[1].name = 'second';
    await node.writeConfig(config);
    assert.equal((await call(node.port, 'POST', '/admin/reload', { body: '' })).status, 200);
    const named = (name) => async () => {
        const { subscriptions } = await node.status();
        return subscriptions.find((s) => s.name === name) ?? false;
    };
    const first = await eventually('the new name', named('first'));
    assert.deepEqual([first.active_connections, first.total_requests], [1, 1]);
    assert.equal((await named('second')()).in_cooldown, true);
    await provider.step('alpha', -1);
    assert.equal((await held).status, 200, 'what runs is not disturbed');
    await redis.bookedReaches('sub:first', { requests: 2 });
    assert.equal((await redis.leases()).length, 0);
});

for (const [name, reload] of Object.entries(RELOADS)) {
    test(`${name}: a subscription more, one less, another key, more slots`, async (world) => {
        const { provider, redis, node } = await world.setting({ subscriptions: 2, max: 2 });
        await provider.fault('beta', { status: 429, headers: { 'retry-after': '60' } });
        await provider.fault('alpha', { hold: true });
        const held = post(node.port);
        await provider.activeReaches(1);
        assert.equal((await post(node.port)).status, 200, 'beta is cooled, alpha has served');
        const config = structuredClone(node.config);
        config.subscriptions = [
            { ...config.subscriptions[0], api_key: key('changed'), max_concurrent: 7 },
            config.subscriptions[1],
            { ...config.subscriptions[0], name: 'new', api_key: key('new'), max_concurrent: 9 },
        ];
        const { isDone, words } = await reload(node, config);
        assert.ok(isDone, words);
        await eventually('three subscriptions', async () => {
            const { subscriptions } = await node.status();
            return (
                subscriptions
                    .map((s) => s.name)
                    .sort()
                    .join()
                    .replace(/,alpha~\w{4}/, '') === 'alpha,beta,new'
            );
        });
        const status = await node.status();
        const [alpha, beta] = ['alpha', 'beta'].map((n) =>
            status.subscriptions.find((s) => s.name === n),
        );
        assert.equal(alpha.max_concurrent, 7);
        const former = status.subscriptions.find((s) => s.name.startsWith('alpha~'));
        assert.equal(former.active_connections, 1, 'what runs with the former key drains');
        assert.equal(alpha.active_connections, 0, 'the new key begins with all its slots');
        assert.equal(alpha.total_requests, 1, 'counters stay');
        assert.equal(beta.in_cooldown, true, 'cooldowns stay');
        assert.equal((await post(node.port)).status, 200);
        assert.equal(
            (await provider.log()).at(-1).credential,
            key('new'),
            'most slots are free there',
        );
        await provider.step('alpha', -1);
        assert.equal((await held).status, 200, 'a request that runs is not disturbed');
        config.subscriptions.shift();
        assert.ok((await reload(node, config)).isDone);
        await eventually('alpha to be gone', async () => {
            const { subscriptions } = await node.status();
            return (
                subscriptions
                    .map((s) => s.name)
                    .sort()
                    .join() === 'beta,new'
            );
        });
        await redis.bookedReaches('sub:alpha', { requests: 2 });
    });

    test(`${name}: a file that is wrong changes nothing`, async (world) => {
        const { provider, node } = await world.setting();
        const good = structuredClone(node.config);
        const wrong = [
            ['{ "subscriptions": [', /weir\.json/],
            [JSON.stringify({ ...good, unheard_of: 1 }), /unheard_of/],
            [
                JSON.stringify({
                    ...good,
                    subscriptions: [{ ...good.subscriptions[0], max_concurrent: 0 }],
                }),
                /max_concurrent/,
            ],
            ['', /weir\.json/],
        ];
        for (const [text, words] of wrong) {
            node.text = text;
            const result = await reload(node, good);
            assert.equal(result.isDone, false);
            assert.match(result.words, words);
            if (result.answer) assert.equal(result.answer.status, 500);
            assert.equal((await post(node.port)).status, 200);
        }
        node.text = undefined;
        assert.equal((await reload(node, good)).isDone, true);
        assert.equal((await provider.log()).length, wrong.length);
    });
}

test('a reload while the file is away changes nothing, and finds no other', async (world) => {
    const dir = world.place('node');
    const found = join(dir, 'config.json');
    const elsewhere = join(dir, '.config', 'weir');
    const other = { subscriptions: [{ name: 'other', api_key: key('other') }] };
    await mkdir(elsewhere, { recursive: true });
    await writeFile(join(elsewhere, 'config.json'), JSON.stringify(other), { mode: 0o600 });
    await symlink('weir.json', found); // which the node writes and is not told of
    const { provider, node } = await world.setting({ dir, args: ['serve'] });
    await unlink(found);
    const line = await node.reload();
    assert.match(line.event, /^reload refused, nothing was changed: .*cannot read config\.json/);
    assert.deepEqual(
        (await node.status()).subscriptions.map((s) => s.name),
        ['alpha'],
    );
    await symlink('weir.json', found);
    assert.equal((await node.reload()).event, 'reloaded');
    assert.equal((await post(node.port)).status, 200);
    assert.equal((await provider.log()).length, 1);
});

test('a reload names what only a restart changes, and takes over the rest', async (world) => {
    const { node } = await world.setting();
    const config = structuredClone(node.config);
    config.server.workers = 2;
    config.node.state_dir = 'another';
    config.subscriptions[0].max_concurrent = 9;
    const from = node.mark();
    assert.equal((await node.reload(config)).event, 'reloaded');
    const isWarning = (line) => /only by a restart/.test(line.event);
    const warning = await node.log.find('a warning', isWarning, { from });
    assert.match(warning.event, /: server\.workers, node\.state_dir$/);
    await eventually('nine slots', async () => (await node.status()).total_capacity === 9);
    config.server.workers = 1;
    delete config.node.state_dir;
    const back = node.mark();
    assert.equal((await node.reload(config)).event, 'reloaded');
    assert.equal(node.log.items.slice(back).filter(isWarning).length, 0, 'all is as it was');
});

test('POST /admin/reload says how many subscriptions there are', async (world) => {
    const { node } = await world.setting({ subscriptions: 3 });
    const answer = await call(node.port, 'POST', '/admin/reload', { body: '' });
    assert.deepEqual([answer.json.status, answer.json.subscriptions], ['reloaded', 3]);
    const bare = await connect(node.port);
    // without a length, as `curl -X POST` says it
    await bare.send('POST /admin/reload HTTP/1.1\r\nhost: localhost\r\n\r\n');
    assert.equal((await bare.answer()).status, 200);
});

test('a refused reload says why, however long that is and in whatever letters', async (world) => {
    const { node } = await world.setting();
    const good = structuredClone(node.config);
    const refusal = async (path) => {
        const server = { ...good.server, tls: { cert: path, key: path } };
        await node.writeConfig({ ...good, server });
        return call(node.port, 'POST', '/admin/reload', { body: '' });
    };
    for (const letter of ['a', 'ü', '€', '😀', '"', '\\']) {
        const answer = await refusal(`/${letter.repeat(400)}`);
        assert.equal(answer.status, 500);
        assert.ok(answer.json.error.message.includes(`/${letter.repeat(200)}`), answer.text);
    }
    await node.writeConfig(good);
    assert.equal((await call(node.port, 'POST', '/admin/reload', { body: '' })).status, 200);
    assert.equal((await post(node.port)).status, 200);
});

test('requests under way during reloads see no error', async (world) => {
    const { provider, node } = await world.setting({ subscriptions: 2, max: 20 });
    let isOver = false;
    const lane = async () => {
        const wire = await connect(node.port);
        let count = 0;
        for (; !isOver; count++) {
            await wire.send(messagesRequest({ stream: count % 2 === 0 }));
            assert.equal((await wire.answer()).status, 200);
        }
        return count;
    };
    const lanes = Promise.all([1, 2, 3, 4].map(lane));
    const changed = structuredClone(node.config);
    for (let i = 0; i < 20; i++) {
        changed.subscriptions[1].max_concurrent = 10 + i;
        const line = await node.reload(changed);
        assert.equal(line.event, 'reloaded');
    }
    isOver = true;
    for (const count of await lanes) assert.ok(count > 0);
    await quiet({ node, provider });
});

test('fewer slots: what runs goes on, and nothing new until it is below', async (world) => {
    const { provider, node } = await world.setting({ max: 3 });
    const held = [1, 2, 3].map(() => post(node.port, { script: { hold: true } }));
    await provider.activeReaches(3);
    const config = structuredClone(node.config);
    config.subscriptions[0].max_concurrent = 1;
    await node.reload(config);
    await eventually('one slot', async () => (await node.status()).total_capacity === 1);
    ownError(await post(node.port), 529, 'overloaded_error');
    await provider.step('alpha', -1);
    for (const answer of await Promise.all(held)) assert.equal(answer.status, 200);
    await node.activeReaches(0);
    assert.equal((await post(node.port)).status, 200);
});

test('the log level changes with a reload', async (world) => {
    const { node } = await world.setting({ config: { logging: { level: 'error' } } });
    await post(node.port);
    assert.equal(node.events('exchange finished').length, 0);
    const config = structuredClone(node.config);
    config.logging.level = 'info';
    await node.writeConfig(config);
    await call(node.port, 'POST', '/admin/reload', { body: '' });
    await node.finished(await post(node.port));
});

test('a stream open for long keeps its slot by renewal', { ms: 60000 }, async (world) => {
    const { provider, redis, node } = await world.setting({ max: 1 });
    const { events, wire } = await heldStream(node, provider);
    const [id] = await redis.leases();
    const expiry = () => redis.expiryOf(id);
    const first = await expiry();
    await eventually('the lease to be renewed', async () => (await expiry()) > first + 4000, {
        ms: 20000,
        every: 200,
    });
    ownError(await post(node.port), 529, 'overloaded_error');
    await provider.step('alpha', -1);
    await events.all();
    wire.leave();
    await quiet({ node, provider });
});

test('several workers share one port and one truth', async (world) => {
    const config = { server: { workers: 3 } };
    const { provider, node } = await world.setting({ max: 4, config });
    const opened = await Promise.all(
        Array.from({ length: 12 }, () =>
            open(node.port, {
                stream: false,
                script: { delay_ms: 300 },
            }),
        ),
    );
    const statuses = opened.map(({ answer }) => answer.status);
    assert.equal(statuses.filter((status) => status === 200).length, 4);
    assert.equal(statuses.filter((status) => status === 529).length, 8);
    for (const { answer, wire } of opened) {
        await answer.readBody();
        wire.leave();
    }
    assert.equal((await provider.credential('alpha')).high_water, 4);
    await quiet({ node, provider });
    assert.ok((await node.metrics()).value('weir_requests_total') >= 12);
});
