/** Writes docs/commands.md from the specs and docs/limits.md from the source; with --check fails when they are not up to date. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import type { z } from 'zod';
import { commandsByTopic, usageOf } from '../src/client/catalog.js';
import type { TypedCommand } from '../src/client/catalog.js';
import { SETTINGS } from '../src/client/settings.js';
import { adminCommands } from '../src/protocol/commands/admin.js';
import { sessionRow } from '../src/protocol/commands/admin/status.js';
import type { CommandSpec } from '../src/protocol/command.js';
import { METRICS } from '../src/server/metrics.js';
import { serverHelp } from '../src/server/program.js';
import { ERRORS } from '../src/protocol/errors.js';
import type { ErrorCode } from '../src/protocol/errors.js';
import { schemaOf } from './jsonschema.js';
import type { Schema } from './jsonschema.js';
import { LIMITS_PAGE, limitsPage } from './limits.js';

const PAGE = 'docs/commands.md';

/** A schema as the JSON it stands for, with words in place of values. */
function shape(schema: Schema): string {
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) return choices.map(shape).join(' or ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(' or ');
  if (schema.type === 'array') return `[${shape(schema.items ?? {})}, …]`;
  if (schema.type === 'object') {
    const fields = Object.entries(schema.properties ?? {}).map(([name, field]) => {
      const optional = schema.required?.includes(name) === true ? '' : '?';
      return `"${name}"${optional}: ${shape(field)}`;
    });
    return `{${fields.join(', ')}}`;
  }
  return schema.format === 'date-time' ? 'ISO 8601 time' : [schema.type ?? 'any value'].flat().join(' or ');
}

const row = (...cells: readonly string[]): string =>
  `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
const table = (titles: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(...titles), row(...titles.map(() => '---')), ...rows.map((cells) => row(...cells))].join('\n');

const KINDS = {
  word: 'a word',
  integer: 'a whole number',
  integers: 'whole numbers',
  text: 'the rest, as text',
  path: 'a path',
  flag: '',
  names: 'names separated by commas',
  rate: 'bytes a second; K, M and G stand for 1024, 1024² and 1024³',
} as const;

function commandSection(spec: TypedCommand): string {
  const { cli } = spec;
  const parts = [`### ${spec.name}`, '```\n' + `client ${usageOf(spec)}` + '\n```', spec.says];
  if (cli.aliases !== undefined) parts.push(`Also: ${cli.aliases.map((alias) => `\`${alias}\``).join(', ')}.`);
  const words = cli.arguments.map((argument) => [
    `\`${argument.label ?? argument.param}\``,
    [KINDS[argument.kind], argument.optional === true ? 'optional' : ''].filter(Boolean).join('; '),
  ]);
  const options = (cli.options ?? []).map(({ flags, kind, says }) => [
    `\`${flags}\``,
    [says, kind === 'flag' || kind === 'word' || kind === 'path' ? '' : KINDS[kind]].filter(Boolean).join('; '),
  ]);
  if (words.length + options.length > 0) parts.push(table(['argument or option', 'meaning'], [...words, ...options]));
  const result = schemaOf(spec.result);
  parts.push(
    'With `--json`:\n\n```\n' + (spec.name === 'listen' ? 'one event a line, see below' : shape(result)) + '\n```',
  );
  const notes = Object.entries(result.properties ?? {})
    .filter(([, field]) => field.description !== undefined)
    .map(([name, field]) => `- \`${name}\`: ${field.description ?? ''}`);
  if (notes.length > 0) parts.push(notes.join('\n'));
  if (spec.events !== undefined && spec.name === 'listen')
    parts.push('Events:\n\n```\n' + eventShapes(spec.events) + '\n```');
  if (spec.errors.length > 0) parts.push(table(['refusal', 'sentence', 'exit'], spec.errors.map(errorRow)));
  parts.push(cli.examples.map(({ line, says }) => '```\n' + `client ${line}` + '\n```\n' + `${says}.`).join('\n\n'));
  return parts.join('\n\n');
}

function eventShapes(events: z.ZodType): string {
  const { anyOf = [], oneOf = [] } = schemaOf(events);
  return [...oneOf, ...anyOf].map(shape).join('\n');
}

function errorRow(code: ErrorCode): string[] {
  const { message, exit } = ERRORS[code];
  return [`\`${code}\``, message, String(exit)];
}

function settingsTable(): string {
  const rows = Object.values(SETTINGS).map((setting) => {
    const { flags, says } = setting;
    const name = (key: 'environment' | 'config'): string =>
      key in setting ? `\`${String((setting as unknown as Record<string, unknown>)[key])}\`` : '';
    const standard = 'standard' in setting ? setting.standard : '';
    return [`\`${flags}\``, name('environment'), name('config'), standard, says];
  });
  return table(['flag', 'environment', 'config file', 'default', 'meaning'], rows);
}

/** Every number of limits.ts with the sentence that stands above it there. */
const INTRODUCTION = `# Commands

Made from the definitions in \`src/protocol/commands\` by \`npm run docs\`; do not edit.

| form | does |
| --- | --- |
| \`client\`, \`client <server_ip> <server_port>\` | the shell: one command a line |
| \`client <command> …\` | one command, then exit |
| \`client agent\` | the agent in the foreground, for a service manager |
| \`client help [command]\`, \`client --version\` | help, version |
| \`client completion bash\\|zsh\\|fish\` | a script that completes commands, options and names in that shell: \`eval "$(client completion bash)"\` in its start-up file |

The first command starts an **agent** in the background when it can log in: with a user and a password from the settings, or
asked on a terminal. The agent holds the session, the links and what is shared until \`client logout\`; \`client logout\` when
nobody is logged in is no failure. An agent is for one user at one server: another user, or another server, needs another
\`--home\`.

Names of commands and users are matched without regard to case. Options may stand before or behind the command's name;
\`--\` ends them, so that text can begin with a dash: \`client message bob -- -5 degrees\`. Chunk numbers count from 0.`;

const SETTINGS_TEXT = `A flag goes before the environment, that before the config file, that before the default. The config file is \`config.json\` in
the home, else in the platform's folder for settings (\`~/.config/parley\` on Linux); it holds one JSON object, and paths in it
begin at its own folder:

\`\`\`
{"server": "chat.example.org:8100", "user": "alice", "passwordFile": "password"}
\`\`\`

A password is never an argument. \`PARLEY_PASSWORD\` holds it itself; \`--password-file\` names a file whose first line it is.`;

const OUTPUT_TEXT = `Results go to stdout; progress, prompts, notices and errors to stderr; bars are drawn only on a terminal. With \`--json\` a result is
one line of JSON on stdout, an error one line on stderr, with the details of the error beside code, message and retryable:

\`\`\`
{"error":{"code":"LOCKED_OUT","message":"too many failed logins; try again in 42 s","retryable":true,"retryAfterSeconds":42}}
\`\`\`

A notice is a line \`{"notice":"…"}\` then; \`-q\` leaves notices out. What others wrote is printed with everything that could
steer a terminal made visible, as \`\\u{1b}\`; in JSON it is escaped, which changes no value.

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | refused; the error's code says why |
| 2 | wrong usage |
| 3 | out of reach, worth trying again |
| 4 | who is who: login, password, keys |
| 5 | the bytes could not be completed or kept |
| 130, 143 | interrupted by Ctrl-C, by SIGTERM |`;

const SHELL_TEXT = `\`client\` alone opens the shell. It shows what came while you were away and, from then on, what comes, above the line that is being
typed; what it shows counts as read. A line is a command as above, without \`client\`. Words with spaces stand in quotes, or have
\`\\\` before the space; the text of a message is the rest of the line as it is typed, with its spaces and quotes. Options stand
before the first word.

| key or word | does |
| --- | --- |
| Tab | completes commands, options, users, files, chunk numbers and paths |
| up, down | earlier lines, kept in the home for this user alone; those of \`private\`, and lines that begin with a space, are not kept |
| Ctrl-C | cancels the command that runs, else drops the line |
| \`exit\`, \`quit\`, Ctrl-D | leaves; the agent goes on |
| \`logout\` | ends session, agent and shell |
| \`help [command]\` | help |

From a script (\`client < script.txt\`, or a pipe) lines run one after the other, without prompts; empty lines and lines that begin with \`#\`
are passed over; messages that come meanwhile are printed, too, but stay unread. A refused command does not stop the script.
As in a POSIX shell the exit code is that of the last command, and \`exit N\` sets another. On a terminal leaving the shell is 0.`;

const SERVER_TEXT = `The options are those of \`server --help\`; \`--data\` names the folder that everything of one server lies in. These work while it runs:

| command | does | with \`--json\` |
| --- | --- | --- |
| \`server user add NAME\`, \`server user passwd NAME\`, \`server user remove NAME\` | manage accounts; the password is asked for, or \`--password-file\` names a file whose first line it is (\`-\` is stdin) | |
| \`server user list\` | lists the accounts | \`{"users": [{"user": string, "lastSeen"?: ISO 8601 time}, …]}\` |
| \`server user retention NAME [DAYS\\|forever\\|default]\` | says, or sets, how many days messages are kept that this user has read; a running server goes by it at its next sweep, within the hour | \`{"user": string, "retention": number or "forever", "isDefault": boolean}\` |
| \`server user unlock NAME\` | ${inWords(adminCommands.unlock)} | \`${shape(schemaOf(adminCommands.unlock.result))}\` |
| \`server status\` | ${inWords(adminCommands.status)} | \`${shape(schemaOf(adminCommands.status.result))}\` |
| \`server kick NAME\` | ${inWords(adminCommands.kick)} | \`${shape(schemaOf(adminCommands.kick.result))}\` |

\`status\`, \`kick\` and \`user unlock\` ask the running server, over a socket in its data folder that only its own user (and root) can
open; nothing listens on the network for them. When no server runs there they end with exit code 3 and \`SERVER_UNREACHABLE\`. With
\`--json\` an error is one line on stderr, as the client's are. Fields of \`status\`:

${fieldNotes(adminCommands.status.result)}

each of \`sessions\`:

${fieldNotes(sessionRow)}

An account is blocked for \`block_duration\` after three failed logins in a row from one address or device, an address after ten in ten minutes on any
accounts, and devices that an account does not know are delayed after a hundred failures in a day. \`user unlock\` takes back all failures of
one account; an address stays blocked when its failures on other accounts suffice for that.

\`kick\` ends a session that stands, and every token that could resume one. It changes no password: to keep somebody out, \`server user passwd\`
or \`server user remove\`.

\`--metrics HOST:PORT\` shows metrics for Prometheus at \`http://HOST:PORT/metrics\`, over plain HTTP and without a login: give an address that only
those reach who may see them. They hold counts, codes and names of commands, never names of users, groups or files. With port 0 the log says which
one it is.

${table(
  ['metric', 'labels', 'what'],
  METRICS.map(({ name, labels = [], help }) => [`\`${name}\``, labels.map((label) => `\`${label}\``).join(', '), help]),
)}

Beside these come the usual \`process_…\` and \`nodejs_…\` metrics.`;

/** A command's sentence, to stand in a table. */
function inWords({ says }: CommandSpec): string {
  return says.replace(/^./, (first) => first.toLowerCase()).replace(/\.$/, '');
}

function fieldNotes(type: z.ZodType): string {
  return Object.entries(schemaOf(type).properties ?? {})
    .filter(([, field]) => field.description !== undefined)
    .map(([name, field]) => `- \`${name}\`: ${field.description ?? ''}`)
    .join('\n');
}

export function page(): string {
  const topics = [...commandsByTopic].map(([topic, specs]) =>
    [`## ${topic}`, ...specs.map(commandSection)].join('\n\n'),
  );
  const errors = Object.entries(ERRORS).map(([code, { message, retryable, exit }]) => [
    `\`${code}\``,
    message,
    retryable ? 'yes' : 'no',
    String(exit),
  ]);
  return `${[
    INTRODUCTION,
    '## Settings',
    settingsTable(),
    SETTINGS_TEXT,
    '## Output and exit codes',
    OUTPUT_TEXT,
    '## The shell',
    SHELL_TEXT,
    '`USAGE`, `LOGIN_REQUIRED`, `SERVER_UNREACHABLE`, `SERVER_BUSY`, `TIMEOUT` and what ends a login can come with any command; below stand those of its own.',
    ...topics,
    '## The server',
    '```\n' + serverHelp() + '\n```',
    SERVER_TEXT,
    '## Every error',
    '`{name}` stands for a detail of the error.',
    table(['code', 'sentence', 'worth trying again', 'exit'], errors),
    '## Limits',
    'Each with its reason: [limits.md](limits.md).',
  ].join('\n\n')}\n`;
}

for (const [path, fresh] of [
  [PAGE, page()],
  [LIMITS_PAGE, limitsPage()],
] as const) {
  if (!process.argv.includes('--check')) writeFileSync(path, fresh);
  else if (!existsSync(path) || readFileSync(path, 'utf8') !== fresh) {
    console.error(`${path} is not up to date: run npm run docs`);
    process.exitCode = 1;
  }
}
