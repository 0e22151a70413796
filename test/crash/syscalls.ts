/** The order of system calls (R27): the database's log is synced after a message was read and before its acknowledgement is written. */

/** What matters of a trace, in order. */
type Step = 'read' | 'sync' | 'write';

export interface Order {
  /** Writes to the sender's socket after something was read from it. */
  readonly answers: number;
  /** Those before which the log was synced after the last read. */
  readonly synced: number;
  readonly syncs: number;
}

// A socket's name has an arrow in it: `TCP:[127.0.0.1:1->127.0.0.1:2]`.
const LINE = /^(?:\d+ +)?(?:[\d.]+ +)?(\w+)\((\d+)(?:<((?:->|[^>])*)>)?(.*)$/;
const RESUMED = /^(?:(\d+) +)?(?:[\d.]+ +)?<\.\.\. (\w+) resumed>(.*)$/;

/** Reads what `strace -f -yy` wrote. `peerPort` is the sender's end of the connection. */
export function orderOf(trace: string, peerPort: number): Order {
  let [answers, synced, syncs] = [0, 0, 0];
  let state: 'idle' | 'asked' | 'kept' = 'idle';
  for (const step of steps(trace, peerPort)) {
    if (step === 'read') state = 'asked';
    else if (step === 'sync') {
      syncs += 1;
      if (state === 'asked') state = 'kept';
    } else if (state !== 'idle') {
      answers += 1;
      if (state === 'kept') synced += 1;
    }
  }
  return { answers, synced, syncs };
}

function* steps(trace: string, peerPort: number): Generator<Step> {
  const isSocket = (what: string): boolean => what.startsWith('TCP') && what.endsWith(`:${peerPort}]`);
  /** What a thread's call that was not over yet is about. */
  const begun = new Map<string, string>();
  for (const line of trace.split('\n')) {
    const resumed = RESUMED.exec(line);
    if (resumed !== null) {
      const [, thread = '', call = '', rest = ''] = resumed;
      const what = begun.get(thread) ?? '';
      begun.delete(thread);
      if (isSync(call, what) && rest.endsWith('= 0')) yield 'sync';
      if (call.startsWith('read') && isSocket(what) && hasBytes(rest)) yield 'read';
      continue;
    }
    const parsed = LINE.exec(line);
    if (parsed === null) continue;
    const [, call = '', , what = '', rest = ''] = parsed;
    // A write counts from when it begins, everything else when it is over.
    if (/^(write|writev|sendto|sendmsg)$/.test(call) && isSocket(what)) yield 'write';
    else if (rest.includes('<unfinished')) begun.set(/^(\d+)/.exec(line)?.[1] ?? '', what);
    else if (isSync(call, what) && rest.endsWith('= 0')) yield 'sync';
    else if (/^(read|readv|recvfrom|recvmsg)$/.test(call) && isSocket(what) && hasBytes(rest)) yield 'read';
  }
}

function isSync(call: string, what: string): boolean {
  return (call === 'fdatasync' || call === 'fsync') && what.endsWith('-wal');
}

function hasBytes(rest: string): boolean {
  return Number(/= (-?\d+)[^=]*$/.exec(rest)?.[1] ?? 0) > 0;
}
