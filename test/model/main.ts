/** `npm run model [-- sequences [seed [path]]]`: what the test does, for longer; exits 1 with the shortest sequence that disagrees. */
import { checkModel } from './check.js';

const SEQUENCES = 20_000;

const [count = String(SEQUENCES), seed, path] = process.argv.slice(2);
const runs = Number(count);
const chosen = seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(seed);
const before = performance.now();
console.log(`${runs.toLocaleString('en')} sequences, seed ${chosen}`);
try {
  await checkModel({
    runs,
    seed: chosen,
    path,
    onRun: (done) => {
      if (done % 1_000 === 0) console.log(`  ${done} after ${((performance.now() - before) / 1000).toFixed(0)} s`);
    },
  });
  console.log('server and model agree');
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
