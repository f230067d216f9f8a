// A short soak: what must be left at its end is nothing, and both ledgers agree. And that a soak
// would see it if they did not.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { PATHS } from '../e2e/harness/paths.js';
import { Attempts, NOTHING } from './attempts.js';
import { compare } from './ledger.js';
import { draw } from './picture.js';

const SCRIPT = resolve(dirname(fileURLToPath(import.meta.url)), '../../scripts/soak');

/** {code, text} of scripts/soak with these arguments, on the programs under test. */
function soak(...args) {
    const env = { ...process.env, WEIR_BIN: PATHS.weir, PROVIDER_BIN: PATHS.provider };
    return new Promise((done) => {
        const options = { env, maxBuffer: 1 << 24, timeout: 200000 };
        execFile(SCRIPT, args, options, (error, out, err) => {
            done({ code: error?.code ?? (error ? -1 : 0), text: out + err });
        });
    });
}

test('after load and trouble no lease is left, and both ledgers agree', async (t) => {
    const out = await mkdtemp(join(tmpdir(), 'weir-soak-'));
    t.after(() => rm(out, { recursive: true, force: true }));
    const seed = 1 + Math.floor(Math.random() * 1e6); // every run sees another; the text has it
    const { code, text } = await soak('--seconds', '25', '--seed', `${seed}`, '--out', out);
    t.diagnostic(text);
    assert.equal(code, 0, text);
    const { end, ledger, totals, trouble } = JSON.parse(await readFile(join(out, 'soak.json')));
    assert.equal(end.leases, 0);
    assert.equal(end.slots, 0);
    assert.ok(end.highest <= end.allowed, `${end.highest} at once`);
    assert.equal(ledger.unexplained, 0);
    assert.equal(ledger.booked - ledger.journal, ledger.unseen + ledger.late - ledger.lost - ledger.again);
    assert.ok(totals.whole > 50, JSON.stringify(totals));
    for (const kind of ['reload', 'redis-pause', 'redis-restart', 'roll', 'kill'])
        assert.ok(trouble[kind] >= 1, `${kind}: ${JSON.stringify(trouble)}`);
    const [head, ...rows] = (await readFile(join(out, 'soak.csv'), 'utf8')).trimEnd().split('\n');
    const names = head.split(',');
    for (const name of ['n1_rss_kib', 'n1_descriptors', 'leases', 'slots', 'drift', 'events'])
        assert.ok(names.includes(name), head);
    assert.ok(rows.length >= 25, `${rows.length} rows`);
    for (const row of rows) assert.equal(row.split(',').length, names.length, row);
    const picture = await readFile(join(out, 'soak.svg'), 'utf8');
    assert.match(picture, /^<svg [^]*<polyline class="a" points="[\d., ]{100,}"[^]*<\/svg>\n$/);
});

test('wrong options are refused, with words', async () => {
    for (const args of [['--minutes', 'x'], ['--nodes', '9'], ['--what'], ['--seed', '0']]) {
        const { code, text } = await soak(...args);
        assert.equal(code, 2, text);
        assert.match(text, /scripts\/soak --help/);
    }
});

const LINE = {
    isKilled: false,
    left: 0,
    journal: 10,
    booked: 10,
    sweptLeases: 0,
    log: { ...NOTHING, granted: 10 },
};
const compared = (changes) => compare({ ...LINE, ...changes });

test('a booking too few, too many, or for nobody is seen', () => {
    assert.equal(compared({}).unexplained, 0);
    assert.equal(compared({ booked: 9 }).unexplained, 1);
    assert.equal(compared({ booked: 12 }).unexplained, 2);
    assert.equal(compared({ journal: 11 }).unexplained, 1);
    assert.equal(compared({ sweptLeases: 1 }).unexplained, 1);
    const log = { ...NOTHING, granted: 10, asking: 1 };
    assert.equal(compared({ booked: 11, log }).unexplained, 0);
    assert.equal(compared({ booked: 12, log }).unexplained, 1);
    const unheard = { ...NOTHING, granted: 12, unheard: 2 };
    assert.equal(compared({ booked: 12, log: unheard }).unexplained, 0);
    assert.equal(compared({ booked: 12, journal: 9, log: unheard }).unexplained, 1);
});

test('what was asked again is known to the log: in place exactly, over a new connection at most', () => {
    const inPlace = { ...NOTHING, granted: 10, inPlace: 2 };
    assert.equal(compared({ journal: 12, log: inPlace }).unexplained, 0);
    assert.equal(compared({ journal: 13, log: inPlace }).unexplained, 1);
    assert.equal(compared({ journal: 11, log: inPlace }).unexplained, 1);
    const sentAgain = { ...NOTHING, granted: 10, sentAgain: 2 };
    for (const journal of [10, 11, 12])
        assert.equal(compared({ journal, log: sentAgain }).unexplained, 0);
    assert.equal(compared({ journal: 13, log: sentAgain }).unexplained, 1);
});

test('a node that was killed explains no more than the leases it held', () => {
    const killed = { isKilled: true, sweptLeases: 2 };
    assert.equal(compared({ ...killed, booked: 8 }).unexplained, 0);
    assert.equal(compared({ ...killed, booked: 8 }).lost, 2);
    assert.equal(compared({ ...killed, booked: 3 }).unexplained, 1);
    assert.equal(compared({ ...killed, booked: 11 }).unexplained, 1);
    assert.equal(compared({ ...killed, booked: 11, left: 1 }).unexplained, 0);
});

test("a node's log says which of its attempts the provider may not have seen", () => {
    const attempts = new Attempts();
    const log = (fields) => attempts.read(JSON.stringify(fields));
    const finished = (id, more) => log({ event: 'exchange finished', id, model: 'm', ...more });
    finished('a', { attempts: 1, status: 200, end: 'ok' });
    finished('b', { attempts: 0, status: 0, end: 'client_gone' });
    finished('c', { attempts: 1, status: 0, end: 'client_gone' });
    log({ event: 'attempt failed', id: 'd' });
    log({ event: 'failover', id: 'd' });
    finished('d', { attempts: 1, status: 0, end: 'client_gone' });
    finished('e', { attempts: 0, status: 503, end: 'refused' });
    attempts.isLeaving = true;
    finished('f', { attempts: 0, status: 503, end: 'refused' });
    assert.deepEqual(attempts.of('m'), { ...NOTHING, granted: 3, asking: 3, unheard: 2 });
    finished('g', { attempts: 4, tries_in_place: 2, sent_again: 1, status: 200, end: 'ok' });
    assert.deepEqual(attempts.of('m'), {
        granted: 5,
        inPlace: 2,
        sentAgain: 1,
        asking: 3,
        unheard: 2,
    });
});

test('a picture has a line for what is there, and a gap for what is not', () => {
    const rows = Array.from({ length: 2000 }, (_, t) => ({
        t_s: t,
        phase: t > 400 && t < 430 ? 'rest' : 'load',
        n1_rss_kib: t === 777 ? 90 * 1024 : 12000,
        n1_descriptors: 30,
        leases: t % 7 === 0 ? '' : 3,
        slots: 3,
        drift: -2,
        done: 30 * t,
        failed: t,
        events: t === 1000 ? 'kill' : '',
    }));
    const text = draw(rows, ['n1']);
    assert.equal(text.match(/<polyline/g).length, 7);
    assert.match(text, />100<\/text>/, 'the highest peak is within the panel');
    assert.equal(text.match(/class="quiet"/g).length, 1);
    assert.doesNotMatch(text, /NaN|undefined|Infinity/);
    assert.ok(text.length < 60000, `${text.length} bytes`);
});
