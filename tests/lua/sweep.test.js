'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool, until } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.redis('FLUSHALL');
    await pool.declare({ a: { max: 300 } });
    await pool.sweptRecently();
});
after(() => server.stop());

const set = (key, ...pairs) => pool.redis('HSET', pool.key(key), ...pairs.map(String));
const beat = (node, at) => pool.redis('ZADD', pool.key('nodes'), `${at}`, node);

async function admitMany(count, leaseMs) {
    const grants = [];
    for (let i = 0; i < count; i += 1) {
        grants.push(await pool.admit({ leaseMs }));
    }
    return grants;
}

test('an expired lease gives its slot back at the next sweep, and only once', async () => {
    const [dead] = await admitMany(1, 50);
    const alive = await pool.admit();
    await pool.expired();
    assert.equal((await pool.sweep()).expired, 1);
    assert.equal((await pool.sweep()).expired, 0);
    assert.equal(await pool.active('a'), 1);
    assert.deepEqual(await pool.leases(), [alive.id]);
    assert.deepEqual(await pool.redis('ZRANGE', pool.key('swept'), '0', '-1'), [dead.id]);
    const [event] = await pool.events('leases expired');
    assert.deepEqual([event.count, event.first], ['1', dead.id]);
});

test('one sweep returns a bounded number of leases, the next ones the rest', async () => {
    await admitMany(250, 50);
    await pool.expired(250);
    assert.deepEqual([(await pool.sweep()).expired, (await pool.sweep()).expired], [200, 50]);
    assert.equal(await pool.active('a'), 0);
});

test('if nobody swept for three seconds, expired leases are spared a lease time', async () => {
    const [slow, dead] = await admitMany(2, 50);
    await pool.expired(2);
    await set('sweeps', 'last_ms', (await pool.now()) - 3500);
    const start = await pool.now();
    assert.equal((await pool.sweep({ leaseMs: 400 })).expired, 0);
    assert.deepEqual(await pool.renew([slow]), [], 'a living node renews in the meantime');
    await until(
        async () => (await pool.sweep({ leaseMs: 400 })).expired === 1,
        'the end of the grace',
    );
    assert.ok((await pool.now()) - start >= 400);
    assert.deepEqual(await pool.leases(), [slow.id]);
    assert.equal(await pool.settle(dead), 'late');
});

test('the grace is opened once a gap, whoever notices it first', async () => {
    await admitMany(300, 50);
    await pool.expired(300);
    await set('sweeps', 'last_ms', (await pool.now()) - 3500);
    assert.equal((await pool.admit({ leaseMs: 300 })).granted, false);
    const until1 = await pool.redis('HGET', pool.key('sweeps'), 'grace_until_ms');
    await pool.admit({ leaseMs: 300 });
    await pool.sweep({ leaseMs: 300 });
    assert.equal(await pool.redis('HGET', pool.key('sweeps'), 'grace_until_ms'), until1);
});

test('a sweep tells how many nodes are alive, and counts the sweeper', async () => {
    assert.equal((await pool.sweep()).alive, 1);
    assert.equal((await pool.as({ node: 'n2' }).sweep()).alive, 2);
    await beat('n3', (await pool.now()) - 20000);
    assert.equal((await pool.sweep()).alive, 2);
    const { nodes } = await pool.snapshot();
    assert.deepEqual(
        Object.entries(nodes).map(([id, n]) => [id, n.alive]),
        [
            ['n1', '1'],
            ['n2', '1'],
            ['n3', '0'],
        ],
    );
});

test('a node silent for a minute is forgotten with all that was known of it', async () => {
    await pool.as({ node: 'n2' }).sweep();
    await beat('n2', (await pool.now()) - 60001);
    await pool.sweep();
    assert.deepEqual(Object.keys((await pool.snapshot()).nodes), ['n1']);
    assert.equal(await pool.redis('EXISTS', pool.key('node', 'n2')), 0);
    assert.equal((await pool.events('node forgotten'))[0].node, 'n2');
});

test('a sweep tells how many subscriptions there are: a wiped pool is noticed', async () => {
    assert.equal((await pool.sweep()).subscriptions, 1);
    await pool.client.sendCommand(['FLUSHALL']);
    assert.equal((await pool.sweep()).subscriptions, 0);
});

test('nodes with different configurations are noticed', async () => {
    assert.equal((await pool.sweep({ digest: 'x' })).differ, 0);
    assert.equal((await pool.as({ node: 'n2' }).sweep({ digest: 'y' })).differ, 1);
    assert.equal((await pool.sweep({ digest: 'y' })).differ, 0);
});

test('two processes under one node id are noticed; the later one has it', async () => {
    const first = pool,
        second = pool.as({ boot: '0000000b' });
    await second.declare({ a: { max: 300 } });
    assert.equal((await second.sweep()).conflict, 0);
    assert.equal((await first.sweep()).conflict, 1);
    assert.equal((await second.sweep()).conflict, 0);
    const grant = await second.admit();
    await first.declare({ a: { max: 300 } });
    assert.deepEqual(await pool.leases(), [grant.id], 'a boot that was replaced drops nothing');
    await set('node:n1', 'heard_ms', (await pool.now()) - 20000);
    assert.equal((await first.sweep()).conflict, 0, 'the other has gone silent');
});

test('a sweep trims what must not grow: swept ids, events', async () => {
    const now = await pool.now();
    await pool.redis('ZADD', pool.key('swept'), `${now - 86400001}`, 'old', `${now}`, 'new');
    await pool.sweep();
    assert.deepEqual(await pool.redis('ZRANGE', pool.key('swept'), '0', '-1'), ['new']);
    const starts = Array.from({ length: 1500 }, (_, i) =>
        pool
            .as({ boot: (0x100000 + i).toString(16).padStart(8, '0') })
            .declare({ a: { max: 300 } }),
    );
    await Promise.all(starts);
    assert.ok((await pool.redis('XLEN', pool.key('events'))) < 1200);
});

test('slots that do not fit the leases are counted anew', async () => {
    const [one, two, three] = await admitMany(3);
    await pool.redis('ZREM', pool.key('leases'), one.id);
    await pool.redis('HDEL', pool.key('lease'), two.id);
    await pool.sweep();
    assert.equal(await pool.active('a'), 1);
    assert.deepEqual(await pool.leases(), [three.id]);
    await set('subs', 'a', 'active=77 max=300 state=on priority=1 burst=0 cooling_until=0 used=0');
    await pool.sweep();
    assert.equal(await pool.active('a'), 1);
    await pool.redis('HDEL', pool.key('subs'), 'a');
    await pool.sweep();
    assert.equal((await pool.snapshot()).subs.a.state, 'leaving');
    await pool.declare({ a: { max: 300 } });
    assert.equal(await pool.active('a'), 1);
});

test('a clock set back by an hour frees the slots of the dead all the same', async () => {
    const [dead] = await admitMany(1, 50);
    const ahead = (await pool.now()) + 3600000;
    await pool.redis('ZADD', pool.key('leases'), `${ahead}`, dead.id);
    await beat('n9', ahead);
    await set('sweeps', 'last_ms', ahead, 'grace_until_ms', ahead);
    await until(
        async () => (await pool.sweep({ leaseMs: 100 })).expired === 1,
        'the slot of the dead',
    );
    const { nodes, pool: seen } = await pool.snapshot();
    assert.equal(seen.active, '0');
    assert.ok(Number(nodes.n9.heartbeat_ms_ago) >= 0);
    const score = await pool.redis('ZSCORE', pool.key('nodes'), 'n9');
    assert.ok(Number(score) <= (await pool.now()));
});

test('a bad argument is refused by name, and nothing is written', async () => {
    const good = ['n1', '0000000a', '1.0', 'd', '0', '15000'];
    const before = await pool.dump();
    for (const [index, name] of ['node', 'boot', null, null, 'active', 'lease_ms'].entries()) {
        if (name) {
            const args = [...good];
            args[index] = 'a b';
            await assert.rejects(
                pool.call('sweep', ...args),
                new RegExp(`ERR weir: ${name}: expected`),
            );
        }
    }
    assert.equal(await pool.dump(), before);
});
