'use strict';
// What a person mends by hand, while a pool is at work.
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.wipe();
    await pool.declare({ a: { max: 2 }, b: { max: 1 } });
});
after(() => server.stop());

test('a cooldown is set and ended by a person, and written down', async () => {
    await pool.mend('cool', 'a', 60000, 'maintenance\nat the provider');
    const { a } = (await pool.snapshot()).subs;
    assert.deepEqual([a.in_cooldown, a.cooldown_reason], ['1', 'maintenance at the provider']);
    assert.equal((await pool.admit()).sub, 'b');
    const [word, left] = await pool.mend('open', 'a');
    assert.equal(word, 'ok');
    assert.ok(Number(left) > 50000);
    assert.equal((await pool.admit()).sub, 'a');
    const events = (await pool.events()).map((event) => event.event);
    assert.ok(events.includes('cooldown') && events.includes('opened by hand'));
});

test('a paused subscription takes nothing, whatever is declared, until it is enabled', async () => {
    await pool.mend('enable', 'a', 'off');
    await pool.declare({ a: { max: 2 }, b: { max: 1 } }, { editedMs: 9000 });
    assert.equal((await pool.admit()).sub, 'b');
    assert.equal((await pool.admit()).reason, 'full');
    assert.equal((await pool.snapshot()).subs.a.state, 'paused');
    await pool.mend('enable', 'a', 'on');
    assert.equal((await pool.admit()).sub, 'a');
    assert.equal((await pool.events('paused by hand')).length, 1);
});

test('a slot is freed by a person, and a late settlement still books', async () => {
    const grant = await pool.admit();
    assert.deepEqual(await pool.mend('free', grant.id), ['ok', '1']);
    assert.deepEqual(await pool.mend('free', grant.id), ['ok', '0']);
    assert.equal(await pool.active('a'), 0);
    assert.equal(await pool.settle(grant, { input: 5 }), 'late');
    assert.equal((await pool.snapshot()).total.input, '5');
    assert.equal((await pool.events('freed by hand'))[0].lease, grant.id);
});

test('ending cooldowns by hand under load grants nothing above the cap', async () => {
    const held = { a: 0, b: 0 };
    const caps = { a: 2, b: 1 };
    const play = async () => {
        for (let i = 0; i < 100; i += 1) {
            const grant = await pool.admit();
            if (!grant.granted) continue;
            held[grant.sub] += 1;
            assert.ok(held[grant.sub] <= caps[grant.sub], 'over the cap');
            const cooldownMs = i % 3 === 0 ? 60000 : 0;
            held[grant.sub] -= 1;
            await pool.settle(grant, { cooldownMs });
        }
    };
    const mend = async () => {
        for (let i = 0; i < 200; i += 1) {
            await pool.mend('open', 'a');
            await pool.mend('open', 'b');
        }
    };
    await Promise.all([play(), play(), play(), play(), mend()]);
    assert.deepEqual([await pool.active('a'), await pool.active('b')], [0, 0]);
});

test('a wrong argument is refused by name', async () => {
    await assert.rejects(pool.mend('open', 'nobody'), /ERR weir: name: expected a subscription/);
    await assert.rejects(pool.mend('enable', 'a', 'maybe'), /ERR weir: is_on: expected one of off, on/);
    await assert.rejects(pool.mend('cool', 'a', 0, ''), /ERR weir: cooldown_ms: expected/);
    await assert.rejects(pool.mend('free', 'x'), /ERR weir: lease: expected/);
});
