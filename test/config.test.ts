import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { configText } from '../src/cli/init/config-text.ts';
import { configPath, loadConfig } from '../src/config.ts';
import { HsmError } from '../src/errors.ts';
import { temporaryFolder } from './fixtures/fake-daemon.ts';

function write(t: ExecutionContext, text: string): string {
  const file = join(temporaryFolder(t), 'hsm.toml');
  writeFileSync(file, text);
  return file;
}

test('a config that names only filesystems has every default', (t) => {
  const file = write(t, 'filesystems = ["/data"]');
  t.deepEqual(loadConfig(file), {
    file,
    state: '/var/lib/hsm',
    socket: '/run/hsm/hsm.sock',
    filesystems: ['/data'],
    library: { kind: 'virtual', path: '/var/lib/hsm/library', timing: 'none', format: 'tar' },
    archive: { pools: ['default'], containerSize: 256 * 2 ** 20, drives: 0, retentionS: 7_776_000 },
    recall: { batchWindowMs: 20, turnS: 900, share: 64, drives: 0, prefetchFiles: 0, limits: [], defaultLimits: true, stormFiles: 1000, keepFreePercent: 1, fullWaitS: 60, timeoutS: 0, eventFd: 'auto' },
    metrics: { socket: '/run/hsm/metrics.sock', listen: null },
    hooks: { command: [], webhook: null, webhookSecretFile: null, on: ['operator-needed', 'failure'], timeoutS: 30, atOnce: 2, retries: 3 },
    dismountAfterS: 600,
  });
});

test('every key is read', (t) => {
  const file = write(
    t,
    `state = "/s"
socket = "/run/other.sock"
filesystems = ["/a", "/b"]
[library]
kind = "virtual"
path = "/l"
timing = "lto9"
dismount_after_s = 0
[archive]
pools = ["one", "two"]
container_size = "1G"
drives = 1
[recall]
batch_window_ms = 500
turn_s = 120
share = 10
prefetch = 512
drives = 2
timeout_s = 60
event_fd = "rdwr"
default_limits = false
storm_files = 0
keep_free_percent = 5
full_wait_s = 0
[[recall.limit]]
name = "students"
programs = ["find"]
uids = ["1000-1999", "5"]
gids = ["7"]
cgroups = ["/user.slice/*"]
action = "fail"
per = "cgroup"
concurrent = 3
files_per_hour = 100
bytes_per_hour = "10G"
[metrics]
socket = "/run/numbers.sock"
listen = "[::1]:9788"
[hooks]
command = ["/bin/mail", "-s", "hsm", "root"]
webhook = "https://example.org/hsm"
webhook_secret_file = "/etc/hsm/token"
on = ["storm", "job-failed"]
timeout_s = 5
at_once = 1
retries = 0
`,
  );
  const limit = {
    name: 'students',
    programs: ['find'],
    uids: [
      { first: 1000, last: 1999 },
      { first: 5, last: 5 },
    ],
    gids: [7],
    cgroups: ['/user.slice/*'],
    action: 'fail',
    per: 'cgroup',
    concurrent: 3,
    filesPerHour: 100,
    bytesPerHour: 10 * 2 ** 30,
  } as const;
  t.deepEqual(loadConfig(file), {
    file,
    state: '/s',
    socket: '/run/other.sock',
    metrics: { socket: '/run/numbers.sock', listen: { host: '::1', port: 9788 } },
    hooks: { command: ['/bin/mail', '-s', 'hsm', 'root'], webhook: 'https://example.org/hsm', webhookSecretFile: '/etc/hsm/token', on: ['storm', 'job-failed'], timeoutS: 5, atOnce: 1, retries: 0 },
    filesystems: ['/a', '/b'],
    library: { kind: 'virtual', path: '/l', timing: 'lto9', format: 'tar' },
    archive: { pools: ['one', 'two'], containerSize: 2 ** 30, drives: 1, retentionS: 7_776_000 },
    recall: { batchWindowMs: 500, turnS: 120, share: 10, drives: 2, prefetchFiles: 512, timeoutS: 60, eventFd: 'rdwr', defaultLimits: false, stormFiles: 0, keepFreePercent: 5, fullWaitS: 0, limits: [limit] },
    dismountAfterS: 0,
  });
});

test('the socket follows another state folder, and relative paths the config', (t) => {
  const file = write(t, 'state = "state"\nfilesystems = ["/data"]');
  const state = join(file, '../state');
  t.like(loadConfig(file), { state, socket: join(state, 'hsm.sock'), library: { path: join(state, 'library') } });
});

const wrong = test.macro({
  exec: (t: ExecutionContext, text: string, message: RegExp) => {
    const file = write(t, text);
    const error = t.throws(() => loadConfig(file), { instanceOf: HsmError, code: 'CONFIG' });
    t.regex(error.message, message);
    t.true(error.message.startsWith(file));
    t.false(error.message.includes('\n'));
    t.like(error, { exit: 2, path: file });
  },
  title: (what) => `${what} is refused in one line that names the file`,
});

test('broken TOML', wrong, 'state = ', /not valid TOML/);
test('no filesystem', wrong, 'state = "/s"', /names no filesystem/);
test('a relative filesystem', wrong, 'filesystems = ["data"]', /absolute/);
test('a filesystem that is no string', wrong, 'filesystems = [1]', /filesystems must be a list of strings/);
test('an unknown key', wrong, 'filesystems = ["/d"]\nfilesystem = "/e"', /unknown key filesystem/);
test('an unknown key in a table', wrong, 'filesystems = ["/d"]\n[recall]\ntimeout = 1', /unknown key recall\.timeout/);
test('an unknown timing', wrong, 'filesystems = ["/d"]\n[library]\ntiming = "lto7"', /library\.timing must be one of none, lto8, lto9/);
test('a size that is none', wrong, 'filesystems = ["/d"]\n[archive]\ncontainer_size = "big"', /archive\.container_size must be a size/);
test('a negative size', wrong, 'filesystems = ["/d"]\n[archive]\ncontainer_size = -1', /archive\.container_size must be a size/);
test('a negative time', wrong, 'filesystems = ["/d"]\n[recall]\ntimeout_s = -1', /recall\.timeout_s must be a number of 0 or more/);
test('no pool', wrong, 'filesystems = ["/d"]\n[archive]\npools = []', /at least one/);
test('a table that is none', wrong, 'filesystems = ["/d"]\nlibrary = "x"', /library must be a table/);
test('an empty path', wrong, 'filesystems = ["/d"]\nstate = ""', /state must be a path/);

test('a config that cannot be read says how to get one', (t) => {
  t.throws(() => loadConfig('/nowhere/hsm.toml'), { code: 'CONFIG', message: /run 'hsm init', or name another file with --config/ });
});

test('what init writes loads, whatever the paths are', (t) => {
  const state = '/a "quoted" \\ path/ünï\u007f';
  const file = write(t, configText({ state, library: '/tab\there', scsi: null, filesystems: [{ path: '/new\nline', type: 'ext4', uuid: '' }], timing: 'lto8', format: 'tar' }));
  t.like(loadConfig(file), { state, library: { path: '/tab\there', timing: 'lto8' }, filesystems: ['/new\nline'], socket: `${state}/hsm.sock` });
});

test('the values that init writes as comments are the defaults', (t) => {
  const text = configText({ state: '/var/lib/hsm', library: '/l', scsi: null, filesystems: [{ path: '/d', type: 'ext4', uuid: '' }], timing: 'none', format: 'tar' });
  const plain = loadConfig(write(t, text));
  const spelled = loadConfig(write(t, text.replace(/^# (socket|container_size|dismount_after_s|turn_s|share|drives|default_limits|prefetch|storm_files|keep_free_percent|full_wait_s) =/gm, '$1 =')));
  t.deepEqual({ ...spelled, file: '' }, { ...plain, file: '' });
});

test('a robot and its drives: names and elements are optional', (t) => {
  const text = configText({ state: '/s', library: '/l', scsi: { changer: '/dev/sch0', drives: ['/dev/nst0', '/dev/nst1'] }, filesystems: [{ path: '/d', type: 'ext4', uuid: '' }], timing: 'none', format: 'tar' });
  const config = loadConfig(write(t, text));
  t.deepEqual(config.library, {
    kind: 'scsi',
    cleaning: { prefix: 'CLN', uses: 50, when: 'auto', timeoutS: 900 },
    format: 'tar',
    path: '/s/library',
    changer: '/dev/sch0',
    drives: [
      { name: 'drive0', device: '/dev/nst0', element: null },
      { name: 'drive1', device: '/dev/nst1', element: null },
    ],
    capacity: null,
    loadTimeoutS: 1200,
  });
  t.is(config.archive.containerSize, 4 * 2 ** 30);
  const more = `filesystems = ["/d"]\n[library]\nkind = "scsi"\nchanger = "/dev/sg1"\ncapacity = "6TB"\nload_timeout_s = 7200\n[[library.drive]]\ndevice = "/dev/nst0"\nelement = 1`;
  t.like(loadConfig(write(t, more)).library, { capacity: 6e12, loadTimeoutS: 7200, drives: [{ name: 'drive0', device: '/dev/nst0', element: 1 }] });
});

test('a robot without drives', wrong, 'filesystems = ["/d"]\n[library]\nkind = "scsi"\nchanger = "/dev/sch0"', /library\.drive must be one or more tables \[\[library\.drive\]\]/);
test('drives without a robot are loaded by an operator', (t) => {
  const text = configText({ state: '/s', library: '/l', scsi: { changer: null, drives: ['/dev/nst0'] }, filesystems: [{ path: '/d', type: 'ext4', uuid: '' }], format: 'tar', timing: 'none' });
  t.like(loadConfig(write(t, text)).library, { kind: 'scsi', changer: null, drives: [{ name: 'drive0', device: '/dev/nst0', element: null }] });
});

test('a drive without a device', wrong, 'filesystems = ["/d"]\n[library]\nkind = "scsi"\nchanger = "/dev/sch0"\n[[library.drive]]\nname = "a"', /library\.drive\[0\]\.device must be a path/);
test('an unknown key of a drive', wrong, 'filesystems = ["/d"]\n[library]\nkind = "scsi"\nchanger = "/dev/sch0"\n[[library.drive]]\ndevice = "/dev/nst0"\nslot = 1', /unknown key library\.drive\[0\]\.slot/);
test('a key of the other kind of library', wrong, 'filesystems = ["/d"]\n[library]\nchanger = "/dev/sch0"', /unknown key library\.changer/);

test('a limit that delays for ever', wrong, 'filesystems = ["/d"]\n[[recall.limit]]\naction = "delay"', /recall\.limit\[0\]\.action must be .*a limit above 0/);
test('a limit for a user that is no number', wrong, 'filesystems = ["/d"]\n[[recall.limit]]\naction = "deny"\nuids = ["anna"]', /uids and gids must be numbers/);
test('an unknown key of a limit', wrong, 'filesystems = ["/d"]\n[[recall.limit]]\naction = "deny"\nuser = "anna"', /unknown key recall\.limit\[0\]\.user/);
test('a flag that is none', wrong, 'filesystems = ["/d"]\n[recall]\ndefault_limits = "no"', /default_limits must be true or false/);

test('--config comes before HSM_CONFIG', (t) => {
  t.is(configPath('/x/y.toml'), '/x/y.toml');
  t.is(configPath(undefined), process.env['HSM_CONFIG'] ?? '/etc/hsm/hsm.toml');
});

for (const [listen, complaint] of [
  ['0.0.0.0:9788', /metrics.listen must be an address of this machine alone.*listen_anywhere = true allows others/],
  ['[::]:9788', /metrics.listen must be an address of this machine alone/],
  ['192.168.1.7:9788', /metrics.listen must be an address of this machine alone/],
  ['9788', /metrics.listen must be an address and a port/],
  ['127.0.0.1:0', /metrics.listen must be an address and a port/],
  ['example.org:9788', /metrics.listen must be an address and a port/],
] as const) {
  test(`metrics are not served on ${listen}`, (t) => {
    const error = t.throws(() => loadConfig(write(t, `filesystems = ["/data"]\n[metrics]\nlisten = "${listen}"`)), { instanceOf: HsmError, code: 'CONFIG' });
    t.regex(error.message, complaint);
    t.notRegex(error.message, /\n/);
  });
}

test('metrics are served to other machines where the configuration says so, and never on the control socket', (t) => {
  const config = loadConfig(write(t, 'filesystems = ["/data"]\n[metrics]\nlisten = "0.0.0.0:9788"\nlisten_anywhere = true'));
  t.deepEqual(config.metrics.listen, { host: '0.0.0.0', port: 9788 });
  t.throws(() => loadConfig(write(t, 'socket = "/run/s"\nfilesystems = ["/data"]\n[metrics]\nsocket = "/run/s"')), { message: /metrics.socket must be another path/ });
});

for (const [key, complaint] of [
  ['command = ["mail"]', /hooks.command must be a list of an absolute path/],
  ['webhook = "ftp://example.org"', /hooks.webhook must be a URL/],
  ['webhook = "https://me:secret@example.org"', /without a password: that belongs into webhook_secret_file/],
  ['on = ["everything"]', /hooks.on must be a list of classes and events: operator-needed, failure, storm, /],
  ['at_once = 0', /hooks.at_once must be a whole number/],
  ['timeout_s = 0', /hooks.timeout_s must be more than 0/],
] as const) {
  test(`hooks are not configured by ${key}`, (t) => {
    const error = t.throws(() => loadConfig(write(t, `filesystems = ["/data"]\n[hooks]\n${key}`)), { instanceOf: HsmError, code: 'CONFIG' });
    t.regex(error.message, complaint);
    t.notRegex(error.message, /secret@/);
  });
}
