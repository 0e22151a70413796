/** Who is logged in where. */
import { nameKey } from '../../protocol/values.js';

export interface Account {
  /** As registered at the server. */
  readonly user: string;
  /** `host:port`. */
  readonly server: string;
}

/** By which things kept at home belong to an account. */
export function accountKey({ user, server }: Account): string {
  return `${nameKey(user)}@${server}`;
}
