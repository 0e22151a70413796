/** Runs the server of a command line until a signal ends it. */
import { systemClock } from '../protocol/clock.js';
import { ParleyError, toParleyError } from '../protocol/errors.js';
import { openAdminSocket } from './admin/socket.js';
import { Passwords } from './auth/passwords.js';
import type { ServeConfig } from './config.js';
import { importFromFile, warnWhenNobodyCanLogIn } from './credentials-import.js';
import type { ImportParts } from './credentials-import.js';
import { loadServerIdentity } from './identity.js';
import { createLog } from './log.js';
import type { Log } from './log.js';
import type { Metrics } from './metrics.js';
import { startServer } from './server.js';
import type { Server } from './server.js';
import type { Storage } from './storage/port.js';

const STARTED_NOT = 1;
const INTERRUPTED = 130;

export interface ServeParts {
  /** Opens the data folder for this server alone. */
  readonly openStorage: (dataDir: string) => Promise<Storage>;
  /** Prints the one line that says it is ready. */
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
  readonly version: string;
}

/** Resolves to the exit code, when the server has ended. */
export async function serve(
  config: ServeConfig,
  { openStorage, print, complain, version }: ServeParts,
): Promise<number> {
  const log = createLog(config.logLevel, config.logFormat);
  // From the first moment on: a signal that comes early ends the server as soon as it stands.
  const stopped = stopSignal();
  let storage: Storage | undefined;
  try {
    storage = await openStorage(config.dataDir);
    const passwords = await Passwords.create();
    const parts: ImportParts = { storage, passwords, log };
    await importFromFile(config, 'changed', parts);
    const identity = await loadServerIdentity(config.dataDir);
    const { host, port, blockMs, timeoutMs, retention } = config;
    const clock = systemClock;
    const limits = { blockMs, timeoutMs, retention };
    const server = await startServer({ storage, passwords, identity, host, port, ...limits, clock, log });
    const closeViews = await openViews(config, server, version, log);
    const stopRereading = rereadOnHangup(config, parts);
    print(`parley server listening on ${server.address} ${server.fingerprint}`);
    log.info({ address: server.address, dataDir: config.dataDir }, 'ready');
    await warnWhenNobodyCanLogIn(config, parts);
    const code = await runUntil(stopped, server, log);
    stopRereading();
    await closeViews();
    return code;
  } catch (thrown) {
    complain(`server: ${cannotStart(thrown, config)}`);
    return STARTED_NOT;
  } finally {
    await storage?.close();
  }
}

/** What the operator looks through: the socket in the data directory, and metrics when asked for. The returned function closes them. */
async function openViews(
  { dataDir, metrics: where }: ServeConfig,
  server: Server,
  version: string,
  log: Log,
): Promise<() => Promise<void>> {
  const clock = systemClock;
  const parts = { server, version, startedAt: clock.epochMs(), startedMs: clock.monotonicMs(), clock, log };
  const admin = await openAdminSocket(dataDir, parts).catch((thrown: unknown) => {
    const { code, message: reason } = toParleyError(thrown);
    log.warn({ code, reason }, 'server status, kick and unlock will not work');
  });
  let metrics: Metrics | undefined;
  if (where !== undefined) {
    try {
      // Loaded only when it is wanted.
      const { startMetrics } = await import('./metrics.js');
      metrics = await startMetrics({ ...where, server, version, log });
      log.info({ address: metrics.address }, 'metrics are shown');
    } catch (error) {
      await admin?.close();
      await server.close();
      throw error;
    }
  }
  return async () => {
    await Promise.all([admin?.close(), metrics?.close()]);
  };
}

async function runUntil(stopped: Promise<NodeJS.Signals>, server: Server, log: Log): Promise<number> {
  const signal = await stopped;
  log.info({ signal, connections: server.connections() }, 'stopping');
  // A second one of the same kind does not wait.
  process.once(signal, () => process.exit(INTERRUPTED));
  await server.close();
  log.info({}, 'stopped');
  return signal === 'SIGINT' ? INTERRUPTED : 0;
}

function stopSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const stop = (signal: NodeJS.Signals): void => {
      process.off('SIGTERM', stop);
      process.off('SIGINT', stop);
      resolve(signal);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}

/** One rereading at a time; hang-ups that come meanwhile are one more. */
function rereadOnHangup(config: ServeConfig, parts: ImportParts): () => void {
  let state: 'idle' | 'running' | 'again' = 'idle';
  const reread = async (): Promise<void> => {
    do {
      state = 'running';
      try {
        await importFromFile(config, 'always', parts);
        await warnWhenNobodyCanLogIn(config, parts);
      } catch (thrown) {
        const { code, message } = toParleyError(thrown);
        parts.log.error({ code, reason: message }, 'the credentials could not be reread; accounts stay as they are');
      }
    } while (wasAskedAgain());
    state = 'idle';
  };
  const wasAskedAgain = (): boolean => state === 'again';
  const onHangup = (): void => {
    if (state === 'idle') void reread();
    else state = 'again';
  };
  process.on('SIGHUP', onHangup);
  return () => process.off('SIGHUP', onHangup);
}

/** What stood in the way, in one line and without a stack. */
function cannotStart(thrown: unknown, { dataDir }: ServeConfig): string {
  const error = toParleyError(thrown);
  if (error.code === 'DISK_FULL') {
    const reason = error.details['reason'];
    return `cannot write to the data directory ${dataDir} (${String(reason)}); make room or give another with --data`;
  }
  if (thrown instanceof ParleyError) return error.message;
  return `cannot start: ${error.message}`;
}
