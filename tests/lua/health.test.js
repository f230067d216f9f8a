'use strict';
// What closes a subscription beside its slots: failures in a row, a credential that is refused,
// limits that concern some requests only.
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool, until } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.wipe();
    await pool.declare({ a: { max: 9 }, b: { max: 3 } });
    await pool.sweptRecently();
});
after(() => server.stop());

const line = async (name) => (await pool.lines(pool.key('slots')))[name];
const events = async (what) => (await pool.events(what)).length;

// One request that ends so; the subscription it was granted.
async function run(used, options) {
    const grant = await pool.admit(options);
    assert.equal(grant.granted, true, grant.reason);
    assert.equal(await pool.settle(grant, used), 'settled');
    return grant.sub;
}
const fail = (options) => run({ outcome: 'error', status: 500, health: 'bad' }, options);
const onlyA = { excluded: 'b' };

// As if `ms` had passed for what is held against a subscription.
async function age(name, ms) {
    const fields = await line(name);
    for (const field of ['bad', 'broken', 'probe', 'suspect']) {
        if (fields[field]) fields[field] = String(Math.max(1, Number(fields[field]) - ms));
    }
    const text = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
    await pool.redis('HSET', pool.key('slots'), name, text.join(' '));
    await pool.sweep();
}

async function alone() {
    await pool.wipe();
    await pool.declare({ a: { max: 9 } });
    await pool.sweptRecently();
}

test('one that has just failed is taken only if no other is free', async () => {
    assert.equal(await fail(), 'a');
    for (let i = 0; i < 3; i += 1) assert.equal((await pool.admit()).sub, 'b');
    assert.equal((await pool.admit()).sub, 'a', 'better than none');
    await age('a', 6000);
    assert.equal((await pool.admit()).sub, 'a', 'for a while only');
});

test('of 40 requests one that fails at once gets at most 3', async () => {
    let count = 0;
    for (let i = 0; i < 40; i += 1) {
        const grant = await pool.admit();
        const isBroken = grant.sub === 'a';
        count += isBroken ? 1 : 0;
        const ended = isBroken ? { outcome: 'error', health: 'bad' } : { health: 'good' };
        await pool.settle(grant, ended);
    }
    assert.ok(count <= 3, `${count}`);
});

test('five failures in a row close it for 30 s; then one request tries, cluster-wide', async () => {
    await alone();
    for (let i = 0; i < 5; i += 1) assert.equal(await fail(onlyA), 'a');
    const refused = await pool.admit(onlyA);
    assert.equal(refused.reason, 'broken');
    assert.ok(refused.retryMs > 28000 && refused.retryMs <= 30000, `${refused.retryMs}`);
    assert.equal(await events('breaker opened'), 1);
    await age('a', 31000);
    const probe = await pool.admit(onlyA);
    assert.equal(probe.sub, 'a');
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 9 } });
    assert.equal((await other.admit(onlyA)).reason, 'broken', 'one at a time');
    await pool.settle(probe, { outcome: 'error', health: 'bad' });
    const again = await pool.admit(onlyA);
    assert.ok(again.retryMs > 58000 && again.retryMs <= 60000, 'twice as long');
    await age('a', 61000);
    await pool.settle(await pool.admit(onlyA), { health: 'good' });
    assert.equal((await pool.admit(onlyA)).granted, true);
    assert.equal(await events('breaker closed'), 1);
    assert.equal((await line('a')).faults, undefined, 'nothing is held against it');
});

test('a probe that comes to nothing lets another one try', async () => {
    for (let i = 0; i < 5; i += 1) await fail(onlyA);
    await age('a', 31000);
    const probe = await pool.admit(onlyA);
    await pool.settle(probe, { outcome: 'cancelled' });
    assert.equal((await pool.admit(onlyA)).granted, true);
});

test('the pause between tries grows to five minutes and no further', async () => {
    await alone();
    for (let i = 0; i < 5; i += 1) await fail(onlyA);
    for (let i = 0; i < 6; i += 1) {
        await age('a', 301000);
        await fail(onlyA);
    }
    const { retryMs } = await pool.admit(onlyA);
    assert.ok(retryMs > 290000 && retryMs <= 300000, `${retryMs}`);
});

test('a refused credential is believed when a second request hears the same', async () => {
    const refused = { outcome: 'error', status: 401, health: 'suspect', cooldownMs: 60000, reason: 'r' };
    assert.equal(await run(refused, onlyA), 'a');
    assert.equal((await line('a')).cooling, '0');
    assert.equal((await pool.admit()).sub, 'b', 'but others are asked first');
    assert.equal(await run(refused, onlyA), 'a');
    assert.equal((await pool.admit(onlyA)).reason, 'cooling');
});

test('a success in between clears a suspicion', async () => {
    const refused = { outcome: 'error', status: 401, health: 'suspect', cooldownMs: 60000 };
    await run(refused, onlyA);
    await run({ health: 'good' }, onlyA);
    await run(refused, onlyA);
    assert.equal((await pool.admit(onlyA)).granted, true);
    await age('a', 301000);
    await run(refused, onlyA);
    assert.equal((await pool.admit(onlyA)).granted, true, 'and so does time');
});

test('a limit closes a subscription to those requests only that it speaks of', async () => {
    await alone();
    const limited = { outcome: 'error', status: 429, cooldownMs: 60000, reason: 'rate limited' };
    await run({ ...limited, scope: 'counting' }, { ...onlyA, labels: 'counting' });
    assert.equal((await pool.admit({ ...onlyA, labels: 'messages model:m' })).granted, true);
    const refused = await pool.admit({ ...onlyA, labels: 'counting model:m' });
    assert.equal(refused.reason, 'cooling');
    assert.ok(refused.retryMs > 58000 && refused.retryMs <= 60000);
    await run({ ...limited, scope: 'model:opus' }, { ...onlyA, labels: 'messages model:opus' });
    assert.equal((await pool.admit({ ...onlyA, labels: 'messages model:opus' })).granted, false);
    await pool.declare({ a: { max: 9 }, b: { max: 3 } });
    assert.equal((await pool.admit({ labels: 'messages model:opus' })).sub, 'b');
    assert.match(await pool.redis('HGET', pool.key('blocks'), 'a counting'), /reason=rate limited/);
    assert.equal(await events('blocked'), 2);
});

test('a block ends by itself, and goes with the next sweep', async () => {
    const limited = { outcome: 'error', cooldownMs: 50, scope: 'counting', reason: 'r' };
    await run(limited, { ...onlyA, labels: 'counting' });
    await until(
        async () => (await pool.admit({ ...onlyA, labels: 'counting' })).granted,
        'the end of the block',
    );
    await pool.sweep();
    assert.equal(await pool.redis('EXISTS', pool.key('blocks')), 0);
});

test('a limit without a time is twice as long each time it comes again, up to five minutes', async () => {
    await alone();
    const limited = { outcome: 'error', status: 429, cooldownMs: 60000, cooldownKind: 'default' };
    const waits = [];
    const grants = [];
    for (let i = 0; i < 4; i += 1) grants.push(await pool.admit(onlyA));
    for (const grant of grants) {
        await pool.settle(grant, { ...limited, reason: 'r' });
        waits.push(Math.round((await pool.admit(onlyA)).retryMs / 1000));
    }
    assert.deepEqual(waits, [60, 120, 240, 300]);
});

test('a person who opens it lifts all that is held against it', async () => {
    for (let i = 0; i < 5; i += 1) await fail(onlyA);
    const grant = await pool.admit({ labels: 'counting' });
    assert.equal(grant.sub, 'b');
    await pool.call('open', 'a');
    assert.equal((await pool.admit(onlyA)).granted, true);
    await run({ outcome: 'error', cooldownMs: 9000, scope: 'x', reason: 'r' }, { ...onlyA, labels: 'x' });
    await pool.call('open', 'a');
    assert.equal((await pool.admit({ ...onlyA, labels: 'x' })).granted, true);
    assert.equal(await pool.redis('EXISTS', pool.key('blocks')), 0);
});

test('what is held against one survives a rename and a restart of what remembers', async () => {
    for (let i = 0; i < 5; i += 1) await fail(onlyA);
    await pool.loadLibraries();
    assert.equal((await pool.admit(onlyA)).reason, 'broken');
    await pool.declare({ c: { max: 9, account: 'a' }, b: { max: 3 } }, { editedMs: 2000 });
    assert.equal((await pool.admit(onlyA)).reason, 'broken');
});
