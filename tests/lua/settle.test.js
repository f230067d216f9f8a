'use strict';
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { startPool } = require('./helper');

let server, pool;
before(async () => ({ server, pool } = await startPool()));
beforeEach(async () => {
    await pool.wipe();
    await pool.declare({ a: { max: 3 } });
    await pool.sweptRecently();
});
after(() => server.stop());

const USED = {
    input: 10,
    output: 20,
    cacheRead: 30,
    cacheWrite5m: 40,
    cacheWrite1h: 50,
    durationMs: 60,
    outputEstimated: 0,
};
const BOOKED = {
    requests: '1',
    errors: '0',
    cancelled: '0',
    input: '10',
    output: '20',
    cache_read: '30',
    cache_write_5m: '40',
    cache_write_1h: '50',
    duration_ms: '60',
};

const SHOWN = { ...BOOKED, output_estimated: '0' };

const today = async () => pool.key('day', (await pool.snapshot()).pool.day);

// Books have lines for names, and plain numbers for how many there are.
async function readBook(key) {
    const lines = await pool.lines(key);
    return Object.fromEntries(
        Object.entries(lines).filter(([field]) => !field.startsWith('count:')),
    );
}

test('settle frees the slot and leaves nothing of the lease', async () => {
    const grant = await pool.admit();
    assert.equal(await pool.settle(grant), 'settled');
    assert.equal(await pool.active('a'), 0);
    assert.deepEqual(await pool.leases(), []);
    assert.equal(await pool.redis('EXISTS', pool.key('lease')), 0);
});

test('a settlement sent twice books once and frees one slot', async () => {
    const [one] = [await pool.admit(), await pool.admit()];
    assert.equal(await pool.settle(one, USED), 'settled');
    const before = await pool.dump();
    assert.equal(await pool.settle(one, { ...USED, cooldownMs: 5000 }), 'duplicate');
    assert.equal(await pool.dump(), before);
    assert.equal(await pool.active('a'), 1);
    const { total } = await pool.snapshot();
    assert.deepEqual({ ...total }, SHOWN);
});

test('an id that was never admitted books nothing', async () => {
    const before = await pool.dump();
    assert.equal(await pool.settle({ id: 'n1.0000000a.0-999999', sub: 'a' }, USED), 'duplicate');
    assert.equal(await pool.dump(), before);
});

test('a settlement is booked by subscription, client, model; for day, minute, total', async () => {
    await pool.settle(await pool.admit({ client: 'bot-1', model: 'opus' }), USED);
    await pool.settle(await pool.admit({ client: 'bot-2', model: 'opus' }), {
        ...USED,
        outcome: 'error',
    });
    await pool.settle(await pool.admit({ client: 'bot-1', model: 'haiku' }), {
        ...USED,
        outcome: 'cancelled',
    });
    await pool.sweep();
    for (const key of [await today(), pool.key('totals')]) {
        const lines = await readBook(key);
        assert.deepEqual(Object.keys(lines).sort(), [
            'all',
            'client:bot-1',
            'client:bot-2',
            'model:haiku',
            'model:opus',
            'sub:a',
        ]);
        const counts = (field) => [
            lines[field].requests,
            lines[field].errors,
            lines[field].cancelled,
            lines[field].input,
        ];
        assert.deepEqual(counts('all'), ['3', '1', '1', '30']);
        assert.deepEqual(counts('sub:a'), ['3', '1', '1', '30']);
        assert.deepEqual(counts('client:bot-1'), ['2', '0', '1', '20']);
        assert.deepEqual(counts('client:bot-2'), ['1', '1', '0', '10']);
        assert.deepEqual(counts('model:opus'), ['2', '1', '0', '20']);
        assert.deepEqual(lines['client:bot-2'], { ...BOOKED, errors: '1' });
    }
    const [minute] = await pool.redis('KEYS', `${pool.key('minute')}:*`);
    assert.equal((await readBook(minute))['sub:a'].requests, '3');
});

test('what was used shows at once, and the same after the open book was posted', async () => {
    await pool.settle(await pool.admit(), USED);
    const before = await pool.snapshot();
    assert.deepEqual({ ...before.total }, SHOWN);
    assert.equal(before.subs.a.total_cache_read, '30');
    await pool.sweep();
    await pool.sweep();
    const after = await pool.snapshot();
    assert.deepEqual(after.total, before.total);
    assert.deepEqual(after.today, before.today);
    assert.equal(after.subs.a.day_requests, '1');
    await pool.settle(await pool.admit(), USED);
    assert.equal((await pool.snapshot()).total.input, '20');
});

test('output that nobody told is booked with the rest, and apart as an estimate', async () => {
    await pool.settle(await pool.admit(), { ...USED, outputEstimated: 20 });
    await pool.settle(await pool.admit(), USED);
    await pool.sweep();
    await pool.settle(await pool.admit(), { ...USED, outputEstimated: 3 });
    const { total, subs } = await pool.snapshot();
    assert.equal(total.output, '60');
    assert.equal(total.output_estimated, '23');
    assert.equal(subs.a.day_output_estimated, '23');
    await pool.sweep();
    const line = (await readBook(pool.key('totals')))['sub:a'];
    assert.deepEqual([line.output, line.output_estimated], ['60', '23']);
});

test('days are kept 35 days, minutes 48 hours', async () => {
    await pool.settle(await pool.admit(), USED);
    await pool.sweep();
    const ttl = async (key) => pool.redis('TTL', key);
    const day = await ttl(await today());
    assert.ok(day > 35 * 86400 - 60 && day <= 35 * 86400, `${day}`);
    const [key] = await pool.redis('KEYS', `${pool.key('minute')}:*`);
    const minute = await ttl(key);
    assert.ok(minute > 48 * 3600 - 60 && minute <= 48 * 3600, `${minute}`);
});

test('what was open over midnight is booked to the day it was used on', async () => {
    await pool.settle(await pool.admit(), USED);
    const since = Date.UTC(2024, 1, 29, 23, 59, 59);
    await pool.redis('HSET', pool.key('open'), 'since_ms', `${since}`);
    await pool.sweep();
    assert.equal((await readBook(pool.key('day', '2024-02-29'))).all.requests, '1');
    assert.equal(
        (await readBook(pool.key('minute', `${Math.floor(since / 60000)}`)))['sub:a'].requests,
        '1',
    );
});

test('dates are right over leap years, century years and year ends', async () => {
    const days = [
        '1970-01-02',
        '1999-12-31',
        '2000-02-29',
        '2000-03-01',
        '2023-02-28',
        '2023-03-01',
        '2024-12-31',
        '2026-11-21',
    ];
    for (const day of days) {
        await pool.settle(await pool.admit(), USED);
        await pool.redis('HSET', pool.key('open'), 'since_ms', `${Date.parse(day)}`);
        await pool.sweep();
        assert.equal((await readBook(pool.key('day', day))).all?.requests, '1', day);
    }
});

test('a cooldown only ever extends', async () => {
    const grants = [await pool.admit(), await pool.admit(), await pool.admit()];
    const until = async () => Number((await pool.lines(pool.key('slots'))).a.cooling);
    await pool.settle(grants[0], {
        status: 429,
        outcome: 'error',
        cooldownMs: 60000,
        reason: 'retry-after',
    });
    const first = await until();
    await pool.settle(grants[1], {
        status: 429,
        outcome: 'error',
        cooldownMs: 1000,
        reason: 'shorter',
    });
    assert.equal(await until(), first);
    await pool.settle(grants[2], {
        status: 429,
        outcome: 'error',
        cooldownMs: 90000,
        reason: 'longer',
    });
    assert.ok((await until()) >= first + 30000);
    const { a } = (await pool.snapshot()).subs;
    assert.deepEqual([a.in_cooldown, a.cooldown_reason], ['1', 'longer']);
    assert.ok(a.cooldown_remaining_ms > 85000 && a.cooldown_remaining_ms <= 90000);
});

test('every cooldown leaves an event: who, why, until', async () => {
    const grant = await pool.admit();
    await pool.settle(grant, {
        status: 429,
        outcome: 'error',
        cooldownMs: 60000,
        reason: 'five hours\nspent',
    });
    const [event] = await pool.events('cooldown');
    const until = (await pool.lines(pool.key('slots'))).a.cooling;
    assert.deepEqual(
        { ...event },
        {
            event: 'cooldown',
            subscription: 'a',
            reason: 'five hours spent',
            status: '429',
            until_ms: until,
            lease: grant.id,
        },
    );
});

test('a cooldown of an ended lease counts too', async () => {
    const grant = await pool.admit({ leaseMs: 50 });
    await pool.expired();
    await pool.sweep({ leaseMs: 50 });
    assert.equal(
        await pool.settle(grant, { status: 429, outcome: 'error', cooldownMs: 60000 }),
        'late',
    );
    assert.equal((await pool.snapshot()).subs.a.in_cooldown, '1');
    assert.equal(await pool.active('a'), 0);
});

test('a late settlement books once and frees nothing', async () => {
    const grant = await pool.admit({ leaseMs: 50 });
    await pool.expired();
    assert.equal((await pool.sweep({ leaseMs: 50 })).expired, 1);
    const others = [await pool.admit(), await pool.admit(), await pool.admit()];
    assert.equal(await pool.settle(grant, USED), 'late');
    assert.equal(await pool.settle(grant, USED), 'duplicate');
    assert.equal(await pool.active('a'), others.length);
    assert.deepEqual({ ...(await pool.snapshot()).total }, SHOWN);
});

test('who uses most keeps its line when names are too many, and nothing is lost', async () => {
    const day = await today();
    await pool.settle(await pool.admit({ client: 'busy', model: 'm1' }), USED);
    await pool.settle(await pool.admit({ client: 'busy', model: 'm1' }), USED);
    await pool.sweep();
    const line = (requests) =>
        `requests=${requests} errors=0 cancelled=0 input=0 output=0 cache_read=0 ` +
        'cache_write_5m=0 cache_write_1h=0 duration_ms=0';
    const junk = Array.from({ length: 999 }, (_, i) => [`client:junk-${i}`, line(1)]).flat();
    await pool.redis('HSET', day, ...junk, 'count:client', '1000');
    for (const client of ['late', 'late', 'busy']) {
        await pool.settle(await pool.admit({ client, model: 'm1' }), USED);
    }
    await pool.sweep();
    const lines = await readBook(day);
    assert.equal(lines['client:busy'].requests, '3');
    assert.equal(lines['client:late'].requests, '2', 'a tenth of the least used made room');
    assert.equal(lines['client:(other)'].requests, '100');
    const clients = Object.entries(lines).filter(([field]) => field.startsWith('client:'));
    assert.ok(clients.length <= 1001);
    const sum = clients.reduce((all, [, booked]) => all + Number(booked.requests), 0);
    assert.equal(sum, 999 + 5);
});

test('the open book has a ceiling too, and is posted in steps', async () => {
    const filler = Array.from({ length: 5000 }, (_, i) => [
        `a c${i} m`,
        'requests=1 errors=0 cancelled=0 ' +
            'input=1 output=0 cache_read=0 cache_write_5m=0 cache_write_1h=0 duration_ms=0',
    ]).flat();
    await pool.redis('HSET', pool.key('open'), ...filler);
    for (const client of ['x', 'y', 'c7']) {
        await pool.settle(await pool.admit({ client, model: 'm' }), USED);
    }
    const lines = await pool.lines(pool.key('open'));
    assert.equal(lines['a (other) (other)'].requests, '2');
    assert.equal(lines['a c7 m'].requests, '2');
    assert.equal(lines['a x m'], undefined);
    let steps = 1;
    for (let beat = await pool.sweep(); beat.more; beat = await pool.beat()) {
        assert.equal((await pool.snapshot()).total.requests, '5003', `after step ${steps}`);
        steps += 1;
    }
    assert.ok(steps >= 25, `${steps} steps`);
    const book = await readBook(await today());
    assert.equal(book.all.requests, '5003');
    assert.ok(Object.keys(book).filter((f) => f.startsWith('client:')).length <= 1001);
    assert.equal((await pool.snapshot()).total.requests, '5003');
});

test('numbers stay exact far beyond 32 bits', async () => {
    for (let i = 0; i < 3; i += 1) {
        await pool.settle(await pool.admit(), { input: 999999999999 });
        await pool.sweep();
    }
    assert.equal((await pool.snapshot()).total.input, '2999999999997');
});

test('absurd numbers are cut, and the settlement is not lost for them', async () => {
    const absurd = '18446744073709551615';
    const grant = await pool.admit();
    assert.equal(await pool.settle(grant, { input: absurd, cooldownMs: absurd }), 'settled');
    const { subs } = await pool.snapshot();
    assert.equal(subs.a.total_input, '1000000000000');
    const days = subs.a.cooldown_remaining_ms / 86400000;
    assert.ok(days > 30.9 && days <= 31, `${days}`);
});

test('a bad argument is refused by name, and the slot stays held', async () => {
    const { id } = await pool.admit();
    const [, seq] = id.match(/-(\d+)$/);
    const zeros = ['0', '0', '0', '0', '0', '0', '0'];
    const head = [pool.holder, seq, 'model', '200', 'ok', 'none', '0', 'given', '', ''];
    const good = [...head, ...zeros, '5h:10:0', '0'];
    const names = [
        'holder',
        'seq',
        'model',
        'status',
        'outcome',
        'health',
        'cooldown_ms',
        'cooldown_kind',
        null,
        null,
        'input',
        'output',
        'cache_read',
        'cache_write_5m',
        'cache_write_1h',
        'duration_ms',
        'output_estimated',
        'windows',
        'windows_age_ms',
    ];
    const before = await pool.dump();
    for (const [index, name] of names.entries()) {
        const bad = [0, 2].includes(index)
            ? ['', 'a b', 'a\0b']
            : name === 'windows'
              ? ['5h:1,7d:1', '5h:1\n', 'x'.repeat(513)]
              : ['', '-1', '1.5', '1e99', 'inf', 'nan', 'a b'];
        for (const value of name ? bad : []) {
            const args = [...good];
            args[index] = value;
            await assert.rejects(
                pool.call('settle', ...args),
                new RegExp(`ERR weir: ${name}: expected`),
                `${name}=${value}`,
            );
        }
    }
    await assert.rejects(
        pool.call('settle', ...good.slice(1)),
        /ERR weir: ARGV: expected 19 arguments/,
    );
    assert.equal(await pool.dump(), before);
});
