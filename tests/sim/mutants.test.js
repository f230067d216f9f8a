'use strict';
// Faults that the functions might have, each a patch of lua/: the judge must find every one. A judge
// that finds nothing might as well not look.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { after, before, test } = require('node:test');
const { newFolder, ROOT, sim } = require('./helper');

const MUTANTS = path.join(__dirname, 'mutants');
const WORLDS_MAX = 400; // the longest any may live; most are found within twenty

// "Begin at seed 96." in a patch: where one that hides well was found last. After a change of the
// simulation that is a world like any other, and the search takes longer.
function firstSeed(mutant) {
    const text = fs.readFileSync(path.join(MUTANTS, `${mutant}.patch`), 'utf8');
    return (text.match(/^Begin at seed (\d+)\.$/m) ?? [null, '1'])[1];
}

let folder;
before(() => {
    folder = newFolder();
});
after(() => fs.rmSync(folder, { recursive: true }));

// A tree with one fault: lua/ and what joins it, patched.
function treeOf(mutant) {
    const tree = path.join(folder, mutant);
    fs.mkdirSync(path.join(tree, 'scripts'), { recursive: true });
    fs.cpSync(path.join(ROOT, 'lua'), path.join(tree, 'lua'), { recursive: true });
    for (const script of ['embed.cmake', 'calls.cmake']) {
        fs.copyFileSync(path.join(ROOT, 'scripts', script), path.join(tree, 'scripts', script));
    }
    execFileSync('patch', ['-s', '-p1', '-d', tree, '-i', path.join(MUTANTS, `${mutant}.patch`)]);
    return tree;
}

test('the functions as they are break nothing: what is found below are the faults', async () => {
    const { code, stdout } = await sim('--worlds', '10', '--seed', '1');
    assert.equal(code, 0, stdout);
});

for (const file of fs.readdirSync(MUTANTS).sort()) {
    const mutant = path.basename(file, '.patch');
    test(`a mutant is found: ${mutant.replaceAll('-', ' ')}`, async (t) => {
        const options = ['--worlds', `${WORLDS_MAX}`, '--seed', firstSeed(mutant)];
        const { code, stdout } = await sim('--lua', treeOf(mutant), ...options);
        assert.equal(code, 1, stdout);
        const [verdict] = stdout.split('\n');
        assert.match(verdict, /^seed \d+ breaks '/, 'not by a fault of the simulation');
        t.diagnostic(verdict);
    });
}
