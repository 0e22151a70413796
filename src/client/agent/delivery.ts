/** What brings messages to this user and away: the session's hooks for the outbox, the received log and how the user stands. */
import type { Clock } from '../../protocol/clock.js';
import { serverCommands } from '../../protocol/commands/server.js';
import type { SessionStart } from '../../protocol/commands/server/login.js';
import { toParleyError } from '../../protocol/errors.js';
import { accountKey } from './account.js';
import { formatAddress } from './address.js';
import type { FaceEvents } from './faceevents.js';
import type { Log } from './log.js';
import { Outbox } from './outbox.js';
import type { OutboxEntries } from './outboxentries.js';
import type { PrivateLog } from './privatelog.js';
import type { ReceivedLog } from './receivedlog.js';
import { Receiver } from './receiver.js';
import type { Session, SessionOptions } from './session.js';
import { Standing } from './standing.js';

export interface DeliveryOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly events: FaceEvents;
  readonly privateLog: PrivateLog;
  readonly received: ReceivedLog;
  readonly outboxEntries: OutboxEntries;
  /** The session that has these hooks. */
  readonly session: () => Session;
}

export interface Delivery {
  readonly outbox: Outbox;
  readonly receiver: Receiver;
  readonly standing: Standing;
  readonly hooks: Pick<SessionOptions, 'onMessage' | 'onEvent' | 'onBegan' | 'onLost'>;
}

export function assembleDelivery(options: DeliveryOptions): Delivery {
  const { clock, log, events, privateLog, received, outboxEntries, session } = options;
  let who: { readonly user: string; readonly key: string } | undefined;
  const standing = new Standing({
    events,
    user: () => who?.user,
    privateUnread: () => (who === undefined ? 0 : privateLog.countUnread(who.key)),
  });
  const receiver = new Receiver({
    log,
    clock,
    received,
    onMessage: (message) => {
      events.publish(message);
      standing.addUnread();
    },
    acknowledge: (position) => session().tell(serverCommands.acknowledge, { position }),
  });
  const outbox = new Outbox({
    entries: outboxEntries,
    session,
    clock,
    log,
    onRefused: ({ command }, { message }) => {
      events.notice('MESSAGE_REFUSED', { text: `what ${command} was to send later was refused: ${message}` });
    },
  });
  const hooks: Delivery['hooks'] = {
    onMessage: (message) => receiver.take(message),
    onEvent: (event) => {
      if (event.type === 'notice') log.info({ code: event.code }, 'notice from the server');
      if (event.type === 'focus') {
        standing.setFocus(event.group ?? undefined);
        if (event.group === null) receiver.left();
      } else events.publish(event);
      if (event.type === 'notice' && event.code === 'MESSAGES_HELD') countUnread(session(), standing);
    },
    onBegan: (start, address) => {
      const key = accountKey({ user: start.user, server: formatAddress(address) });
      who = { user: start.user, key };
      receiver.begin(key);
      outbox.begin(key, start);
      goOn(start, session(), standing, log);
    },
    onLost: () => {
      receiver.lost();
      events.notice('CONNECTION_LOST');
    },
  };
  return { outbox, receiver, standing, hooks };
}

/** Nothing is marked; the answer is the count. */
function countUnread(session: Session, standing: Standing): void {
  session.call(serverCommands.markRead, { ids: [] }).then(
    ({ unread }) => standing.setUnread(unread),
    () => undefined,
  );
}

/** After a while away the server has taken the user out of their room: they enter it again. */
function goOn({ focus, unread }: SessionStart, session: Session, standing: Standing, log: Log): void {
  const before = standing.focus;
  standing.begin(focus ?? before, unread);
  if (before === undefined || focus !== undefined) return;
  session.callAgain(serverCommands.join_group, { group: before }).catch((thrown: unknown) => {
    log.info({ code: toParleyError(thrown).code, group: before }, 'could not enter the group again');
    standing.setFocus(undefined);
  });
}
