'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool, until } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.wipe();
    await pool.declare({ a: { max: 300 } });
    await pool.sweptRecently();
});
after(() => server.stop());

const set = (key, ...pairs) => pool.redis('HSET', pool.key(key), ...pairs.map(String));
const beat = (boot, at) => pool.redis('ZADD', pool.key('boots'), `${at}`, boot);

async function admitMany(count, leaseMs) {
    const grants = [];
    for (let i = 0; i < count; i += 1) {
        grants.push(await pool.admit({ leaseMs }));
    }
    return grants;
}

test('an expired lease gives its slot back at the next sweep, and only once', async () => {
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 300 } });
    const [dead] = await admitMany(1, 15000);
    const alive = await other.admit();
    await pool.lapse();
    assert.equal((await other.sweep()).expired, 1);
    assert.equal((await other.sweep()).expired, 0);
    assert.equal(await pool.active('a'), 1);
    assert.deepEqual(await pool.leases(), [alive.id]);
    const [event] = await pool.events('leases expired');
    assert.deepEqual([event.count, event.first], ['1', pool.holder]);
    const again = await pool.admit({ id: dead.id });
    assert.deepEqual([again.granted, again.reason], [false, 'ended'], 'a number is used once');
    assert.equal(await pool.settle(dead), 'late');
});

test('what one sweep cannot return the next calls do, in bounded steps', async () => {
    await pool.declare({ a: { max: 9900 } });
    const calls = [];
    for (let i = 0; i < 9900; i += 1) calls.push(pool.admit());
    await Promise.all(calls);
    await pool.sweptRecently();
    await pool.lapse();
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    let returned = 0;
    for (let found = await other.sweep(); ; found = await other.beat()) {
        assert.ok(found.expired <= 200, `${found.expired} in one call`);
        returned += found.expired;
        if (!found.more) break;
    }
    assert.equal(returned, 9900);
    assert.equal(await pool.active('a'), 0);
    assert.deepEqual(await pool.leases(), []);
});

test('if nobody swept for three seconds, expired leases are spared a lease time', async () => {
    const slowNode = pool.as({ node: 'n2', boot: '0000000b' });
    await slowNode.declare({ a: { max: 300 } });
    const [dead] = await admitMany(1, 15000);
    const slow = await slowNode.admit();
    await pool.lapse();
    await slowNode.lapse();
    await set('sweeps', 'last_ms', (await pool.now()) - 3500);
    const start = await pool.now();
    assert.equal((await pool.beat({ leaseMs: 400 })).expired, 0);
    assert.deepEqual(await slowNode.renew([slow]), [], 'a living node renews in the meantime');
    await until(
        async () => (await pool.sweep({ leaseMs: 400 })).expired === 1,
        'the end of the grace',
    );
    assert.ok((await pool.now()) - start >= 400);
    assert.deepEqual(await pool.leases(), [slow.id]);
    assert.equal(await pool.settle(dead), 'late');
});

test('the grace is opened once a gap, whoever notices it first', async () => {
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 300 } });
    await admitMany(300, 15000);
    await pool.lapse();
    await set('sweeps', 'last_ms', (await pool.now()) - 3500);
    assert.equal((await other.admit({ leaseMs: 300 })).granted, false);
    const until1 = await pool.redis('HGET', pool.key('sweeps'), 'grace_until_ms');
    await other.admit({ leaseMs: 300 });
    await other.beat({ leaseMs: 300 });
    assert.equal(await pool.redis('HGET', pool.key('sweeps'), 'grace_until_ms'), until1);
});

test('a sweep tells how many nodes are alive, and counts the sweeper', async () => {
    assert.equal((await pool.sweep()).alive, 1);
    assert.equal((await pool.as({ node: 'n2' }).sweep()).alive, 2);
    await beat('n3.0000000c', (await pool.now()) - 20000);
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
    await pool.sweep();
    await pool.as({ node: 'n2' }).sweep();
    await beat('n2.0000000a', (await pool.now()) - 60001);
    await pool.sweep();
    assert.deepEqual(Object.keys((await pool.snapshot()).nodes), ['n1']);
    assert.equal(await pool.redis('EXISTS', pool.key('boot', 'n2.0000000a')), 0);
    assert.equal((await pool.events('node forgotten'))[0].boot, 'n2.0000000a');
});

test('a beat tells whether Redis knows what this node declares: a wiped pool is noticed', async () => {
    assert.equal((await pool.sweep()).known, 1);
    await pool.redis('FLUSHALL');
    assert.equal((await pool.sweep()).known, 0);
});

test('the chores of a second are done once, however many nodes beat', async () => {
    const nodes = Array.from({ length: 64 }, (_, i) =>
        pool.as({ node: `n${i}`, boot: `${i}`.padStart(8, '0') }),
    );
    for (const node of nodes) await node.declare({ a: { max: 300 } });
    for (const node of nodes) await node.beat();
    await pool.sweep();
    await pool.redis('CONFIG', 'RESETSTAT');
    for (const node of nodes) await node.beat();
    const stats = await pool.redis('INFO', 'commandstats');
    const calls = (command) =>
        Number((stats.match(new RegExp(`cmdstat_${command}:calls=(\\d+)`)) || [0, 0])[1]);
    assert.ok(calls('xadd') === 0 && calls('zremrangebyrank') <= 2, stats);
    assert.ok(calls('hgetall') <= 4, 'nobody reads what all have written');
});

test('a node alone with its Redis and idle writes nothing', async () => {
    await pool.declare({ a: {} }, { alone: 1 });
    const grant = await pool.admit();
    await pool.settle(grant);
    await pool.lapse();
    for (let i = 0; i < 3; i += 1) await pool.sweep({ alone: 1 });
    const before = await pool.dump();
    for (let i = 0; i < 100; i += 1) assert.equal((await pool.beat({ alone: 1 })).known, 1);
    assert.equal(await pool.dump(), before);
    assert.equal((await pool.snapshot()).nodes.n1.alive, '1');
});

test('nodes with different configurations are noticed', async () => {
    assert.equal((await pool.sweep({ digest: 'x' })).differ, 0);
    assert.equal((await pool.as({ node: 'n2' }).sweep({ digest: 'y' })).differ, 1);
    assert.equal((await pool.sweep({ digest: 'y' })).differ, 0);
});

test('who bears the name of a living node gets another; of a silent one, the same', async () => {
    const second = pool.as({ boot: '0000000b' });
    await pool.beat();
    assert.equal((await second.join({ waitedMs: 0 })).word, 'wait', 'it may have died just now');
    await pool.redis('ZADD', pool.key('boots'), `${(await pool.now()) - 300}`, 'n1.0000000a');
    assert.deepEqual(await second.join({ waitedMs: 1000 }), { word: 'joined', value: 'n1~2' });
    assert.equal((await second.join({ waitedMs: 1000, policy: 'wait' })).word, 'wait');
    const third = pool.as({ boot: '0000000c' });
    assert.deepEqual(await third.join({ waitedMs: 1000 }), { word: 'joined', value: 'n1~3' });
    await pool.redis('ZADD', pool.key('boots'), `${(await pool.now()) - 3001}`, 'n1.0000000a');
    assert.deepEqual(await third.join({ waitedMs: 100 }), { word: 'joined', value: 'n1' });
});

test('a living boot keeps what it holds, whoever starts under its name', async () => {
    const grant = await pool.admit();
    const second = pool.as({ boot: '0000000b' });
    await second.declare({ a: { max: 1 } }, { editedMs: 2000 });
    await second.sweep();
    assert.equal((await second.admit()).reason, 'full');
    assert.deepEqual(await pool.leases(), [grant.id]);
    assert.equal(await pool.settle(grant), 'settled');
    assert.equal((await second.admit()).granted, true);
});

test('what a node leaves behind when it leaves is returned at once', async () => {
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 300 } });
    await pool.beat();
    await pool.admit();
    await pool.leave();
    await set('sweeps', 'last_ms', (await pool.now()) - 3500);
    assert.equal((await other.beat()).expired, 1, 'no grace for who said goodbye');
    assert.equal(await pool.active('a'), 0);
});

test('a node alone with its Redis takes back what its former life held', async () => {
    await pool.admit();
    const reborn = pool.as({ boot: '0000000d' });
    await reborn.declare({ a: { max: 300 } }, { alone: 1 });
    assert.equal((await reborn.sweep({ alone: 1 })).expired, 1);
    assert.equal(await pool.active('a'), 0);
});

test('a sweep trims what must not grow: holders that ended, events', async () => {
    const now = await pool.now();
    const many = Array.from({ length: 1100 }, (_, i) => [`${now - 5000 + i}`, `h${i}`]).flat();
    await pool.redis('ZADD', pool.key('swept'), `${now - 86400001}`, 'old', ...many);
    await pool.redis('HSET', pool.key('swept', 'h0'), '1', 'account=a');
    await pool.sweep();
    assert.equal(await pool.redis('ZCARD', pool.key('swept')), 1000);
    assert.equal(await pool.redis('EXISTS', pool.key('swept', 'h0')), 0);
    for (let i = 0; i < 1500; i += 1) await pool.mend('open', 'a');
    assert.ok((await pool.redis('XLEN', pool.key('events'))) < 1200);
});

test('every count that does not fit its leases is set right, not only their sum', async () => {
    await pool.declare({ a: { max: 300 }, b: { max: 300 } });
    const [one] = await admitMany(3);
    await set('slots', 'a', 'active=-5 cooling=0 used=0', 'b', 'active=8 cooling=0 used=0');
    await pool.sweep();
    const held = (await pool.active('a')) + (await pool.active('b'));
    assert.equal(held, 3);
    await pool.redis('HDEL', pool.key('held', pool.holder), one.id.match(/\d+$/)[0]);
    await pool.sweep();
    assert.equal((await pool.active('a')) + (await pool.active('b')), 2);
    await set('slots', 'a', 'active=77 cooling=0 used=0');
    await pool.sweep();
    assert.equal((await pool.active('a')) + (await pool.active('b')), 2);
    await pool.redis('HDEL', pool.key('roster'), 'a');
    await pool.sweep();
    await pool.declare({ a: { max: 300 }, b: { max: 300 } });
    assert.equal((await pool.active('a')) + (await pool.active('b')), 2);
    assert.ok((await pool.events('slots recounted')).length >= 3);
});

test('of many leases each count is compared once a minute', async () => {
    await pool.declare({ a: { max: 600 }, b: { max: 600 } });
    await Promise.all(Array.from({ length: 600 }, () => pool.admit()));
    const [a, b] = [await pool.active('a'), await pool.active('b')];
    await set('slots', 'a', `active=${a - 9} cooling=0 used=0`);
    await set('slots', 'b', `active=${b + 9} cooling=0 used=0`);
    await set('sweeps', 'last_ms', (await pool.now()) - 61000);
    await pool.beat();
    assert.deepEqual([await pool.active('a'), await pool.active('b')], [a, b]);
});

test('a bad record costs itself only, and is told', async () => {
    const held = pool.key('held', pool.holder);
    const grant = await pool.admit();
    await pool.redis('HSET', held, '999', 'nonsense');
    await pool.redis('SET', pool.key('held', 'n9.0000000b.0'), 'a string');
    await pool.redis('ZADD', pool.key('holders'), '1', 'n9.0000000b.0');
    await pool.redis('SET', pool.key('boot', 'n9.0000000b'), 'a string');
    await beat('n9.0000000b', await pool.now());
    await set('cooldowns', 'a', 'nonsense');
    await pool.sweep();
    assert.deepEqual(await pool.leases(), [grant.id]);
    assert.equal(await pool.active('a'), 1);
    assert.equal((await pool.admit()).granted, true);
    const events = (await pool.events()).map((event) => event.event);
    assert.ok(events.includes('record dropped') && events.includes('record set aside'));
    await pool.redis('DEL', pool.key('slots'));
    await pool.redis('SET', pool.key('slots'), 'a string');
    assert.equal((await pool.sweep()).epoch > 0, true, 'even this: a new epoch');
    assert.match((await pool.status()).join('\n'), /slots in use/);
});

test('a key of the wrong type costs no call, whichever it is and whoever meets it', async () => {
    const verbs = {
        admit: async () => assert.equal((await pool.admit()).granted, true),
        settle: async () => assert.equal(await pool.settle(await pool.admit()), 'settled'),
        cool: async () => {
            const grant = await pool.admit();
            assert.equal(await pool.settle(grant, { cooldownMs: 1, reason: 'r' }), 'settled');
            await until(async () => (await pool.admit()).granted, 'the end of the cooldown');
        },
        beat: () => pool.beat(),
        sweep: () => pool.sweep(),
        join: () => pool.join(),
        open: () => pool.call('open', 'a'),
        declare: () => pool.declare({ a: { max: 300, burst: 100 } }),
        renew: () => pool.register(),
    };
    const keys = ['roster', 'epoch', 'cooldowns', 'open', 'posting', 'totals', 'sweeps'].concat(
        ['holders', 'swept', 'boots', 'restored', 'events', 'burst:a'],
        [`boot:${pool.node}.${pool.boot}`, `held:${pool.holder}`, `swept:${pool.holder}`],
    );
    for (const name of keys) {
        for (const verb of Object.values(verbs)) {
            if (name === 'sweeps' && verb === verbs.sweep) continue; // it writes there itself
            await pool.wipe();
            await pool.declare({ a: { max: 300, burst: 100 } });
            await pool.admit();
            await pool.redis('DEL', pool.key(name));
            await pool.redis('SET', pool.key(name), 'a string');
            if (name === 'roster') await pool.sweep().then(() => pool.declare({ a: { max: 300 } }));
            await verb();
        }
    }
});

test('a settlement that meets a key of the wrong type is booked once', async () => {
    for (const name of ['cooldowns', 'events', 'open', 'totals']) {
        await pool.wipe();
        await pool.declare({ a: { max: 300 } });
        const grant = await pool.admit();
        await pool.redis('DEL', pool.key(name));
        await pool.redis('SET', pool.key(name), 'a string');
        assert.equal(await pool.settle(grant, { cooldownMs: 5, input: 7 }), 'settled', name);
        await pool.sweep();
        const { total, pool: seen } = await pool.snapshot();
        assert.deepEqual([total.requests, total.input, seen.active], ['1', '7', '0'], name);
        assert.ok((await pool.events('record set aside')).length > 0, name);
    }
});

test('a clock set back by an hour frees the slots of the dead all the same', async () => {
    await admitMany(1, 15000);
    const ahead = (await pool.now()) + 3600000;
    await pool.redis('ZADD', pool.key('holders'), `${ahead}`, pool.holder);
    await beat('n9.0000000b', ahead);
    await set('sweeps', 'last_ms', ahead, 'grace_until_ms', ahead);
    await until(
        async () => (await pool.beat({ leaseMs: 100 })).expired + (await pool.sweep()).expired === 1,
        'the slot of the dead',
    );
    const { nodes, pool: seen } = await pool.snapshot();
    assert.equal(seen.active, '0');
    assert.ok(Number(nodes.n9.heartbeat_ms_ago) >= 0);
    const score = await pool.redis('ZSCORE', pool.key('boots'), 'n9.0000000b');
    assert.ok(Number(score) <= (await pool.now()));
});

test('a bad argument is refused by name, and nothing is written', async () => {
    const good = ['n1', '0000000a', '1.0', 'd', '0', '15000', '1', '0', '0'];
    const names = ['node', 'boot', null, null, 'active', 'lease_ms', 'workers', 'alone', 'epoch'];
    const before = await pool.dump();
    for (const [index, name] of names.entries()) {
        if (name) {
            const args = [...good];
            args[index] = 'a b';
            await assert.rejects(
                pool.call('beat', ...args),
                new RegExp(`ERR weir: ${name}: expected`),
            );
        }
    }
    assert.equal(await pool.dump(), before);
});
