/** The command line of `server`: words to an action and its exit code. */
import { Command, CommanderError } from 'commander';
import { ParleyError, errorJson } from '../protocol/errors.js';
import {
  DEFAULTS,
  parseHost,
  parseHostPort,
  parseLogFormat,
  parseLogLevel,
  parseNonEmpty,
  parsePort,
  parseRetention,
  parseSeconds,
} from './config.js';
import type { ListenAddress, LogFormat, LogLevel, ServeConfig } from './config.js';
import type { Retention } from './storage/port.js';

/** Exit code for words that make no command. */
const USAGE = 2;

/** `default` is what the server does for those without a setting of their own; undefined only asks. */
export interface RetentionAction {
  readonly kind: 'retention';
  readonly name: string;
  readonly retention: Retention | 'default' | undefined;
  readonly dataDir: string;
  readonly json: boolean;
}

export interface AccountAction {
  readonly kind: 'add' | 'passwd' | 'remove' | 'list';
  /** Absent for `list`. */
  readonly name: string | undefined;
  readonly dataDir: string;
  /** `-` is standard input. */
  readonly passwordFile: string | undefined;
  readonly json: boolean;
}

export type UserAction = AccountAction | RetentionAction;

/** What is asked of the server that runs on a data directory. */
export type AdminAction = { readonly dataDir: string; readonly json: boolean } & (
  { readonly kind: 'status' } | { readonly kind: 'kick' | 'unlock'; readonly name: string }
);

export interface Actions {
  readonly serve: (config: ServeConfig) => Promise<number>;
  readonly user: (action: UserAction) => Promise<number>;
  readonly admin: (action: AdminAction) => Promise<number>;
}

interface ServeOptions {
  readonly host: string;
  readonly credentials: string;
  readonly data: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly retention: Retention;
  readonly metrics?: ListenAddress;
}

interface UserOptions {
  readonly data: string;
  readonly passwordFile?: string;
  readonly json?: boolean;
}

/** Runs the command that `words` name and gives its exit code. Help goes to stdout, complaints to stderr. */
export async function runProgram(words: readonly string[], version: string, actions: Actions): Promise<number> {
  let code = 0;
  const json = words.includes('--json');
  const program = makeProgram(version, json, async (action) => {
    code = await action(actions);
  });
  try {
    await program.parseAsync(words, { from: 'user' });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return 0;
    if (json) {
      const reason = error.message.replace(/^error: /, '');
      process.stderr.write(`${JSON.stringify(errorJson(new ParleyError('USAGE', { reason })))}\n`);
    }
    return USAGE;
  }
}

/** Columns of the help in the reference. */
const HELP_COLUMNS = 120;

/** What `server --help` says. */
export function serverHelp(): string {
  const program = makeProgram('', false, () => Promise.resolve());
  program.configureOutput({ getOutHelpWidth: () => HELP_COLUMNS });
  return program.helpInformation().trimEnd();
}

type Run = (action: (actions: Actions) => Promise<number>) => Promise<void>;

function makeProgram(version: string, json: boolean, run: Run): Command {
  const program = new Command('server')
    .description('Parley’s server: people log in here, talk, and find each other’s files.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .exitOverride()
    .showHelpAfterError('(server --help shows how it is used)')
    // As JSON it is one line, which is written when it is known.
    .configureOutput(json ? { writeErr: () => undefined } : {})
    .enablePositionalOptions()
    .argument('[port]', 'TCP port; 0 picks a free one', parsePort, DEFAULTS.port)
    .argument('[block_duration]', 'seconds that three failed logins block', parseSeconds, DEFAULTS.blockSeconds)
    .argument('[timeout]', 'seconds of inactivity that log a user out', parseSeconds, DEFAULTS.timeoutSeconds)
    .option('--host <address>', 'address to listen on; 0.0.0.0 is every IPv4 one', parseHost, DEFAULTS.host)
    .option('--credentials <file>', 'users to import: lines of "name password"', parseNonEmpty, DEFAULTS.credentials)
    .option(
      '--data <dir>',
      'folder for accounts, messages, list of files, the server’s key',
      parseNonEmpty,
      DEFAULTS.data,
    )
    .option('--log-level <level>', 'trace, debug, info, warn, error or silent', parseLogLevel, DEFAULTS.logLevel)
    .option('--log-format <format>', 'pretty or json, on stderr', parseLogFormat, DEFAULTS.logFormat)
    .option(
      '--retention <days>',
      'days that messages are kept which were read, or forever',
      parseRetention,
      DEFAULTS.retentionDays,
    )
    .option('--metrics <host:port>', 'show metrics for Prometheus over plain HTTP at /metrics there', parseHostPort)
    .addHelpText('after', SIGNALS_HELP)
    .action((port: number, blockSeconds: number, timeoutSeconds: number, options: ServeOptions, command: Command) => {
      const config: ServeConfig = {
        port,
        host: options.host,
        blockMs: blockSeconds * 1000,
        timeoutMs: timeoutSeconds * 1000,
        credentials: options.credentials,
        credentialsNamed: command.getOptionValueSource('credentials') === 'cli',
        dataDir: options.data,
        logLevel: options.logLevel,
        logFormat: options.logFormat,
        retention: options.retention,
        metrics: options.metrics,
      };
      return run((actions) => actions.serve(config));
    });
  addUserCommands(program, run);
  addAdminCommands(program, run);
  return program;
}

const SIGNALS_HELP = `
When it is ready it prints one line on stdout:
  parley server listening on 127.0.0.1:8100 SHA256:<fingerprint of its key>
Logs go to stderr. SIGHUP rereads the credentials, SIGTERM finishes what was begun and ends.
Exit codes: 0 done, 1 could not start or was refused, 2 wrong usage, 3 no server is running there, 130 interrupted.`;

const DATA_OPTION = ['--data <dir>', 'the server’s folder', parseNonEmpty, DEFAULTS.data] as const;

/** Words before the command belong to the server, but there is only one data folder. */
function dataDirOf(program: Command, command: Command): string {
  const { data } = command.opts<{ data: string }>();
  if (command.getOptionValueSource('data') === 'cli' || program.getOptionValueSource('data') !== 'cli') return data;
  return program.opts<ServeOptions>().data;
}

function addAdminCommands(program: Command, run: Run): void {
  const user = program.commands.find((command) => command.name() === 'user') ?? program;
  const define = (parent: Command, kind: AdminAction['kind'], description: string): void => {
    const command = parent.command(kind).description(description);
    if (kind !== 'status') command.argument('<name>', 'the user’s name');
    command.option(...DATA_OPTION).option('--json', 'as one line of JSON; so are errors, on stderr');
    command.action((...given: unknown[]) => {
      const common = { dataDir: dataDirOf(program, command), json: command.opts<{ json?: boolean }>().json === true };
      const action: AdminAction = kind === 'status' ? { kind, ...common } : { kind, name: String(given[0]), ...common };
      return run((actions) => actions.admin(action));
    });
  };
  define(program, 'status', 'tell how the running server is, and who is logged in');
  define(program, 'kick', 'end the session of a user, who is told so and can log in anew');
  define(user, 'unlock', 'forget failed logins of an account, and the blocks that came of them');
}

function addUserCommands(program: Command, run: Run): void {
  const user = program
    .command('user')
    .description('manage accounts, also while the server runs')
    .helpCommand(false)
    .action(() => user.error('error: say what to do: add, passwd, remove, list, retention or unlock'));
  const define = (kind: AccountAction['kind'], description: string): Command => {
    const command = user.command(kind).description(description);
    if (kind !== 'list') command.argument('<name>', 'the user’s name');
    command.option(...DATA_OPTION);
    command.action((...given: unknown[]) => {
      const name = kind === 'list' ? undefined : String(given[0]);
      const options = command.opts<UserOptions>();
      const dataDir = dataDirOf(program, command);
      const action: AccountAction = {
        kind,
        name,
        dataDir,
        passwordFile: options.passwordFile,
        json: options.json === true,
      };
      return run((actions) => actions.user(action));
    });
    return command;
  };
  const passwordFile = ['--password-file <file>', 'read the password from the first line of this; - is stdin'] as const;
  define('add', 'add an account; the password is asked for, or comes from stdin').option(...passwordFile);
  define('passwd', 'set the password of an account').option(...passwordFile);
  define('remove', 'remove an account with its inbox and its registered files; a session of it ends');
  define('list', 'list the accounts').option('--json', 'as one line of JSON');
  addRetentionCommand(program, user, run);
}

function addRetentionCommand(program: Command, user: Command, run: Run): void {
  const parse = (text: string): Retention | 'default' =>
    text.toLowerCase() === 'default' ? 'default' : parseRetention(text);
  const command = user
    .command('retention')
    .description('say or set how long messages are kept which this user has read')
    .argument('<name>', 'the user’s name')
    .argument('[days]', 'days, forever, or default for what the server does', parse)
    .option(...DATA_OPTION)
    .option('--json', 'as one line of JSON; so are errors, on stderr')
    .action((name: string, retention: Retention | 'default' | undefined, { json = false }: { json?: boolean }) => {
      const dataDir = dataDirOf(program, command);
      return run((actions) => actions.user({ kind: 'retention', name, retention, dataDir, json }));
    });
}
