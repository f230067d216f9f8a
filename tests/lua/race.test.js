'use strict';
// 64 callers, each on its own connection, all at once. What they see is held against two models
// that know nothing of the functions: what the callers themselves hold, and the lease records in
// Redis.
const assert = require('node:assert/strict');
const { after, before, beforeEach, test } = require('node:test');
const { pairs, readLibraries, startPool } = require('./helper');

const CALLERS = 64;
const SUBS = {
    a: { max: 5 },
    b: { max: 3, priority: 2 },
    c: { max: 1 },
    d: { max: 7, burst: 100000 },
};
const CAPACITY = 16;

let server, pool, callers;
before(async () => {
    ({ server, pool } = await startPool());
    callers = [];
    for (let i = 0; i < CALLERS; i += 1) {
        const boot = `${i}`.padStart(8, '0');
        callers.push(pool.as({ client: await server.connect(), node: `n${i % 4}`, boot }));
    }
});
beforeEach(async () => {
    await pool.wipe();
    await pool.declare(SUBS);
    for (const caller of callers) await caller.declare(SUBS);
    await pool.sweptRecently();
});
after(() => server.stop());

// What the callers hold: a slot counts from its grant's arrival until its settlement is sent, so
// this never exceeds the truth, and the truth may never exceed max.
class Held {
    constructor() {
        this.counts = Object.fromEntries(Object.keys(SUBS).map((name) => [name, 0]));
    }

    take(grant) {
        this.counts[grant.sub] += 1;
        assert.ok(this.counts[grant.sub] <= SUBS[grant.sub].max, `${grant.sub} over its cap`);
        assert.ok(grant.active >= 1 && grant.active <= SUBS[grant.sub].max);
    }

    give(grant) {
        this.counts[grant.sub] -= 1;
    }
}

// The books of Redis at one instant: slots in use are the leases that are recorded, one by one.
async function checkLeases(client) {
    const look = client.multi().addCommand(['HGETALL', pool.key('slots')]);
    for (const holder of new Set(callers.map((caller) => caller.holder))) {
        look.addCommand(['HVALS', pool.key('held', holder)]);
    }
    const [slots, ...held] = await look.exec();
    const counted = {};
    for (const record of held.flat().filter((value) => value.startsWith('account='))) {
        const [, name] = record.match(/^account=(\S+)/);
        counted[name] = (counted[name] || 0) + 1;
    }
    const lines = Object.entries(pairs(slots)).filter(([name]) => name !== '@');
    for (const [name, line] of lines) {
        const active = Number(line.match(/active=(\d+)/)[1]);
        assert.equal(active, counted[name] || 0, `${name}: active is the number of its leases`);
        assert.ok(active <= SUBS[name].max, `${name} over its cap`);
    }
}

async function watchWhile(playing) {
    const client = await server.connect();
    let isPlaying = true,
        looks = 0;
    const done = playing.finally(() => {
        isPlaying = false;
    });
    try {
        while (isPlaying) {
            await checkLeases(client);
            looks += 1;
        }
    } finally {
        await done;
    }
    assert.ok(looks > 10);
}

test('of 64 callers at once exactly as many are admitted as there are slots', async () => {
    for (let round = 0; round < 20; round += 1) {
        const replies = await Promise.all(callers.map((caller) => caller.admit()));
        const grants = replies.filter((reply) => reply.granted);
        assert.equal(grants.length, CAPACITY);
        assert.ok(replies.every((reply) => reply.granted || reply.reason === 'full'));
        await checkLeases(pool.client);
        await Promise.all(grants.map((grant) => pool.settle(grant)));
    }
});

// 64 callers take and give, repeat themselves and sweep.
async function race() {
    const held = new Held();
    const used = { requests: 0, errors: 0, input: 0 };
    const play = async (caller, number) => {
        for (let round = 0; round < 60; round += 1) {
            const grant = await caller.admit({ client: `bot-${number % 9}` });
            if (!grant.granted) {
                assert.equal(grant.reason, 'full');
                continue;
            }
            held.take(grant);
            if (round % 3 === 0) {
                const [again] = await Promise.all([
                    caller.admit({ id: grant.id }),
                    caller.renew([grant]),
                ]);
                assert.deepEqual([again.granted, again.sub], [true, grant.sub]);
            }
            const outcome = round % 5 === 0 ? 'error' : 'ok';
            held.give(grant);
            const replies = await Promise.all([
                caller.settle(grant, { outcome, input: number }),
                round % 4 === 0 ? caller.settle(grant, { outcome, input: number }) : 'duplicate',
            ]);
            assert.deepEqual(replies, ['settled', 'duplicate']);
            used.requests += 1;
            used.errors += outcome === 'error' ? 1 : 0;
            used.input += number;
            if (round % 10 === 0) {
                await caller.sweep();
            }
        }
    };
    await watchWhile(Promise.all(callers.map(play)));
    assert.ok(used.requests > 500, `${used.requests}`);
    const { total, pool: end, subs } = await pool.snapshot();
    assert.deepEqual([end.active, end.leases, end.available], ['0', '0', `${CAPACITY}`]);
    assert.deepEqual(
        [total.requests, total.errors, total.input],
        [used.requests, used.errors, used.input].map(String),
    );
    const bySub = Object.values(subs).reduce((sum, s) => sum + Number(s.total_requests), 0);
    assert.equal(bySub, used.requests);
    await pool.sweep();
    const day = await pool.lines(pool.key('day', end.day));
    const byClient = Object.entries(day)
        .filter(([field]) => field.startsWith('client:'))
        .reduce((sum, [, line]) => sum + Number(line.requests), 0);
    assert.equal(byClient, used.requests);
}

test('64 racing callers never hold more than the cap, and every use is booked once', race);

test('the same holds while two versions of the library work side by side', async () => {
    const { functions, version } = readLibraries();
    await pool.redis('FUNCTION', 'LOAD', functions.replaceAll(version, '0ddba110'));
    for (const [i, caller] of callers.entries()) if (i % 2) caller.version = '0ddba110';
    try {
        await race();
    } finally {
        for (const caller of callers) caller.version = version;
    }
});

test('64 callers that ask for the same few ids get one slot an id', async () => {
    for (let round = 0; round < 20; round += 1) {
        const ids = [pool.id(), pool.id(), pool.id()];
        const grants = await Promise.all(callers.map((c, i) => c.admit({ id: ids[i % 3] })));
        for (const [i, grant] of grants.entries()) {
            assert.equal(grant.sub, grants[i % 3].sub);
        }
        assert.equal((await pool.snapshot()).pool.active, '3');
        const settled = await Promise.all(callers.map((c, i) => c.settle(grants[i], { input: 1 })));
        assert.equal(settled.filter((s) => s === 'settled').length, 3);
        await checkLeases(pool.client);
    }
    assert.equal((await pool.snapshot()).total.input, '60');
});

test('callers that die, stall and come back never make a slot two', async () => {
    const outcomes = { settled: 0, late: 0, duplicate: 0 };
    const play = async (caller, number) => {
        for (let round = 0; round < 40; round += 1) {
            const isSlow = (round + number) % 3 === 0;
            const grant = await caller.admit({ leaseMs: 15000 });
            if (!grant.granted) {
                await caller.sweep({ leaseMs: 50 });
                continue;
            }
            if (isSlow) {
                // stalls past its lease; then half of them ask to go on
                await caller.lapse();
                await caller.sweep({ leaseMs: 50 });
                if (number % 2) {
                    const lost = await caller.renew([grant]);
                    assert.ok(lost.length === 0 || lost[0] === grant.id);
                }
            }
            outcomes[await caller.settle(grant, { input: 1 })] += 1;
        }
    };
    await watchWhile(Promise.all(callers.map(play)));
    assert.equal(outcomes.duplicate, 0);
    assert.ok(outcomes.settled > 50 && outcomes.late > 5, JSON.stringify(outcomes));
    const { total, pool: end } = await pool.snapshot();
    assert.equal(Number(total.input), outcomes.settled + outcomes.late);
    assert.deepEqual([end.active, end.leases], ['0', '0']);
});

test('64 racing callers never exceed a burst limit', async () => {
    const subs = { a: { max: 1000, burst: 20 }, b: { max: 900, burst: 5 } };
    for (const caller of [pool, ...callers]) await caller.declare(subs);
    const counts = { a: 0, b: 0, refused: 0 };
    const play = async (caller) => {
        for (let round = 0; round < 10; round += 1) {
            const grant = await caller.admit();
            counts[grant.granted ? grant.sub : 'refused'] += 1;
        }
    };
    const start = await pool.now();
    await Promise.all(callers.map(play));
    const windows = Math.floor(((await pool.now()) - start) / 1000) + 1;
    assert.ok(counts.a <= 20 * windows && counts.b <= 5 * windows, JSON.stringify(counts));
    assert.ok(counts.a >= 20 && counts.b >= 5, JSON.stringify(counts));
});
