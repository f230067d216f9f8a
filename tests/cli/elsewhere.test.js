// On another system than Linux: the build and the scripts say so before anything else, and
// docs/macos.md lists what is in the way.
'use strict';
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '..', '..');
const read = (...names) => fs.readFileSync(path.join(root, ...names), 'utf8');

function folder(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'weir-elsewhere-'));
  t.after(() => fs.rmSync(made, { recursive: true }));
  return made;
}

function fails(program, args, options) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', timeout: 60000, ...options });
  assert.notEqual(status, 0);
  return (stdout + stderr).replace(/\s+/g, ' ');
}

test('CMake says that this is not Linux, before it looks for a compiler or a library', (t) => {
  const env = { ...process.env, CC: '/nonexistent', PKG_CONFIG_PATH: '/nonexistent' };
  const args = ['-DCMAKE_SYSTEM_NAME=Darwin', '-S', root, '-B', folder(t)];
  const words = fails('cmake', args, { env });
  assert.match(words, /Weir is built for Linux, and this is Darwin\. It runs here in a container; docs\/macos\.md says/);
  assert.doesNotMatch(words, /nonexistent|compiler|Could NOT find/);
});

test('the scripts that build say it too, and install and start nothing', (t) => {
  const tools = folder(t);
  const mark = path.join(tools, 'called');
  fs.writeFileSync(path.join(tools, 'uname'), '#!/bin/sh\necho Darwin\n', { mode: 0o755 });
  for (const tool of ['cmake', 'apt-get', 'sudo', 'npm', 'brew'])
    fs.writeFileSync(path.join(tools, tool), `#!/bin/sh\necho ${tool} >>${mark}\nexit 1\n`, { mode: 0o755 });
  const env = { ...process.env, PATH: `${tools}:${process.env.PATH}`, ANTHROPIC_API_KEY: 'k' };
  for (const [script, ...args] of [['build'], ['run'], ['run', '--demo'], ['dependencies'], ['test', 'unit']]) {
    const words = fails(path.join(root, 'scripts', script), args, { env, cwd: tools });
    assert.match(words, /Weir is built for Linux, and this is Darwin\. It runs here in a container: docs\/macos\.md/, script);
  }
  assert.ok(!fs.existsSync(mark), 'something was called');
});

test('docs/macos.md lists what only Linux has, and nothing that is not used', () => {
  const listed = [...read('docs', 'macos.md').matchAll(/^\| (`[^|]*) \|/gm)].flatMap(([, cell]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, word]) => word));
  assert.ok(listed.length > 10);
  const names = fs.readdirSync(path.join(root, 'node'), { recursive: true }).filter((name) => /\.[ch]$/.test(name));
  const sources = names.map((name) => read('node', name)).join('\n');
  for (const word of listed) {
    const where = word.startsWith('-') ? read('CMakeLists.txt').replaceAll(',', ' ') : sources;
    assert.ok(where.includes(word), `${word} is listed, and not used any more`);
  }
  // What a C library of another system does not have, whether it is used today or not.
  const linux = /\b(accept4|pipe2|dup3|epoll_\w+|eventfd|signalfd|timerfd_\w+|inotify_\w+|prctl|close_range|memfd_create|getrandom|explicit_bzero|memrchr|mallopt|malloc_trim|splice|sendfile|O_TMPFILE|SO_PEERCRED|TCP_INFO|TCP_USER_TIMEOUT|TCP_QUICKACK|CLOCK_BOOTTIME|SOCK_CLOEXEC|SOCK_NONBLOCK|st_mtim|ppoll|getauxval|secure_getenv|strchrnul)\b/g;
  const code = sources.replace(/\/\*[^]*?\*\//g, '').replace(/"(?:[^"\\\n]|\\.)*"/g, '""');
  for (const word of new Set(code.match(linux))) assert.ok(listed.includes(word), `${word} is missing in docs/macos.md`);
});
