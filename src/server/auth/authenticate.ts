/** Name and password to user: lockout, then the password in its turn, the same for users there are and there are not (R1 to R5). */
import { ParleyError } from '../../protocol/errors.js';
import type { KeyFingerprint } from '../../protocol/values.js';
import type { Storage, UserRecord } from '../storage/port.js';
import type { Lockout, LoginAttempt, LoginDecision } from './lockout.js';
import type { Passwords } from './passwords.js';

export interface Login {
  /** As typed. */
  readonly name: string;
  readonly password: string;
  /** Where the connection comes from. */
  readonly address: string;
  /** Of the key that the connection proved, if it showed one. */
  readonly keyFingerprint?: KeyFingerprint | undefined;
}

export interface AuthenticatorParts {
  readonly storage: Pick<Storage, 'findUser' | 'getUser' | 'isKnownDevice'>;
  readonly passwords: Passwords;
  readonly lockout: Lockout;
}

/**
 * Judges a login. It does not remember the device: do that when the session stands.
 * @throws ParleyError BAD_CREDENTIALS, LOCKED_OUT (`retryAfterSeconds`), SERVER_BUSY, CANCELLED
 */
export type Authenticate = (login: Login, signal?: AbortSignal) => Promise<UserRecord>;

export function createAuthenticator({ storage, passwords, lockout }: AuthenticatorParts): Authenticate {
  return async (login, signal) => {
    const user = await storage.findUser(login.name);
    const { keyFingerprint } = login;
    const known =
      user !== undefined && keyFingerprint !== undefined && (await storage.isKnownDevice(user.id, keyFingerprint));
    const attempt: LoginAttempt = {
      account: login.name,
      address: login.address,
      knownDevice: known ? keyFingerprint : undefined,
    };
    // Who is locked out takes no place in the queue.
    refuse(lockout.retryAfterSeconds(attempt));

    let decision: LoginDecision | undefined;
    const settle = (outcome: 'success' | 'failure' | 'abandoned'): void => {
      if (decision?.kind === 'allowed') decision.settle(outcome);
    };
    // Reserved only when its turn has come: no more attempts are undecided at a time than hashes run.
    const onTurn = (): void => {
      decision = lockout.begin(attempt);
      if (decision.kind === 'locked') refuse(decision.retryAfterSeconds);
    };
    try {
      const matches = await passwords.verify(user?.passwordHash, login.password, { signal, onTurn });
      // The password may have been changed, or the user removed, while this one waited for its turn.
      const current = matches && user !== undefined ? await storage.getUser(user.id) : undefined;
      if (current === undefined || current.passwordHash !== user?.passwordHash) {
        settle('failure');
        throw new ParleyError('BAD_CREDENTIALS');
      }
      settle('success');
      return current;
    } finally {
      settle('abandoned');
    }
  };
}

function refuse(retryAfterSeconds: number | undefined): void {
  if (retryAfterSeconds !== undefined) throw new ParleyError('LOCKED_OUT', { retryAfterSeconds });
}
