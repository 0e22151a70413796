/** `npm run bench [-- name …]`: measures, prints ratios, asserts nothing. */
import { printMachine } from './measure.js';

const BENCHES: Readonly<Record<string, () => Promise<void>>> = {
  register: async () => (await import('./register.js')).printRegister(),
  transfer: async () => (await import('./transfer.js')).printTransfer(),
  server: async () => (await import('./server.js')).benchServer(),
  saturation: async () => (await import('./chat.js')).benchSaturation(),
  online: async () => (await import('./chat.js')).benchOnline(),
  pace: async () => (await import('./chat.js')).benchPace(),
  resume: async () => (await import('./resume.js')).benchResume(),
  fanout: async () => (await import('./fanout.js')).benchFanOut(),
  history: async () => (await import('./history.js')).benchHistory(),
  growth: async () => (await import('./growth.js')).benchGrowth(),
  whoelse: async () => (await import('./whoelse.js')).benchWhoelse(),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(BENCHES, name));
if (unknown.length > 0) {
  console.error(`no bench is named ${unknown.join(', ')}; there are ${Object.keys(BENCHES).join(', ')}`);
  process.exitCode = 2;
} else {
  printMachine();
  for (const [name, bench] of Object.entries(BENCHES)) if (wanted.length === 0 || wanted.includes(name)) await bench();
}
