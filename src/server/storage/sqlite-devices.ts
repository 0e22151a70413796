/** Devices and resume tokens in SQLite. */
import { MAX_DEVICES_PER_USER, MAX_RESUME_TOKENS_PER_USER } from './port.js';
import type { BegunSession, Device, DeviceStore, ResumeToken, ResumeTokenStore, UserId } from './port.js';
import type { SqliteConnection } from './sqlite-connection.js';

/** Remembers a key as its user's latest, within a transaction. */
type Remember = (userId: UserId, device: Device, at: number) => void;

export function deviceStore(db: SqliteConnection): DeviceStore {
  const remember = rememberer(db);
  const known = db.statement('SELECT 1 FROM devices WHERE user_id = ? AND key_fingerprint = ?');
  const latest = db.statement<Device>(
    `SELECT key_fingerprint AS keyFingerprint, public_key AS publicKey FROM devices WHERE user_id = ?
     ORDER BY ordinal DESC LIMIT 1`,
  );
  return {
    rememberDevice: (userId, device, at) => db.write(() => remember(userId, device, at)),
    isKnownDevice: (userId, keyFingerprint) => db.read(() => known.get(userId, keyFingerprint) !== undefined),
    latestDevice: (userId) => db.read(() => latest.get(userId)),
  };
}

function rememberer(db: SqliteConnection): Remember {
  // A user that was removed meanwhile inserts no row.
  const remember = db.statement(
    `INSERT INTO devices (user_id, key_fingerprint, public_key, ordinal, last_login_at)
     SELECT id, ?2, ?3, (SELECT coalesce(max(ordinal), 0) + 1 FROM devices WHERE user_id = ?1), ?4
       FROM users WHERE id = ?1
     ON CONFLICT (user_id, key_fingerprint) DO UPDATE SET ordinal = excluded.ordinal, last_login_at = excluded.last_login_at`,
  );
  const oldest = db.statement<{ keyFingerprint: string }>(
    `SELECT key_fingerprint AS keyFingerprint FROM devices WHERE user_id = ?
     ORDER BY ordinal DESC LIMIT -1 OFFSET ${MAX_DEVICES_PER_USER}`,
  );
  const forget = db.statement('DELETE FROM devices WHERE user_id = ? AND key_fingerprint = ?');
  const forgetNumber = db.statement('DELETE FROM send_numbers WHERE user_id = ? AND device = ?');
  return (userId, { keyFingerprint, publicKey }, at) => {
    remember.run(userId, keyFingerprint, publicKey, at);
    for (const device of oldest.all(userId)) {
      forget.run(userId, device.keyFingerprint);
      forgetNumber.run(userId, device.keyFingerprint);
    }
  };
}

export function resumeTokenStore(db: SqliteConnection): ResumeTokenStore {
  const remember = rememberer(db);
  const store = db.statement(
    `INSERT OR REPLACE INTO resume_tokens (token_hash, user_id, key_fingerprint, expires_at)
     SELECT ?, id, ?, ? FROM users WHERE id = ?`,
  );
  const trim = db.statement(
    `DELETE FROM resume_tokens WHERE token_hash IN (
       SELECT token_hash FROM resume_tokens WHERE user_id = ?
       ORDER BY expires_at DESC LIMIT -1 OFFSET ${MAX_RESUME_TOKENS_PER_USER})`,
  );
  const find = db.statement<ResumeToken>(
    `SELECT user_id AS userId, key_fingerprint AS keyFingerprint, expires_at AS expiresAt
     FROM resume_tokens WHERE token_hash = ? AND expires_at > ?`,
  );
  const use = db.statement('UPDATE resume_tokens SET expires_at = min(expires_at, ?) WHERE token_hash = ?');
  const revoke = db.statement('DELETE FROM resume_tokens WHERE user_id = ?');
  const removeExpired = db.statement('DELETE FROM resume_tokens WHERE expires_at <= ?');

  const keep = (tokenHash: string, { userId, keyFingerprint, expiresAt }: ResumeToken): void => {
    store.run(tokenHash, keyFingerprint, expiresAt, userId);
    trim.run(userId);
  };
  const keepSession = (begun: BegunSession): boolean => {
    const { tokenHash, userId, used, at } = begun;
    if (used !== undefined && use.run(used.until, used.tokenHash) === 0) return false;
    remember(userId, begun, at);
    keep(tokenHash, begun);
    return true;
  };
  return {
    storeResumeToken: (tokenHash, token) => db.write(() => keep(tokenHash, token)),
    findResumeToken: (tokenHash, at) => db.read(() => find.get(tokenHash, at)),
    keepSession: (begun) => db.write(() => keepSession(begun)),
    revokeResumeTokens: (userId) => db.write(() => void revoke.run(userId)),
    removeExpiredResumeTokens: (at) => db.write(() => removeExpired.run(at)),
  };
}
