/** Handlers about the session: login, logout, status, inbox, listen. */
import type { IncomingCall, ParamsOf } from '../../protocol/command.js';
import type { agentCommands } from '../../protocol/commands/agent.js';
import type { Connection } from '../../protocol/connection.js';
import type { FaceEvent } from '../../protocol/events.js';
import { fingerprintOf, formatFingerprint } from '../../protocol/certificate.js';
import { formatAddress, parseAddress } from './address.js';
import { afterReply } from './handlers.js';
import type { HandlersOf } from './handlers.js';
import { noteShown, readInbox } from './inbox.js';
import { accountKey } from './account.js';
import type { Account } from './account.js';
import type { AgentParts } from './parts.js';

/** What of the agent's own life a face can ask for. */
export interface Lifecycle {
  login(request: ParamsOf<typeof agentCommands.login>): Promise<Account>;
  /** Undefined before login. */
  account(): Account | undefined;
  /** Ends all but the faces. */
  logout(): Promise<void>;
  close(): void;
  /** A failed login ends the agent. */
  readonly standby: boolean;
}

export function sessionHandlers(
  parts: AgentParts,
  life: Lifecycle,
): HandlersOf<'login' | 'logout' | 'status' | 'inbox' | 'listen'> {
  return {
    login: async (params, _context, call) => {
      const name = formatAddress(parseAddress(params.server));
      const isKnown = params.fingerprint !== undefined || parts.pins.get('server', name) !== undefined;
      try {
        const { user } = await life.login(params);
        return { user };
      } catch (thrown) {
        if (life.standby && parts.session.state.kind === 'out') afterReply(call, () => life.close());
        throw thrown;
      } finally {
        // Whether or not the login succeeds: from now on this key is trusted.
        const pin = isKnown ? undefined : parts.pins.get('server', name);
        if (pin !== undefined) {
          await call.emit({ type: 'pinned', fingerprint: formatFingerprint(fingerprintOf(pin.publicKey)) });
        }
      }
    },
    logout: async (_params, _context, call) => {
      await life.logout();
      afterReply(call, () => life.close());
      return {};
    },
    status: () => {
      const account = life.account();
      return {
        user: account?.user ?? null,
        server: account?.server ?? null,
        online: parts.session.state.kind === 'online',
        listen: parts.peers.address ?? null,
        held: parts.library.held(),
        transfers: parts.transfers.list(),
      };
    },
    inbox: async (params, { face }, call) => {
      const sources = { ...parts, account: accountKey(parts.account()), signal: call.signal };
      const messages = await readInbox(params, sources);
      const shown = messages.filter(({ unread }) => unread);
      afterReply(call, () => {
        if (face.isOpen) noteShown(shown, parts);
      });
      return { messages };
    },
    listen: async ({ shows }, { face }, call) => {
      await tellEvents(parts, face, shows === true, call);
      return {};
    },
  };
}

function asShown(event: FaceEvent): { id: string; kind: 'message' | 'broadcast' | 'group' | 'private' }[] {
  return 'id' in event ? [{ id: event.id, kind: event.type }] : [];
}

/** Every event to a listening face, until it has heard enough. */
async function tellEvents(parts: AgentParts, face: Connection, shows: boolean, call: IncomingCall): Promise<void> {
  const events = parts.events.subscribe(() => face.destroy());
  call.signal.addEventListener('abort', () => events.end(), { once: true });
  if (call.signal.aborted) events.end();
  // Known before anybody listened, and true still.
  const { problem } = parts.peers;
  if (problem !== undefined) await call.emit(parts.events.makeNotice('NOT_REACHABLE', { text: problem }));
  const standing = shows ? parts.standing.event() : undefined;
  if (standing !== undefined) await call.emit(standing);
  for await (const event of events) {
    if (event.type === 'standing' && !shows) continue;
    await call.emit(event);
    if (shows) noteShown(asShown(event), parts);
  }
}
