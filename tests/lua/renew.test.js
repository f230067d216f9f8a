'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.wipe();
    await pool.declare({ a: { max: 2 } });
    await pool.sweptRecently();
});
after(() => server.stop());

async function sweptAway(count) {
    const grants = [];
    for (let i = 0; i < count; i += 1) {
        grants.push(await pool.admit());
    }
    await pool.lapse();
    assert.equal((await pool.sweep()).expired, count);
    return grants;
}

test('renewing keeps what is held for one more lease time', async () => {
    const one = await pool.admit({ leaseMs: 500 });
    const two = await pool.admit({ leaseMs: 500 });
    assert.deepEqual(await pool.renew([one, two], { leaseMs: 30000 }), []);
    for (const grant of [one, two]) {
        assert.ok((await pool.expiry(grant)) - (await pool.now()) > 25000);
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
    assert.deepEqual(await pool.renew([one], { mode: 'restore', leaseMs: 300 }), []);
    assert.equal(await pool.active('a'), 1);
    assert.equal((await pool.admit()).granted, false, 'not declared: takes nothing');
    await pool.declare({ a: { max: 2 } });
    assert.equal(await pool.active('a'), 1);
    assert.equal(await pool.settle(one), 'settled');
    assert.equal(await pool.active('a'), 0);
});

test('what is left over in a connection that was given up has no effect', async () => {
    const one = await pool.admit();
    const [old, now] = [pool.as({ link: 1 }), pool.as({ link: 2 })];
    await now.register();
    assert.equal(await now.settle(one, { input: 7 }), 'settled');
    await assert.rejects(old.renew([one], { mode: 'restore' }), /STALE weir: link 1 of/);
    await assert.rejects(old.admit(), /STALE weir/);
    assert.equal(await old.settle(one), 'duplicate');
    assert.equal(await pool.active('a'), 0);
    assert.equal((await pool.snapshot()).subs.a.total_input, '7');
});

test('a list with the word that there is nothing else ends what nobody holds', async () => {
    const [one, two] = [await pool.admit(), await pool.admit()];
    assert.deepEqual(await pool.renew([two], { only: 1 }), []);
    assert.deepEqual(await pool.leases(), [two.id]);
    assert.equal(await pool.active('a'), 1);
    assert.equal(await pool.settle(one, { input: 1 }), 'late', 'it is still booked, once');
    assert.equal((await pool.events('leases nobody holds')).length, 1);
});

test('without a list the number is compared, whatever is on its way', async () => {
    const one = await pool.admit();
    assert.equal((await pool.compare({ count: 1 })).word, 'kept');
    assert.equal((await pool.compare({ count: 0, open: 1 })).word, 'kept');
    assert.equal((await pool.compare({ count: 0 })).word, 'differs');
    assert.equal((await pool.compare({ count: 2 })).word, 'differs');
    const other = await pool.compare({ count: 1, epoch: 12345 });
    assert.deepEqual([other.word, other.epoch], ['epoch', pool.epoch]);
    await pool.settle(one);
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
    await pool.sweep();
    assert.deepEqual(await pool.renew([one]), [one.id]);
    assert.deepEqual(await pool.renew([one], { mode: 'restore' }), []);
    assert.equal((await pool.snapshot()).subs.a.state, 'leaving');
    await pool.settle(one);
    await pool.sweep();
    assert.equal((await pool.snapshot()).subs.a, undefined);
});

test('256 leases go into one call, 257 do not, none is fine', async () => {
    await pool.declare({ a: { max: 256 } });
    const grants = [];
    for (let i = 0; i < 256; i += 1) {
        grants.push(await pool.admit({ leaseMs: 5000 }));
    }
    assert.deepEqual(await pool.renew(grants, { leaseMs: 20000 }), []);
    assert.ok((await pool.expiry(grants[255])) - (await pool.now()) > 15000);
    await assert.rejects(
        pool.renew([...grants, grants[0]]),
        /ERR weir: leases: expected at most 256 rows/,
    );
    assert.deepEqual(await pool.renew([]), []);
});

test('a bad argument is refused by name, and nothing is written', async () => {
    await pool.admit();
    const before = await pool.dump();
    const good = [pool.holder, '1', pool.epoch, '15000', 'renew', '1', '0', '0', '0', '0'];
    const bad = (argument, index, value, ...rows) => {
        const args = [...good];
        if (index !== null) args[index] = value;
        return assert.rejects(
            pool.call('renew', ...args, ...rows),
            new RegExp(`ERR weir: ${argument}: expected`),
        );
    };
    await bad('lease_ms', 3, '');
    await bad('mode', 4, 'keep');
    await bad('mode', 4, 'renew|restore');
    await bad('only', 7, '2');
    await bad('leases', null, null, '1', 'a', 'bot');
    await bad('leases 2 client', null, null, '1', 'a', 'bot', 'm', '2', 'a', 'b$t', 'm');
    assert.equal(await pool.dump(), before);
});
