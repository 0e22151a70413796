/** An IRC client that does next to nothing itself: once it counts, it counts lines and looks at no more than how they begin. */
import { randomBytes } from 'node:crypto';
import { connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface IrcTarget {
  readonly port: number;
  readonly tls: boolean;
}

/** Of every nick of this process: the server keeps those of clients that have gone for some seconds. Nicks have at most 9 characters. */
const PREFIX = `b${randomBytes(2).toString('hex')}`;
const COLON = 0x3a;
const LINE_FEED = 0x0a;
/** Of the message of the day, or that there is none: the client is let in. */
const WELCOMED = [' 376 ', ' 422 '];
const NAMES_END = ' 366 ';

/** The nick of one of up to 10,000 clients of this process. */
export function nickOf(client: number): string {
  return `${PREFIX}${client}`;
}

export class RawIrc {
  /** Called with how many messages came together; only after `count`. */
  onMessages: (messages: number) => void = () => undefined;
  readonly #socket: Socket;
  #isCounting = false;
  #isAtStart = true;
  #isMessage = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Registered, and in the channel when one is named. */
  static async open({ port, tls }: IrcTarget, nick: string, channel?: string): Promise<RawIrc> {
    const host = '127.0.0.1';
    const socket = tls ? connectTls({ port, host, rejectUnauthorized: false }) : connectPlain(port, host);
    const client = new RawIrc(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    await new Promise<void>((resolve, reject) => {
      socket.once('close', () => reject(new Error('the IRC server closed the connection')));
      let rest = '';
      const read = (line: string): void => {
        if (line.startsWith('PING')) socket.write(`PONG ${line.slice(5)}\r\n`);
        else if (line.includes(NAMES_END)) resolve();
        else if (!WELCOMED.some((each) => line.includes(each))) return;
        else if (channel === undefined) resolve();
        else socket.write(`JOIN ${channel}\r\n`);
      };
      socket.on('data', (bytes: Buffer) => {
        if (client.#isCounting) {
          client.#count(bytes);
          return;
        }
        const lines = (rest + bytes.toString('latin1')).split('\r\n');
        rest = lines.pop() ?? '';
        lines.forEach(read);
      });
      socket.write(`NICK ${nick}\r\nUSER ${nick} 0 * :u\r\n`);
    });
    return client;
  }

  /** From here on every line that names its sender counts as a message: nobody joins, leaves or pings any more. */
  count(): void {
    this.#isCounting = true;
  }

  write(lines: string): void {
    this.#socket.write(lines);
  }

  close(): void {
    this.#socket.destroy();
  }

  #count(bytes: Buffer): void {
    let messages = 0;
    for (let at = 0; at < bytes.length;) {
      if (this.#isAtStart) this.#isMessage = bytes[at] === COLON;
      const end = bytes.indexOf(LINE_FEED, at);
      this.#isAtStart = end >= 0;
      if (end < 0) break;
      if (this.#isMessage) messages += 1;
      at = end + 1;
    }
    if (messages > 0) this.onMessages(messages);
  }
}
