'use strict';
// What is free, in use and held back is all there is, of each subscription and of the pool, whatever
// holds it back.
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.wipe();
    await pool.declare({ a: { max: 5 }, b: { max: 3 } });
    await pool.sweptRecently();
});
after(() => server.stop());

const onlyA = { excluded: 'b' };
const failed = { outcome: 'error', status: 500, health: 'bad' };
const limited = { outcome: 'error', status: 429, cooldownMs: 90000, reason: 'limited' };

async function run(used, options = onlyA) {
    const grant = await pool.admit(options);
    assert.equal(grant.sub, 'a', grant.reason);
    await pool.settle(grant, used);
}

/** What `a` is, after everything was added up: [active, available, held back, by what]. */
async function standing() {
    const { pool: all, subs } = await pool.snapshot();
    const n = (text) => Number(text);
    let [slots, above, held] = [0, 0, {}];
    for (const sub of Object.values(subs)) {
        const over = Math.max(0, n(sub.active) - n(sub.max));
        assert.equal(n(sub.active) - over + n(sub.available) + n(sub.held_back), n(sub.max), sub.name);
        assert.equal(sub.held_by !== '', n(sub.held_back) > 0, `${sub.name}: ${sub.held_by}`);
        if (sub.held_by) held[sub.held_by] = (held[sub.held_by] ?? 0) + n(sub.held_back);
        [slots, above] = [slots + n(sub.max), above + over];
    }
    assert.deepEqual([n(all.slots), n(all.above_max)], [slots, above]);
    assert.equal(n(all.active) - above + n(all.available) + n(all.held_back), slots);
    const told = Object.entries(all).filter(([key, value]) => /^held_(?!back)/.test(key) && value !== '0');
    assert.deepEqual(Object.fromEntries(told.map(([key, value]) => [key.slice(5), n(value)])), held);
    const { a } = subs;
    return [n(a.active), n(a.available), n(a.held_back), a.held_by];
}

/** What a request gets is what was said: a slot of `a` where one is free, and none where none is. */
async function isLentWhatIsFree() {
    const [, available] = await standing();
    const grant = await pool.admit(onlyA);
    assert.equal(grant.granted, available > 0, `${available} free: ${grant.reason ?? 'granted'}`);
    if (grant.granted) await pool.settle(grant, { outcome: 'unused' });
}

/** As if `ms` had passed for what is held against it. */
async function age(ms) {
    const fields = (await pool.lines(pool.key('slots'))).a;
    for (const field of ['bad', 'broken', 'probe']) {
        if (fields[field]) fields[field] = String(Math.max(1, Number(fields[field]) - ms));
    }
    const text = Object.entries(fields).map(([key, value]) => `${key}=${value}`);
    await pool.redis('HSET', pool.key('slots'), 'a', text.join(' '));
    await pool.sweep();
}

test('nothing holds back what is idle or in use', async () => {
    assert.deepEqual(await standing(), [0, 5, 0, '']);
    await isLentWhatIsFree();
    for (let i = 0; i < 5; i += 1) await pool.admit(onlyA);
    assert.deepEqual(await standing(), [5, 0, 0, '']);
    await isLentWhatIsFree();
});

test('cooling, after a limit or by hand', async () => {
    await pool.admit(onlyA);
    await run(limited);
    assert.deepEqual(await standing(), [1, 0, 4, 'cooling']);
    await isLentWhatIsFree();
    await pool.mend('open', 'a');
    await pool.mend('cool', 'a', 60000, 'why');
    assert.deepEqual(await standing(), [1, 0, 4, 'cooling']);
    await isLentWhatIsFree();
});

test('on trial one slot is free, and none while the one request tries it', async () => {
    await run(limited);
    await pool.mend('open', 'a');
    assert.deepEqual(await standing(), [0, 1, 4, 'trial']);
    await isLentWhatIsFree();
    const probe = await pool.admit(onlyA);
    assert.deepEqual(await standing(), [1, 0, 4, 'trial']);
    await isLentWhatIsFree();
    await pool.settle(probe, { health: 'good' });
    assert.deepEqual(await standing(), [0, 5, 0, '']);
    await isLentWhatIsFree();
});

test('broken, then on trial by itself', async () => {
    for (let i = 0; i < 5; i += 1) await run(failed);
    assert.deepEqual(await standing(), [0, 0, 5, 'broken']);
    await isLentWhatIsFree();
    await age(31000);
    assert.deepEqual(await standing(), [0, 1, 4, 'trial']);
    await isLentWhatIsFree();
    const probe = await pool.admit(onlyA);
    assert.deepEqual(await standing(), [1, 0, 4, 'trial']);
    await isLentWhatIsFree();
    await pool.settle(probe, failed);
    assert.deepEqual(await standing(), [0, 0, 5, 'broken']);
    await isLentWhatIsFree();
});

test('at its burst limit', async () => {
    await pool.declare({ a: { max: 5, burst: 2 }, b: { max: 3 } }, { editedMs: 2000 });
    for (let i = 0; i < 2; i += 1) await pool.admit(onlyA);
    assert.deepEqual(await standing(), [2, 0, 3, 'burst']);
    await isLentWhatIsFree();
});

test('paused by a person, disabled by a configuration, leaving', async () => {
    await pool.admit(onlyA);
    await pool.mend('enable', 'a', 'off');
    assert.deepEqual(await standing(), [1, 0, 4, 'paused']);
    await isLentWhatIsFree();
    await pool.mend('enable', 'a', 'on');
    assert.deepEqual(await standing(), [1, 4, 0, '']);
    await isLentWhatIsFree();
    await pool.declare({ a: { max: 5, enabled: 0 }, b: { max: 3 } }, { editedMs: 2000 });
    assert.deepEqual(await standing(), [1, 0, 4, 'disabled']);
    await isLentWhatIsFree();
    await pool.declare({ b: { max: 3 } }, { editedMs: 3000 });
    assert.deepEqual(await standing(), [1, 0, 4, 'leaving']);
    await isLentWhatIsFree();
});

test('restoring: nothing of the pool is free', async () => {
    await pool.admit(onlyA);
    await pool.redis('FLUSHALL');
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.beat({ epoch: pool.epoch });
    await pool.declare({ a: { max: 5 }, b: { max: 3 } });
    assert.deepEqual(await standing(), [0, 0, 5, 'restoring']);
    await isLentWhatIsFree();
});

test('more than there may be, after a max was lowered, is told apart', async () => {
    for (let i = 0; i < 4; i += 1) await pool.admit(onlyA);
    await pool.declare({ a: { max: 2 }, b: { max: 3 } }, { editedMs: 2000 });
    assert.deepEqual(await standing(), [4, 0, 0, '']);
    await isLentWhatIsFree();
});

test('closed to some requests only is free', async () => {
    await run({ ...limited, scope: 'model:opus' }, { ...onlyA, labels: 'messages model:opus' });
    assert.deepEqual(await standing(), [0, 5, 0, '']);
    await isLentWhatIsFree();
});
