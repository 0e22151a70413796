/** What counts as one address when logins are limited. */
import { isIPv6 } from 'node:net';

/**
 * An IPv4 address is one, also when written as IPv6 (`::ffff:10.0.0.1`); of IPv6 it is the network (the first 64 bits), because
 * whoever has one address of it has all of them.
 */
export function addressKey(address: string): string {
  if (!isIPv6(address)) return address;
  const [plain = ''] = address.split('%');
  const mapped = /^(?:::|(?:0{1,4}:){5})ffff:([\d.]+)$/i.exec(plain)?.[1];
  if (mapped !== undefined) return mapped;
  const network = groupsOf(plain).slice(0, 4);
  return `${network.map((group) => parseInt(group, 16).toString(16)).join(':')}::/64`;
}

/** The eight groups of an address, or more than four of them when it ends in an IPv4 address. */
function groupsOf(address: string): string[] {
  const [head = [], tail] = address.split('::').map((part) => (part === '' ? [] : part.split(':')));
  if (tail === undefined) return head;
  const missing = 8 - head.length - tail.length - (tail.at(-1)?.includes('.') === true ? 1 : 0);
  return [...head, ...Array.from({ length: missing }, () => '0'), ...tail];
}
