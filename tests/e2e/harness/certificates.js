// certificates.js - a certificate authority for a test, and certificates signed by it.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './child.js';

async function openssl(dir, ...args) {
    const result = await run('openssl', args, { cwd: dir, env: { PATH: process.env.PATH } });
    if (result.code !== 0) throw new Error(`openssl ${args[0]}: ${result.err}`);
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A new authority in `dir`: {file, issue}. */
export async function authority(dir, name) {
    const file = join(dir, `${name}.pem`);
    const key = join(dir, `${name}.key`);
    await openssl(
        dir,
        'req',
        '-x509',
        ...NEW_KEY,
        '-keyout',
        key,
        '-out',
        file,
        '-days',
        '2',
        '-subj',
        `/CN=${name}`,
        '-addext',
        'keyUsage=critical,keyCertSign,cRLSign',
    );
    return { file, issue: (leaf, names) => issue(dir, { name, file, key }, leaf, names) };
}

/** A certificate for `names` such as ['DNS:localhost', 'IP:127.0.0.1']: {cert, key} file names. */
async function issue(dir, ca, leaf, names) {
    const path = (suffix) => join(dir, `${ca.name}-${leaf}.${suffix}`);
    await writeFile(path('ext'), `subjectAltName=${names.join(',')}\nbasicConstraints=CA:FALSE\n`);
    await openssl(
        dir,
        'req',
        '-new',
        ...NEW_KEY,
        '-keyout',
        path('key'),
        '-out',
        path('csr'),
        '-subj',
        `/CN=${leaf}`,
    );
    await openssl(
        dir,
        'x509',
        '-req',
        '-in',
        path('csr'),
        '-CA',
        ca.file,
        '-CAkey',
        ca.key,
        '-CAcreateserial',
        '-out',
        path('crt'),
        '-days',
        '2',
        '-extfile',
        path('ext'),
    );
    return { cert: path('crt'), key: path('key') };
}
