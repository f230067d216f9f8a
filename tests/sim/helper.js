'use strict';
// What the tests of the simulation share: scripts/sim, and a folder that goes with the test file.

const { execFile } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { promisify } = require('node:util');

const ROOT = path.join(__dirname, '..', '..');
const SIM = path.join(ROOT, 'scripts', 'sim');

const run = promisify(execFile);

// { code, stdout } of scripts/sim with these arguments.
async function sim(...args) {
    try {
        const { stdout } = await run(SIM, args, { maxBuffer: 64 * 1024 * 1024 });
        return { code: 0, stdout };
    } catch (error) {
        if (typeof error.code !== 'number') throw error;
        return { code: error.code, stdout: error.stdout };
    }
}

const newFolder = () => fs.mkdtempSync(path.join(os.tmpdir(), 'weir-sim-'));

module.exports = { newFolder, ROOT, run, sim };
