// Our HTTP/1 parser against the corpus, and against Node's own strict one: whatever ours accepts,
// Node accepts with the same method, target, headers and body. The other way round is not asked
// for: ours refuses more. Run: node --test tests/http1, with WEIR_HTTP1_DUMP naming the program
// (default: build/dev/http1-dump).
import assert from 'node:assert/strict';
import http from 'node:http';
import { before, test } from 'node:test';
import { corpus } from './corpus.js';
import { mutants } from './mutate.js';
import { readWithNode, readWithOurs } from './readers.js';

const program = process.env.WEIR_HTTP1_DUMP ?? 'build/dev/http1-dump';
const SEED = 20;
const MUTANTS = 8000;
const knownToNode = new Set(http.METHODS); // others it refuses, whatever they look like

let ours;
before(async () => {
    ours = await readWithOurs(program, corpus.map(({ bytes }) => bytes));
});

test('every case of the corpus gets what it must', async (t) => {
    for (const [index, { name, expect }] of corpus.entries()) {
        await t.test(name, () => {
            const { requests, end, status, rest } = ours[index];
            const complete = requests.filter((request) => request.is_complete);
            if (expect === 'accept') {
                assert.ok(complete.length > 0 && end !== 'refused');
                assert.ok(rest === 0 || end === 'close', `${rest} bytes left over`);
            } else {
                assert.deepEqual([complete.length, end, status], [0, 'refused', expect]);
            }
        });
    }
});

test('no case comes twice', () => {
    assert.equal(new Set(corpus.map(({ name }) => name)).size, corpus.length);
    assert.equal(new Set(corpus.map(({ bytes }) => bytes)).size, corpus.length);
});

test('whatever ours accepts of the corpus Node accepts, with the same meaning', async () => {
    compare(corpus.map(({ bytes }) => bytes), ours, await readWithNode(corpus.map(({ bytes }) => bytes)));
});

test(`whatever ours accepts of ${MUTANTS} mutants Node accepts, with the same meaning`, async (t) => {
    const cases = mutants(SEED, MUTANTS);
    const read = await readWithOurs(program, cases);
    const { accepted, refused } = compare(cases, read, await readWithNode(cases));
    t.diagnostic(`${accepted} requests were accepted and compared, ${refused} connections refused`);
    assert.ok(accepted > MUTANTS / 5, 'mutants are so wild that nothing was compared');
    assert.ok(refused > MUTANTS / 5, 'mutants are so tame that nothing was refused');
});

/** Ours must be the beginning of what Node read. */
function compare(cases, ours, node) {
    assert.equal(ours.length, cases.length);
    let accepted = 0;
    for (const [index, { requests }] of ours.entries()) {
        for (const [place, request] of requests.filter((each) => each.is_complete).entries()) {
            if (!knownToNode.has(request.method)) break; // and all behind it
            const other = node[index].requests[place];
            const context = () => `${JSON.stringify(cases[index])}, request ${place}: Node says ` +
                (other ? JSON.stringify(other) : node[index].error);
            assert.ok(other?.isComplete, context());
            assert.equal(other.method, request.method, context());
            assert.equal(reduced(other), request.target, context());
            assert.deepEqual(other.headers, request.headers, context());
            assert.equal(other.body, request.body, context());
            accepted++;
            if (request.headers.some(isUpgrade)) break; // what follows is not HTTP to Node
        }
    }
    return { accepted, refused: ours.filter(({ end }) => end === 'refused').length };
}

const isUpgrade = ([name]) => name.toLowerCase() === 'upgrade';

/** The target without scheme and authority: Node leaves an absolute form as it is. */
function reduced({ method, target }) {
    const rest = target.replace(/^https?:\/\/[^/]*/i, '');
    return rest !== '' ? rest : method === 'OPTIONS' ? '*' : '/';
}
