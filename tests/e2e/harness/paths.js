// paths.js - which programs are tested: WEIR_BIN and PROVIDER_BIN, else those of the dev build;
// WEIR_TINY=1 says that they are those of the tiny one (node/base/tiny.h).
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

export const PATHS = {
    root,
    weir: resolve(process.env.WEIR_BIN ?? `${root}/build/dev/weir`),
    provider: resolve(process.env.PROVIDER_BIN ?? `${root}/build/dev/weir-provider`),
    supervisor: resolve(process.env.SUPERVISOR_BIN ?? `${root}/build/dev/weir-supervisor`),
};

const TINY_PARTS = process.env.WEIR_TINY === '1' ? 64 : 1;

/**
 * So many bytes of a large body; a small part of it where the node takes a few bytes at a time and
 * a small body is long enough.
 */
export const size = (bytes) => Math.ceil(bytes / TINY_PARTS);

let sanitized;

/** Whether the node was built with AddressSanitizer, which needs more memory. */
export function isSanitized() {
    sanitized ??= readFileSync(PATHS.weir).includes('__asan_init');
    return sanitized;
}
