/** `npm run syscalls`: the server under strace; its log is synced before each acknowledgement is written, 100 of 100. */
import { hasStrace, traceOrder } from './trace.js';

const MESSAGES = 100;

if (!hasStrace()) console.log('strace is not installed: the order of system calls was not looked at');
else {
  for (const how of ['one by one', 'pipelined'] as const) {
    const { answers, synced, syncs } = await traceOrder({ messages: MESSAGES, how });
    console.log(
      `${MESSAGES} messages ${how}: the log was synced before ${synced} of ${answers} writes of answers (${syncs} syncs)`,
    );
    if (synced !== answers || answers === 0 || (how === 'one by one' && answers < MESSAGES)) process.exitCode = 1;
  }
}
