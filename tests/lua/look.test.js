'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool, until } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(() => pool.wipe());
after(() => server.stop());

async function makeBusy() {
    await pool.declare({
        alpha: { max: 3, burst: 10 },
        beta: { max: 2, priority: 2 },
        gamma: { enabled: 0 },
    });
    await pool.sweep({ version: '1.2', digest: 'abc', active: 2 });
    const one = await pool.admit({ client: 'anna', model: 'opus' });
    await pool.admit({ client: 'bert', model: 'haiku' });
    await pool.settle(one, {
        status: 429,
        outcome: 'error',
        cooldownMs: 90000,
        reason: 'limited',
        input: 10,
        output: 2,
    });
}

test('a snapshot has all that /status needs', async () => {
    await makeBusy();
    const { pool: all, subs, nodes, total, today } = await pool.snapshot();
    assert.deepEqual(Object.keys(subs), ['alpha', 'beta', 'gamma']);
    const { alpha, gamma } = subs;
    assert.deepEqual(
        [
            alpha.active,
            alpha.max,
            alpha.available,
            alpha.held_back,
            alpha.in_cooldown,
            alpha.enabled,
            alpha.total_requests,
            alpha.total_errors,
            alpha.total_input,
            alpha.cooldown_reason,
            gamma.enabled,
        ],
        ['1', '3', '0', '2', '1', '1', '1', '1', '10', 'limited', '0'],
    );
    assert.ok(alpha.cooldown_remaining_ms > 80000 && alpha.cooldown_remaining_ms <= 90000);
    assert.deepEqual(
        [
            all.subscriptions,
            all.active,
            all.capacity,
            all.available,
            all.held_back,
            all.leases,
            all.cooling,
            all.nodes_alive,
        ],
        ['3', '1', '5', '2', '7', '1', '1', '1'],
    );
    assert.ok(Math.abs(all.now_ms - Date.now()) < 60000);
    assert.equal(all.library, pool.version);
    assert.deepEqual(
        [nodes.n1.boot, nodes.n1.version, nodes.n1.digest, nodes.n1.active, nodes.n1.alive],
        ['0000000a', '1.2', 'abc', '2', '1'],
    );
    assert.equal(total.requests, '1');
    assert.deepEqual(today, total);
});

test('a snapshot foresees what a request would get now, and one of a label that closes something', async () => {
    await pool.declare({ a: { max: 2 }, b: { max: 1, burst: 1 } });
    const any = async () => (await pool.snapshot()).requests[''];
    assert.deepEqual(await any(), { for: '', available: '3' });
    const limited = { status: 429, outcome: 'error', cooldownMs: 90000, reason: 'limited' };
    for (const excluded of ['a', 'b']) {
        const grant = await pool.admit({ excluded, labels: 'messages model:opus' });
        await pool.settle(grant, { ...limited, scope: 'model:opus' });
    }
    const { requests, pool: all } = await pool.snapshot();
    assert.equal(all.closing, '1');
    assert.equal(requests[''].available, '2', 'b has had its one of this second');
    const opus = requests['model:opus'];
    assert.deepEqual([opus.available, opus.reason, opus.candidates], ['0', 'cooling', '2']);
    assert.deepEqual([opus.closed, opus.closed_why], ['2', 'limited']);
    const refused = await pool.admit({ labels: 'messages model:opus' });
    assert.deepEqual(Object.keys(refused.told).sort(), Object.keys(opus).filter((key) => key in refused.told).sort());
    await pool.settle(await pool.admit({ excluded: 'b' }), limited);
    await pool.admit({ excluded: 'a' });
    assert.equal((await any()).available, '0');
});

test('of many labels that close something a snapshot shows some, and counts all', async () => {
    await pool.declare({ a: { max: 2 } });
    for (let i = 0; i < 12; i += 1) {
        const grant = await pool.admit({ labels: `messages model:m${i}` });
        await pool.settle(grant, { status: 429, outcome: 'error', cooldownMs: 90000, scope: `model:m${i}` });
    }
    const { requests, pool: all } = await pool.snapshot();
    assert.equal(all.closing, '12');
    assert.equal(Object.keys(requests).length, 9);
});

test('every value of a snapshot is a string, every section a kind and a flat list', async () => {
    await makeBusy();
    const sections = await pool.client.sendCommand([
        'FCALL_RO',
        `weir_snapshot_${pool.version}`,
        '1',
        pool.base,
    ]);
    assert.deepEqual(
        sections.map((s) => s[0]),
        ['pool', 'subscription', 'subscription', 'subscription', 'node', 'request', 'client', 'client', 'total', 'today'],
    );
    for (const section of sections) {
        assert.equal(section.length, 2);
        assert.equal(section[1].length % 2, 0);
        assert.ok(section[1].every((value) => typeof value === 'string'));
    }
});

test('the slots that nodes hold are those in use; what a node has to do beside is told apart', async () => {
    await pool.declare({ a: { max: 9 } });
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 9 } });
    await pool.sweep({ active: 4 });
    await other.beat({ active: 1 });
    for (const who of [pool, pool, other]) await who.admit();
    const { pool: all, nodes } = await pool.snapshot();
    assert.deepEqual([all.active, all.leases], ['3', '3']);
    assert.deepEqual([nodes.n1.leases, nodes.n2.leases], ['2', '1']);
    assert.deepEqual([nodes.n1.active, nodes.n2.active], ['4', '1']);
});

test('how long a node is up is told of one that has its Redis alone, too', async () => {
    await pool.declare({ a: {} }, { alone: 1 });
    await pool.beat({ alone: 1 });
    const up = async () => Number((await pool.snapshot()).nodes.n1.started_ms_ago);
    await until(async () => (await up()) >= 20, 'some time to pass');
    await pool.declare({ a: {} }, { alone: 1 });
    assert.ok((await up()) >= 20, 'and to declare again is no start');
});

test('a node alone with its Redis that has become idle is not shown with what it once did', async () => {
    await pool.declare({ a: {} }, { alone: 1 });
    await pool.beat({ alone: 1, active: 5 });
    await pool.beat({ alone: 1, active: 0 });
    assert.equal((await pool.snapshot()).nodes.n1.active, '0');
});

const shown = async () => {
    const { clients, pool: all } = await pool.snapshot();
    const rows = clients.map((c) => [c.name, Number(c.running), Number(c.requests), Number(c.output)]);
    return { rows, count: Number(all.clients), unread: Number(all.leases_unread) };
};

test('a snapshot shows the clients, the most active first: what each runs and what was booked today', async () => {
    await pool.declare({ a: { max: 9 } });
    for (const client of ['idle', 'busy', 'busy', 'used', 'used']) {
        const grant = await pool.admit({ client });
        if (client !== 'busy') await pool.settle(grant, { output: 7 });
    }
    await pool.settle(await pool.admit({ client: 'busy' }), { output: 1 });
    const rows = [['busy', 2, 1, 1], ['used', 0, 2, 14], ['idle', 0, 1, 7]];
    assert.deepEqual(await shown(), { rows, count: 3, unread: 0 }, 'posted or not');
    await pool.sweep();
    await until(async () => (await pool.redis('HLEN', pool.key('open'))) === 0, 'the posting');
    assert.deepEqual((await shown()).rows, rows);
});

test('of many clients a snapshot shows fifty and counts all; all who look share one reading a second', async () => {
    await pool.declare({ a: { max: 99 } });
    for (let i = 0; i < 60; i += 1) await pool.settle(await pool.admit({ client: `bot-${i}` }));
    const before = await shown();
    assert.deepEqual([before.rows.length, before.count], [50, 60]);
    const reads = async () => {
        const stats = await pool.redis('INFO', 'commandstats');
        return Number(stats.match(/cmdstat_hvals:calls=(\d+)/)?.[1] ?? 0);
    };
    await until(async () => (await shown()).count === 60 && (await reads()) > 0, 'a reading');
    const began = await pool.now();
    const first = await reads();
    for (let i = 0; i < 200; i += 1) await pool.snapshot();
    const seconds = Math.floor(((await pool.now()) - began) / 1000) + 1;
    assert.ok((await reads()) - first <= seconds, `${(await reads()) - first} readings in ${seconds} s`);
});

test('leases of more than can be read are counted, not guessed', async () => {
    await pool.declare({ a: { max: 9 } });
    await pool.admit({ client: 'read' });
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 9 } });
    await other.admit({ client: 'many' });
    const records = Array.from({ length: 6000 }, (_, i) => [`${i + 1000000}`, 'account=a sub=a client=many model=m since=1']);
    await pool.redis('HSET', pool.key('held', other.holder), ...records.flat());
    const { rows, unread } = await shown();
    assert.deepEqual([rows, unread], [[['read', 1, 0, 0]], 6001]);
});

test('looking changes nothing', async () => {
    await makeBusy();
    const before = await pool.dump();
    await pool.snapshot();
    await pool.status();
    assert.equal(await pool.dump(), before);
});

test('an empty pool can be looked at', async () => {
    const { pool: all, subs, total } = await pool.snapshot();
    assert.deepEqual(
        [all.subscriptions, all.active, all.swept_ms_ago, Object.keys(subs).length],
        ['0', '0', '-1', 0],
    );
    assert.equal(total.requests, '0');
    assert.match((await pool.status()).join('\n'), /0 of 0 slots in use/);
});

test('weir_status prints the whole pool for a person', async () => {
    await makeBusy();
    const text = (await pool.status()).join('\n');
    assert.match(text, /^pool weir:\{main\} {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/m);
    assert.match(
        text,
        /1 of 10 slots in use, 2 free, 7 held back \(2 cooling, 5 disabled\), 1 leases; 3 subscriptions, 1 cooling; 1 of 1 nodes alive/,
    );
    assert.match(text, /^ {2}alpha +1\/3 +on +1m \d+s limited +- +1 +10 +1 +1 /m);
    assert.match(text, /^ {2}gamma +0\/5 +off +- /m);
    assert.match(text, /^ {2}n1 +0000000a +1 +2 +\S+ ago +\S+ +1\.2 +abc$/m);
    assert.match(text, /^ {2}anna +0 +1 +1 +10 +2$/m);
    assert.match(text, /^ {2}n1\.0000000a\.0-\d+ +alpha +bert +haiku +\S+ +1[45]\.\ds$/m);
    for (const line of text.split('\n')) {
        assert.ok(line.length < 200, line);
    }
});

test('weir_status says what is wrong: no sweeps, other configurations, silent nodes', async () => {
    await makeBusy();
    await pool.as({ node: 'n2' }).sweep({ digest: 'other' });
    assert.match(
        (await pool.status()).join('\n'),
        /ATTENTION: living nodes run with different configurations/,
    );
    const ago = (await pool.now()) - 50000;
    await pool.redis('HSET', pool.key('sweeps'), 'last_ms', `${ago}`);
    await pool.redis('ZADD', pool.key('boots'), `${ago}`, 'n2.0000000a');
    const text = (await pool.status()).join('\n');
    assert.match(text, /ATTENTION: no node has swept for 50\.\ds/);
    assert.match(text, /^ {2}n2 .*SILENT/m);
});

test('weir_status cuts long lists and says so', async () => {
    await pool.declare({ a: { max: 100 } });
    for (let i = 0; i < 60; i += 1) {
        await pool.admit();
    }
    for (let i = 0; i < 30; i += 1) {
        await pool.settle(await pool.admit({ client: `bot-${i}` }));
    }
    const text = (await pool.status()).join('\n');
    assert.match(text, /\.\.\. and 10 more/);
    assert.equal(text.match(/^ {2}bot(-\d+)? /gm).length, 20);
});
