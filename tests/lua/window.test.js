'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool, nowS;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.wipe();
    await pool.sweptRecently();
    nowS = Math.floor((await pool.now()) / 1000);
});
after(() => server.stop());

const HOUR = 3600;
const DAY = 24 * HOUR;

/** "5h:4200:<in 3 hours>" */
const window = (name, used, inSeconds) =>
    `${name}:${Math.round(used * 10000)}:${inSeconds ? nowS + inSeconds : 0}`;

/** One request that this subscription serves, and what its answer's head says. */
async function tell(sub, windows, used = {}) {
    const names = Object.keys((await pool.snapshot()).subs);
    const grant = await pool.admit({ excluded: names.filter((name) => name !== sub).join(' ') });
    assert.equal(grant.sub, sub, `${sub} takes a request: ${JSON.stringify(grant)}`);
    return pool.settle(grant, { windows, ...used });
}

/** Who would get the next request; it is given back at once. */
async function next(options) {
    const grant = await pool.admit(options);
    if (grant.granted) await pool.settle(grant, { outcome: 'unused' });
    return grant.granted ? grant.sub : grant.reason;
}

const known = async (sub) => (await pool.snapshot()).subs[sub].windows;

test('headroom: a free slot is worth what is left of the scarcest window', async () => {
    await pool.declare({ a: { max: 10 }, b: { max: 5 } });
    assert.equal(await next(), 'a');
    await tell('a', window('5h', 0.7, HOUR)); // 10 x 0.3 = 3
    assert.equal(await next(), 'b'); // 5
    await tell('b', `${window('5h', 0.1, HOUR)} ${window('30m', 0.5, 600)}`); // 5 x 0.5 = 2.5
    assert.equal(await next(), 'a');
});

test('headroom: pacing, 10 % used at 84 h to the reset is worth 4 slots, at most 5, at least -5', async () => {
    const cases = [
        [0.1, 84 * HOUR, 4],
        [0.0, 20 * HOUR, 5],
        [0.99, 160 * HOUR, -5],
        [0.49, 11 * HOUR, 4.45 + 2],
        [0.51, 11 * HOUR, 4.25],
    ];
    for (const [used, left, pace] of cases) {
        await pool.wipe();
        await pool.sweptRecently();
        const slots = 20 * (1 - used) + pace;
        // b has one slot less, or one more, than a is worth.
        for (const [max, expected] of [
            [Math.floor(slots - 0.3), 'a'],
            [Math.ceil(slots + 0.3), 'b'],
        ]) {
            if (max < 1) continue;
            await pool.declare({ a: { max: 20 }, b: { max } }, { editedMs: 1000 + max });
            await tell('a', window('7d', used, left));
            assert.equal(await next(), expected, `${used} used, ${left / HOUR} h left, b ${max}`);
        }
    }
});

test('drain-soonest: whose week ends first is used first, as long as it has something left', async () => {
    await pool.declare({ a: {}, b: {}, c: { max: 9 } }, { strategy: 'drain-soonest' });
    assert.equal(await next(), 'c'); // nothing is known: free slots
    await tell('a', window('7d', 0.5, 3 * DAY));
    await tell('b', window('7d', 0.9, 2 * DAY));
    assert.equal(await next(), 'b');
    assert.equal((await pool.admit()).how, 'drain-soonest');
    await tell('b', window('7d', 1.0, 2 * DAY));
    assert.equal(await next(), 'a');
    await tell('b', window('7d', 0.0, 7 * DAY)); // it began anew
    await tell('a', window('7d', 0.6, 3 * DAY));
    assert.equal(await next(), 'a');
});

test('drain-soonest: a model whose family has a week of its own goes by that one', async () => {
    await pool.declare({ a: {}, b: {} }, { strategy: 'drain-soonest' });
    await tell('a', `${window('7d', 0.5, 3 * DAY)} ${window('7d_opus', 0.5, 2 * DAY)}`);
    await tell('b', `${window('7d', 0.5, 2 * DAY)} ${window('7d_opus', 0.5, 3 * DAY)}`);
    assert.equal(await next({ labels: 'messages model:claude-sonnet-5' }), 'b');
    assert.equal(await next({ labels: 'messages model:claude-opus-5' }), 'a');
});

test('beyond a soft ceiling others are preferred, and it serves when there is no other', async () => {
    await pool.declare({ a: { max: 9, limits: '5h:8000:0' }, b: { max: 1 } });
    await tell('a', window('5h', 0.8, HOUR));
    const first = await pool.admit();
    const second = await pool.admit();
    assert.deepEqual([first.sub, second.sub], ['b', 'a']);
    assert.match((await pool.snapshot()).subs.a.health, /near its ceiling/);
});

test('at a hard ceiling nothing is taken until the window begins anew, and the refusal says so', async () => {
    await pool.declare({ a: { limits: '5h:0:9000,7d:0:9500' } });
    await tell('a', window('5h', 0.89, HOUR));
    assert.equal(await next(), 'a');
    await tell('a', `${window('5h', 0.9, HOUR)} ${window('7d', 0.2, 6 * DAY)}`);
    const refused = await pool.admit();
    assert.equal(refused.reason, 'cooling');
    assert.equal(refused.told.ceiling, '1');
    assert.equal(refused.told.ceiling_of, '5h');
    assert.ok(Math.abs(+refused.told.ceiling_ms - HOUR * 1000) < 5000, refused.told.ceiling_ms);
    const { subs } = await pool.snapshot();
    assert.match(subs.a.health, /^5h at its ceiling 3[56]\d\ds$/);
    assert.equal(subs.a.available, '0');
});

test('with two ceilings it is open again when both windows are below', async () => {
    await pool.declare({ a: { limits: '5h:0:9000,7d:0:9500' } });
    await tell('a', `${window('5h', 0.95, HOUR)} ${window('7d', 0.96, 6 * DAY)}`);
    await pool.redis('HDEL', pool.key('windows'), 'a 5h'); // as if it had begun anew
    await pool.sweep();
    const refused = await pool.admit();
    assert.equal(refused.told.ceiling_of, '7d');
    await pool.redis('HDEL', pool.key('windows'), 'a 7d');
    await pool.sweep();
    assert.equal(await next(), 'a');
});

test("a family's ceiling closes it to that family's models alone", async () => {
    await pool.declare({ a: { limits: '7d_opus:0:5000' } });
    await tell('a', `${window('7d', 0.2, DAY)} ${window('7d_opus', 0.5, 2 * DAY)}`);
    assert.equal(await next({ labels: 'messages model:claude-sonnet-5' }), 'a');
    const refused = await pool.admit({ labels: 'messages model:claude-opus-5' });
    assert.equal(refused.told.ceiling_of, '7d_opus');
});

test('a ceiling is lifted by a configuration, at once', async () => {
    await pool.declare({ a: { limits: '5h:0:5000' } });
    await tell('a', window('5h', 0.6, HOUR));
    assert.equal(await next(), 'cooling');
    await pool.declare({ a: { limits: '5h:0:9000' } }, { editedMs: 2000 });
    assert.equal(await next(), 'a');
});

test('what an answer said earlier never replaces what a later one said', async () => {
    await pool.declare({ a: {} });
    await tell('a', window('5h', 0.5, HOUR));
    await tell('a', window('5h', 0.2, HOUR), { windowsAgeMs: 60000 }); // a long stream ends
    assert.match(await known('a'), /^5h:5000:/);
    await tell('a', window('5h', 0.1, HOUR)); // fresh: it was reset early
    assert.match(await known('a'), /^5h:1000:/);
});

test('a window that has begun anew is full again, and its record goes', async () => {
    await pool.declare({ a: {}, b: { max: 4 } });
    await tell('a', window('5h', 0.9, HOUR));
    assert.equal(await next(), 'b');
    const past = (await pool.now()) - 1000;
    await pool.redis('HSET', pool.key('windows'), 'a 5h', `used=9000 reset=${past} seen=${past}`);
    await pool.sweep();
    assert.equal(await next(), 'a');
    assert.equal(await known('a'), '');
    assert.equal(await pool.redis('EXISTS', pool.key('windows')), 0);
});

test('what has no reset is over a length after it was said', async () => {
    await pool.declare({ a: {}, b: { max: 4 } });
    await tell('a', window('1m.requests', 0.9), { windowsAgeMs: 59000 });
    assert.equal(await next(), 'b');
    await pool.redis(
        ...['HSET', pool.key('windows'), 'a 1m.requests'],
        `used=9000 reset=0 seen=${(await pool.now()) - 60000}`,
    );
    await pool.sweep();
    assert.equal(await next(), 'a');
});

test('a reset that is further away than the window is long is none', async () => {
    await pool.declare({ a: { limits: '5h:0:9000' } });
    await tell('a', '5h:9500:99999999999');
    const refused = await pool.admit();
    const hours = +refused.told.ceiling_ms / 1000 / HOUR;
    assert.ok(hours > 4.9 && hours <= 5, `${hours} hours`);
    const far = (await pool.now()) + 365 * DAY * 1000;
    const seen = await pool.now();
    await pool.redis('HSET', pool.key('windows'), 'a 5h', `used=9500 reset=${far} seen=${seen}`);
    await pool.sweep();
    assert.ok(+(await pool.admit()).told.ceiling_ms <= 5 * HOUR * 1000);
});

test('the same once more writes nothing', async () => {
    await pool.declare({ a: {} });
    const told = window('5h', 0.5, HOUR);
    await tell('a', told);
    const record = await pool.redis('HGET', pool.key('windows'), 'a 5h');
    await tell('a', told);
    assert.equal(await pool.redis('HGET', pool.key('windows'), 'a 5h'), record);
});

test('an account has 16 windows at most, and what is no window is skipped', async () => {
    await pool.declare({ a: {} });
    const many = Array.from({ length: 30 }, (_, i) => window(`${i + 1}h`, 0.1, HOUR)).join(' ');
    await tell('a', many.slice(0, 500).replace(/\S*$/, '').trim());
    await tell('a', window('90m', 0.1, HOUR));
    assert.equal(await pool.redis('HLEN', pool.key('windows')), 16);
    await tell('a', `overage:100:0 ${window('1h', 0.3, HOUR)}`);
    assert.match(await known('a'), /(^| )1h:3000:/);
    assert.doesNotMatch(await known('a'), /overage/);
});

test('what a hand has made of a record costs that window at most', async () => {
    await pool.declare({ a: {} });
    await tell('a', window('5h', 0.5, HOUR));
    await pool.redis('HSET', pool.key('windows'), 'a 7d', 'nonsense', 'zz', 'used=5', 'a x', '');
    await pool.sweep();
    assert.match(await known('a'), /^5h:5000:/);
    assert.equal(await next(), 'a');
    await pool.redis('DEL', pool.key('windows'));
    await pool.redis('SET', pool.key('windows'), 'a string');
    await pool.sweep();
    assert.equal(await next(), 'a');
});

test('weir_status shows what is used', async () => {
    await pool.declare({ a: {} });
    await tell('a', `${window('5h', 0.42, HOUR)} ${window('7d', 0.815, DAY)}`);
    const lines = await pool.redis('FCALL_RO', 'weir_status', '1', pool.base);
    assert.ok(lines.some((line) => line.includes('5h 42%, 7d 82%')), lines.join('\n'));
});
