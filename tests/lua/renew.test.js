'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.redis('FLUSHALL');
    await pool.declare({ a: { max: 2 } });
    await pool.sweptRecently();
});
after(() => server.stop());

const expiry = async (grant) =>
    Number(await pool.client.sendCommand(['ZSCORE', pool.key('leases'), grant.id]));

async function sweptAway(count) {
    const grants = [];
    for (let i = 0; i < count; i += 1) {
        grants.push(await pool.admit({ leaseMs: 50 }));
    }
    await pool.expired(count);
    assert.equal((await pool.sweep({ leaseMs: 50 })).expired, count);
    return grants;
}

test('renewing keeps what is held for one more lease time', async () => {
    const one = await pool.admit({ leaseMs: 500 });
    const two = await pool.admit({ leaseMs: 500 });
    assert.deepEqual(await pool.renew([one, two], { leaseMs: 30000 }), []);
    for (const grant of [one, two]) {
        assert.ok((await expiry(grant)) - (await pool.now()) > 25000);
    }
    assert.equal(await pool.active('a'), 2);
});

test('a lease past its expiry that nobody swept is simply renewed', async () => {
    const one = await pool.admit({ leaseMs: 50 });
    await pool.expired();
    assert.deepEqual(await pool.renew([one]), []);
    assert.equal((await pool.sweep()).expired, 0);
    assert.equal(await pool.active('a'), 1);
});

test('a stalled node gets a swept slot again only if one is free', async () => {
    const [one, two] = await sweptAway(2);
    const other = await pool.admit();
    assert.deepEqual(await pool.renew([one, two]), [two.id]);
    assert.equal(await pool.active('a'), 2);
    assert.deepEqual((await pool.leases()).sort(), [one.id, other.id].sort());
    await pool.settle(other);
    assert.deepEqual(await pool.renew([two]), []);
    assert.equal(await pool.active('a'), 2);
    assert.deepEqual([await pool.settle(one), await pool.settle(two)], ['settled', 'settled']);
    assert.equal(await pool.active('a'), 0);
});

test('restore holds running requests again, over the cap if need be, and that drains', async () => {
    const stalled = await sweptAway(2);
    const others = [await pool.admit(), await pool.admit()];
    assert.deepEqual(await pool.renew(stalled, { mode: 'restore' }), []);
    assert.equal(await pool.active('a'), 4);
    for (const grant of [...stalled, others[0]]) {
        assert.equal((await pool.admit()).reason, 'full');
        assert.equal(await pool.settle(grant), 'settled');
    }
    assert.equal(await pool.active('a'), 1);
    assert.equal((await pool.admit()).granted, true);
});

test('restore registers ids of which Redis lost all trace, and they can be settled', async () => {
    const one = await pool.admit();
    await pool.redis('FLUSHALL');
    assert.deepEqual(await pool.renew([one], { mode: 'restore' }), []);
    assert.equal(await pool.active('a'), 1);
    assert.equal((await pool.admit()).granted, false, 'not declared: takes nothing');
    await pool.declare({ a: { max: 2 } });
    assert.equal(await pool.active('a'), 1);
    assert.equal(await pool.settle(one), 'settled');
    assert.equal(await pool.active('a'), 0);
});

test('what a left-over renewal brings back goes after a lease time, booked once', async () => {
    const one = await pool.admit();
    await pool.settle(one, { input: 7 });
    assert.deepEqual(await pool.renew([one], { leaseMs: 50 }), []);
    await pool.expired();
    assert.equal((await pool.sweep({ leaseMs: 50 })).expired, 1);
    assert.equal(await pool.active('a'), 0);
    assert.equal((await pool.snapshot()).subs.a.total_input, '7');
});

test('one id named twice is held once', async () => {
    const [one] = await sweptAway(1);
    assert.deepEqual(await pool.renew([one, one], { mode: 'restore' }), []);
    assert.equal(await pool.active('a'), 1);
    assert.deepEqual(await pool.renew([one, one]), []);
    assert.equal(await pool.active('a'), 1);
});

test('a subscription that is gone gives renew no slot, restore one to its end', async () => {
    const [one] = await sweptAway(1);
    await pool.declare({ b: {} });
    assert.deepEqual(await pool.renew([one]), [one.id]);
    assert.deepEqual(await pool.renew([one], { mode: 'restore' }), []);
    assert.equal((await pool.snapshot()).subs.a.state, 'leaving');
    await pool.settle(one);
    assert.equal((await pool.snapshot()).subs.a, undefined);
});

test('256 leases go into one call, 257 do not, none is fine', async () => {
    await pool.declare({ a: { max: 256 } });
    const grants = [];
    for (let i = 0; i < 256; i += 1) {
        grants.push(await pool.admit({ leaseMs: 5000 }));
    }
    assert.deepEqual(await pool.renew(grants, { leaseMs: 20000 }), []);
    assert.ok((await expiry(grants[255])) - (await pool.now()) > 15000);
    await assert.rejects(
        pool.renew([...grants, grants[0]]),
        /ERR weir: leases: expected at most 256/,
    );
    assert.deepEqual(await pool.renew([]), []);
});

test('a bad argument is refused by name, and nothing is written', async () => {
    const { id } = await pool.admit();
    const before = await pool.dump();
    const bad = async (argument, ...args) =>
        assert.rejects(pool.call('renew', ...args), new RegExp(`ERR weir: ${argument}: expected`));
    await bad('lease_ms', '', 'renew');
    await bad('mode', '15000', 'keep');
    await bad('lease 2', '15000', 'renew', `${id} a bot model`, `${id} a bot`);
    await bad('lease 1', '15000', 'restore', `${id} a b$t model`);
    assert.equal(await pool.dump(), before);
});
