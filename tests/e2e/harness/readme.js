// readme.js - what a reader of the documentation would type, word for word.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PATHS } from './paths.js';

const DOCUMENTED = '127.0.0.1:8080';

function read(file) {
    return readFileSync(join(PATHS.root, file), 'utf8');
}

/** Another node than the documented one: only where it listens is exchanged, and it must be there. */
function elsewhere(text, port) {
    if (!text.includes(DOCUMENTED)) throw new Error(`no ${DOCUMENTED} in: ${text}`);
    return text.replaceAll(DOCUMENTED, `127.0.0.1:${port}`);
}

/** The code in the row of README's table of clients that begins with `name`. */
export function recipe(name, port) {
    const row = read('README.md')
        .split('\n')
        .find((line) => line.startsWith(`| ${name} |`));
    if (!row) throw new Error(`README.md has no row "${name}"`);
    return elsewhere(/\| `([^`]+)` \|$/.exec(row)[1], port);
}

/** What README says to type that begins with these words, on one line. */
export function typed(words) {
    const [found] = new RegExp(`${words}[^\`#\n]*`).exec(read('README.md'));
    return found.trim();
}

/** The JSON of the block of code that follows `words` in a file of the documentation. */
export function example(file, words) {
    const at = read(file).indexOf(words);
    if (at < 0) throw new Error(`${file} does not say "${words}"`);
    return JSON.parse(/^```json\n([^]*?)^```$/m.exec(read(file).slice(at))[1]);
}

/** The block of code that follows `words` in a file of the documentation. */
export function block(file, words, port) {
    const at = read(file).indexOf(words);
    if (at < 0) throw new Error(`${file} does not say "${words}"`);
    const found = /^```\w*\n([^]*?)^```$/m.exec(read(file).slice(at));
    return elsewhere(found[1], port);
}
