// paths.js - which programs are tested: WEIR_BIN and PROVIDER_BIN, else those of the dev build.
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');

export const PATHS = {
    root,
    weir: resolve(process.env.WEIR_BIN ?? `${root}/build/dev/weir`),
    provider: resolve(process.env.PROVIDER_BIN ?? `${root}/build/dev/weir-provider`),
};

let sanitized;

/** Whether the node was built with AddressSanitizer, which needs more memory. */
export function isSanitized() {
    sanitized ??= readFileSync(PATHS.weir).includes('__asan_init');
    return sanitized;
}
