/** `npm run wan`: exits 1 when the goal is not met. */
import { printMachine } from './measure.js';
import { printRows } from './rows.js';
import { benchWan } from './wan.js';

printMachine();
const rows = await benchWan();
printRows(rows);
if (rows.some(({ met }) => met !== true)) process.exitCode = 1;
