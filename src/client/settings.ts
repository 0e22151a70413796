/** What the faces are told by flags, environment, a config file and defaults, in that order (CONTRACT section 3). */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import envPaths from 'env-paths';
import { z } from 'zod';
import { ParleyError } from '../protocol/errors.js';
import type { KeyFingerprint } from '../protocol/values.js';
import { DEFAULT_SERVER, checkAddress, checkColor, checkFingerprint, checkRate } from './settingvalues.js';
import type { ColorMode, Given } from './settingvalues.js';

/** The options that every command takes, as they were typed. */
export interface Flags {
  readonly server?: string;
  readonly user?: string;
  readonly passwordFile?: string;
  readonly home?: string;
  readonly listen?: string;
  readonly uploadLimit?: string;
  readonly uploadLimitPerLink?: string;
  readonly serverFingerprint?: string;
  readonly color?: string;
  readonly bell?: boolean;
  readonly notify?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
}

/** Where a setting can come from; the flag's value also makes the option's help and the reference page. */
interface SettingRow {
  readonly flags: string;
  readonly environment?: string;
  /** Its name in the config file. */
  readonly config?: string;
  readonly says: string;
  readonly standard?: string;
}

export const SETTINGS = {
  server: {
    flags: '--server <host:port>',
    environment: 'PARLEY_SERVER',
    config: 'server',
    says: 'the server',
    standard: DEFAULT_SERVER,
  },
  user: { flags: '--user <name>', environment: 'PARLEY_USER', config: 'user', says: 'who to log in as' },
  passwordFile: {
    flags: '--password-file <file>',
    config: 'passwordFile',
    says: 'a file whose first line is the password; - for standard input (in the environment: PARLEY_PASSWORD, the password itself)',
  },
  home: {
    flags: '--home <dir>',
    environment: 'PARLEY_HOME',
    says: 'where key, pins, outbox, index of shares and the agent’s socket are kept',
    standard: 'the platform’s state directory',
  },
  listen: {
    flags: '--listen <host:port>',
    environment: 'PARLEY_LISTEN',
    config: 'listen',
    says: 'where direct links come in',
    standard: 'all interfaces, any port',
  },
  uploadLimit: {
    flags: '--upload-limit <rate>',
    environment: 'PARLEY_UPLOAD_LIMIT',
    config: 'uploadLimit',
    says: 'bytes a second of what others fetch from here, in equal shares, as 500K or 2.5M (K, M and G stand for 1024, 1024² and 1024³), or none; taken when the agent starts, and as an option also by one that runs, at once',
    standard: 'none',
  },
  uploadLimitPerLink: {
    flags: '--upload-limit-per-link <rate>',
    environment: 'PARLEY_UPLOAD_LIMIT_PER_LINK',
    config: 'uploadLimitPerLink',
    says: 'the same of each link',
    standard: 'none',
  },
  serverFingerprint: {
    flags: '--server-fingerprint <fingerprint>',
    environment: 'PARLEY_SERVER_FINGERPRINT',
    config: 'serverFingerprint',
    says: 'the key that the server must have, as it prints it (SHA256:…)',
    standard: 'the first key seen is pinned',
  },
  color: {
    flags: '--color <when>',
    environment: 'PARLEY_COLOR',
    config: 'color',
    says: 'auto, always or never; NO_COLOR is honoured',
    standard: 'auto',
  },
  bell: {
    flags: '--bell',
    environment: 'PARLEY_BELL',
    config: 'bell',
    says: 'in the shell: ring when a message comes for you alone (in the environment: 1; in the config file: true)',
  },
  notify: {
    flags: '--notify',
    environment: 'PARLEY_NOTIFY',
    config: 'notify',
    says: 'in the shell: a desktop notification then, from terminals that know OSC 9; it says from whom, not what',
  },
  json: { flags: '--json', says: 'results, events and errors as one line of JSON each' },
  quiet: { flags: '-q, --quiet', says: 'no notices and no progress' },
  verbose: { flags: '-v, --verbose', says: 'tell more, also what is behind an error' },
} as const satisfies Readonly<Record<string, SettingRow>>;

const configSchema = z.strictObject({
  server: z.string().optional(),
  user: z.string().optional(),
  passwordFile: z.string().optional(),
  listen: z.string().optional(),
  uploadLimit: z.string().optional(),
  uploadLimitPerLink: z.string().optional(),
  serverFingerprint: z.string().optional(),
  color: z.string().optional(),
  bell: z.boolean().optional(),
  notify: z.boolean().optional(),
});
type Config = z.output<typeof configSchema>;

/** Settings that are either given or not. */
type Switch = 'bell' | 'notify' | 'json' | 'quiet' | 'verbose';
type TextSetting = Exclude<keyof typeof SETTINGS, Switch>;

export interface Settings {
  /** `host:port`. */
  readonly server: string;
  /** False when `server` is only the default. */
  readonly serverGiven: boolean;
  readonly user: string | undefined;
  /** Where the password comes from when it is not asked for. */
  readonly password: { kind: 'file'; path: string } | { kind: 'stdin' } | { kind: 'value'; value: string } | undefined;
  /** Absolute. */
  readonly home: string;
  readonly listen: string | undefined;
  /** Bytes a second that a new agent sends of files, to all together and over each link; Infinity for none. */
  readonly uploadLimit: number | undefined;
  readonly uploadLimitPerLink: number | undefined;
  /** Those given by flags, which hold for an agent that runs, too: what was said in passing is not undone by what is written down. */
  readonly limitFlags: { readonly upload: number | undefined; readonly uploadPerLink: number | undefined };
  readonly fingerprint: KeyFingerprint | undefined;
  readonly color: ColorMode;
  readonly bell: boolean;
  readonly notify: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param cwd where it was typed; relative paths of flags and environment start there
 * @throws ParleyError USAGE, naming the setting and where it came from
 */
export function loadSettings(flags: Flags, environment: Environment, cwd: string): Settings {
  const homeGiven = given('home', flags, environment);
  const home = homeGiven === undefined ? standardHome() : resolve(cwd, homeGiven.value);
  const file = loadConfig([join(home, 'config.json'), join(standardPaths().config, 'config.json')]);
  const find = (name: TextSetting): Given | undefined => given(name, flags, environment, file);

  const server = find('server');
  const listen = find('listen');
  const fingerprint = find('serverFingerprint');
  const flagged = (name: TextSetting): Given | undefined => given(name, flags, {});
  return {
    server: server === undefined ? DEFAULT_SERVER : checkAddress(server),
    serverGiven: server !== undefined,
    user: find('user')?.value,
    password: passwordSource(flags, environment, file, cwd),
    home,
    listen: listen === undefined ? undefined : checkAddress(listen),
    uploadLimit: checkRate(find('uploadLimit')),
    uploadLimitPerLink: checkRate(find('uploadLimitPerLink')),
    limitFlags: {
      upload: checkRate(flagged('uploadLimit')),
      uploadPerLink: checkRate(flagged('uploadLimitPerLink')),
    },
    fingerprint: fingerprint === undefined ? undefined : checkFingerprint(fingerprint),
    color: checkColor(find('color')),
    bell: isOn('bell', flags, environment, file),
    notify: isOn('notify', flags, environment, file),
    json: flags.json === true,
    quiet: flags.quiet === true,
    verbose: flags.verbose === true,
  };
}

interface ConfigFile {
  readonly path: string;
  readonly folder: string;
  readonly config: Config;
}

function given(name: TextSetting, flags: Flags, environment: Environment, file?: ConfigFile): Given | undefined {
  const row: SettingRow = SETTINGS[name];
  const flag = flags[name];
  if (flag !== undefined) return { value: flag, from: row.flags.split(' ')[0] ?? name };
  const variable = row.environment === undefined ? undefined : environment[row.environment];
  if (variable !== undefined && variable !== '') return { value: variable, from: row.environment ?? name };
  if (file === undefined || name === 'home') return undefined;
  const value = file.config[name];
  return value === undefined ? undefined : { value, from: `${name} in ${file.path}` };
}

/** In the environment anything but nothing and 0 switches it on. */
function isOn(name: 'bell' | 'notify', flags: Flags, environment: Environment, file: ConfigFile | undefined): boolean {
  const variable = environment[SETTINGS[name].environment] ?? '';
  if (flags[name] === true) return true;
  return variable === '' ? file?.config[name] === true : variable !== '0';
}

/** A password's file in the flag is found from where it was typed, one in the config from the config's folder. */
function passwordSource(
  flags: Flags,
  environment: Environment,
  file: ConfigFile | undefined,
  cwd: string,
): Settings['password'] {
  const flag = flags.passwordFile;
  if (flag === '-') return { kind: 'stdin' };
  if (flag !== undefined) return { kind: 'file', path: resolve(cwd, flag) };
  const value = environment['PARLEY_PASSWORD'];
  if (value !== undefined && value !== '') return { kind: 'value', value };
  const path = file?.config.passwordFile;
  return path === undefined || file === undefined ? undefined : { kind: 'file', path: resolve(file.folder, path) };
}

/** The first of these files that exists. */
function loadConfig(paths: readonly string[]): ConfigFile | undefined {
  for (const path of paths) {
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch {
      continue; // Nobody has to have one.
    }
    return { path, folder: join(path, '..'), config: parseConfig(path, text) };
  }
  return undefined;
}

function parseConfig(path: string, text: string): Config {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ParleyError('USAGE', { reason: `${path} is not JSON; correct or remove it` }, { cause });
  }
  const parsed = configSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  const known = Object.keys(configSchema.shape).join(', ');
  throw new ParleyError('USAGE', { reason: `${path}: ${where}${issue?.message ?? 'bad value'}; it takes ${known}` });
}

const standardPaths = (): ReturnType<typeof envPaths> => envPaths('parley', { suffix: '' });

/** On Linux the directory for state; elsewhere the one for an application's data, where there is none for state. */
function standardHome(): string {
  const paths = standardPaths();
  return process.platform === 'linux' ? paths.log : paths.data;
}
