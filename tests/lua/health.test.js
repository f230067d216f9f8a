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

test('a clock that was set back keeps nobody out for longer than a pause can be', async () => {
    await alone();
    for (let i = 0; i < 5; i += 1) await fail();
    await age('a', -3600000);
    const { reason, retryMs } = await pool.admit();
    assert.equal(reason, 'broken');
    assert.ok(retryMs > 200000 && retryMs <= 300000, `${retryMs}`);
    await age('a', 300000);
    assert.equal((await pool.admit()).granted, true, 'one tries');
    await age('a', -3600000);
    const waits = await pool.admit();
    assert.ok(waits.retryMs > 200000 && waits.retryMs <= 300000, `${waits.retryMs}`);
});

test('a refused credential is believed when a second request hears the same', async () => {
    const refused = { outcome: 'error', status: 401, health: 'suspect', cooldownMs: 60000, reason: 'r' };
    assert.equal(await run(refused, onlyA), 'a');
    assert.equal((await line('a')).cooling, '0');
    assert.equal((await pool.admit()).sub, 'b', 'but others are asked first');
    assert.equal(await run(refused, onlyA), 'a');
    assert.equal((await pool.admit(onlyA)).reason, 'cooling');
});

test('a model that is not permitted says nothing of the credential, nor of other models', async () => {
    const refused = { outcome: 'error', status: 403, health: 'suspect', cooldownMs: 60000 };
    const asks = (model) => ({ labels: `messages model:${model}` });
    const denied = (model) =>
        run({ ...refused, scope: `model:${model}` }, { ...onlyA, ...asks(model) });
    const isOpen = async (model) => (await pool.admit({ ...onlyA, ...asks(model) })).granted;
    await denied('opus');
    assert.equal((await pool.admit(asks('haiku'))).sub, 'a', 'it is liked as before');
    await denied('haiku');
    assert.deepEqual([await isOpen('opus'), await isOpen('haiku')], [true, true], 'each heard once');
    await run({ ...refused, status: 401 }, onlyA);
    assert.equal((await line('a')).cooling, '0', 'a credential is doubted by a credential refused');
    await denied('opus');
    await denied('opus');
    assert.equal((await line('a')).cooling, '0');
    await run({ ...refused, status: 401 }, onlyA);
    assert.notEqual((await line('a')).cooling, '0', 'and that doubt is not forgotten meanwhile');
});

test('a model that is not permitted is closed when a second request hears the same', async () => {
    const denied = { outcome: 'error', status: 403, health: 'suspect', cooldownMs: 60000 };
    const opus = { ...onlyA, labels: 'messages model:opus' };
    for (let i = 0; i < 2; i += 1) await run({ ...denied, scope: 'model:opus' }, opus);
    assert.equal((await pool.admit(opus)).granted, false);
    assert.equal((await pool.admit({ ...onlyA, labels: 'messages model:haiku' })).granted, true);
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

test('a person who opens one that was broken lets one request try, cluster-wide, at once', async () => {
    for (let i = 0; i < 5; i += 1) await fail(onlyA);
    await pool.mend('open', 'a', 'anna');
    const probe = await pool.admit();
    assert.equal(probe.sub, 'a', 'it comes first');
    const other = pool.as({ node: 'n2', boot: '0000000b' });
    await other.declare({ a: { max: 9 }, b: { max: 3 } });
    assert.equal((await other.admit(onlyA)).reason, 'broken', 'one at a time');
    await pool.settle(probe, { outcome: 'error', health: 'bad' });
    const { told } = await pool.admit(onlyA);
    assert.ok(told.broken_ms > 58000 && told.broken_ms <= 60000, 'the pause doubles on');
    await pool.mend('open', 'a');
    await run({ health: 'good' }, onlyA);
    for (let i = 0; i < 2; i += 1) assert.equal((await pool.admit(onlyA)).granted, true);
});

const limitedFor = (cooldownMs, more = {}) => ({
    outcome: 'error',
    status: 429,
    cooldownMs,
    reason: 'its quota is used up: 7d',
    ...more,
});

test('one that cooled and is opened is tried once; a failure closes it again until then', async () => {
    await run(limitedFor(3600000), onlyA);
    const until = (await line('a')).cooling;
    await pool.mend('open', 'a');
    const probe = await pool.admit(onlyA);
    assert.equal((await pool.admit(onlyA)).reason, 'cooling', 'one at a time');
    await pool.settle(probe, limitedFor(5000));
    assert.equal((await line('a')).cooling, until, 'no sooner than before');
    assert.equal((await pool.snapshot()).subs.a.cooldown_reason, 'its quota is used up: 7d');
    await pool.mend('open', 'a');
    const second = await pool.admit(onlyA);
    await pool.settle(second, { health: 'good' });
    for (let i = 0; i < 2; i += 1) assert.equal((await pool.admit(onlyA)).granted, true);
    assert.equal(await pool.redis('EXISTS', pool.key('blocks')), 0);
    assert.equal(await events('tried and open'), 1);
});

test('one that is opened is tried first, whatever else is free, by one request that can', async () => {
    const opus = { labels: 'messages model:opus' };
    const subs = { a: { max: 1, priority: 9 }, b: { max: 9 }, c: { max: 9 } };
    await pool.declare(subs, { editedMs: 3000 });
    const only = { ...opus, excluded: 'b c' };
    await run(limitedFor(3600000, { scope: 'model:opus' }), only);
    await pool.mend('open', 'a');
    assert.notEqual((await pool.admit({ labels: 'messages model:haiku' })).sub, 'a');
    const probe = await pool.admit(opus);
    assert.deepEqual([probe.sub, probe.how], ['a', 'trial']);
    assert.notEqual((await pool.admit(opus)).sub, 'a');
    await pool.settle(probe, { health: 'good' });
    assert.notEqual((await pool.admit(opus)).sub, 'a', 'then it has its turn like others');
    for (let i = 0; i < 5; i += 1) await fail({ excluded: 'b c' });
    await pool.sweep();
    await pool.mend('open', 'a');
    await pool.sweep();
    assert.equal((await pool.admit()).sub, 'a');
});

test('one that tries and comes to nothing lets another one try', async () => {
    await run(limitedFor(3600000), onlyA);
    await pool.mend('open', 'a');
    await pool.settle(await pool.admit(onlyA), { outcome: 'cancelled' });
    await run({ health: 'good' }, onlyA);
    assert.equal((await pool.admit(onlyA)).granted, true);
});

test('a refused credential that is opened is closed again by one refusal', async () => {
    const refused = { outcome: 'error', status: 401, health: 'suspect', cooldownMs: 60000 };
    await run(refused, onlyA);
    await run(refused, onlyA);
    await pool.mend('open', 'a');
    await run(refused, onlyA);
    assert.equal((await pool.admit(onlyA)).reason, 'cooling');
});

test('a strike after an opening counts on: twice as long', async () => {
    const limited = limitedFor(60000, { cooldownKind: 'default' });
    await run(limited, onlyA);
    await pool.mend('open', 'a');
    await run(limited, onlyA);
    const { told } = await pool.admit(onlyA);
    assert.ok(told.limited_ms > 118000 && told.limited_ms <= 120000, told.limited_ms);
});

test('what is closed to a model only is tried by a request for it, others are not held up', async () => {
    const opus = { ...onlyA, labels: 'messages model:opus' };
    const haiku = { ...onlyA, labels: 'messages model:haiku' };
    await run(limitedFor(3600000, { scope: 'model:opus' }), opus);
    await pool.mend('open', 'a');
    const probe = await pool.admit(opus);
    assert.equal((await pool.admit(opus)).reason, 'cooling');
    assert.equal((await pool.admit(haiku)).granted, true);
    await pool.loadLibraries();
    assert.equal((await pool.admit(opus)).reason, 'cooling', 'whatever remembers it');
    await pool.settle(probe, limitedFor(1000, { scope: 'model:opus' }));
    const { told } = await pool.admit(opus);
    assert.ok(told.closed_ms > 3590000, told.closed_ms);
    assert.equal((await pool.admit(haiku)).granted, true);
});

test('a trial is over when what was opened would have ended by itself', async () => {
    await run(limitedFor(50), onlyA);
    await pool.mend('open', 'a');
    await until(async () => {
        await pool.sweep();
        return (await pool.redis('EXISTS', pool.key('blocks'))) === 0;
    }, 'the end of the trial');
    assert.equal((await pool.admit(onlyA)).granted, true);
    assert.equal((await pool.admit(onlyA)).granted, true);
});

test('opening says what was lifted, or that nothing was closed, and who asked', async () => {
    for (let i = 0; i < 4; i += 1) await fail(onlyA);
    await run(limitedFor(9000, { scope: 'x' }), { ...onlyA, labels: 'x' });
    await run(limitedFor(60000), onlyA);
    const [, leftMs, lifted] = await pool.mend('open', 'a', 'anna');
    assert.ok(Number(leftMs) > 58000);
    assert.match(lifted, /4 failed in a row, cooldown 60s \(its quota is used up: 7d\), not for x 9s/);
    assert.deepEqual(await pool.mend('open', 'b'), ['ok', '0', '']);
    const [first, second] = await pool.events('opened by hand');
    assert.deepEqual([first.by, first.lifted], ['anna', lifted]);
    assert.deepEqual([second.by, second.lifted], ['redis-cli', 'nothing']);
    await assert.rejects(pool.mend('open', 'c'), /a subscription of this pool \(a, b\), got 'c'/);
});

test('a success ends what closed it only if it was admitted after', async () => {
    const before = await pool.admit(onlyA);
    await run(limitedFor(60000), onlyA);
    await pool.settle(before, { health: 'good' });
    assert.equal((await pool.admit(onlyA)).reason, 'cooling', 'it says nothing of now');
    await pool.mend('open', 'a');
    await run({ health: 'good' }, onlyA);
    assert.equal((await pool.admit(onlyA)).granted, true);
});

test('a new credential under the same name begins without a block', async () => {
    const labels = 'messages model:opus';
    for (let i = 0; i < 5; i += 1) await fail(onlyA);
    await run(limitedFor(60000, { scope: 'model:opus' }), { ...onlyA, excluded: '', labels });
    await pool.mend('cool', 'a', 60000, 'r');
    await pool.mend('cool', 'b', 60000, 'r');
    await pool.declare({ a: { max: 9, account: 'new' }, b: { max: 3 } }, { editedMs: 2000 });
    const granted = await pool.admit({ labels });
    assert.deepEqual([granted.granted, granted.sub], [true, 'new']);
    const { a } = (await pool.snapshot()).subs;
    assert.deepEqual([a.account, a.in_cooldown, a.health], ['new', '0', '']);
});

test('what is held against one survives a rename and a restart of what remembers', async () => {
    for (let i = 0; i < 5; i += 1) await fail(onlyA);
    await pool.loadLibraries();
    assert.equal((await pool.admit(onlyA)).reason, 'broken');
    await pool.declare({ c: { max: 9, account: 'a' }, b: { max: 3 } }, { editedMs: 2000 });
    assert.equal((await pool.admit(onlyA)).reason, 'broken');
});
