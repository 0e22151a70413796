/** Limits of uploads that were given to a command while its agent runs: they hold at once. */
import { agentCommands } from '../protocol/commands/agent.js';
import type { Connection } from '../protocol/connection.js';
import type { FaceContext } from './context.js';
import { rateText } from './units.js';

/** Has a running agent take the limits of this command's flags, and says what that changed. Asks nothing without such flags. */
export async function applyLimitFlags(connection: Connection, context: FaceContext): Promise<void> {
  const { settings, signal, notice } = context;
  const { upload, uploadPerLink } = settings.limitFlags;
  if (upload === undefined && uploadPerLink === undefined) return;
  const before = await connection.call(
    agentCommands.limits,
    { upload: onWire(upload), uploadPerLink: onWire(uploadPerLink) },
    { signal },
  );
  const say = (what: string, now: number | undefined, then: number | null): void => {
    if (now === undefined || onWire(now) === then) return;
    notice(`${what} of the running agent: ${limitText(onWire(now))} from now on, ${limitText(then)} before`);
  };
  say('upload limit', upload, before.upload);
  say('upload limit per link', uploadPerLink, before.uploadPerLink);
}

/** JSON has no Infinity. */
function onWire(rate: number): number | null;
function onWire(rate: number | undefined): number | null | undefined;
function onWire(rate: number | undefined): number | null | undefined {
  return rate === Infinity ? null : rate;
}

function limitText(rate: number | null): string {
  return rate === null ? 'none' : rateText(rate);
}
