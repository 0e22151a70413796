/** A load process: a job on its stdin, `ready` and then a report on its stdout. And what the server it loads costs meanwhile. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export interface Loaded<Report> {
  readonly report: Report;
  /** Of the process under load, from `ready` to the end. */
  readonly serverCpu: number;
}

/** @param name of the load's file beside this one */
export async function runLoad<Report>(name: string, job: object, serverPid: number): Promise<Loaded<Report>> {
  const path = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const child = spawn(process.execPath, [path], { stdio: ['pipe', 'pipe', 'inherit'] });
  let output = '';
  let before = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    if (output === '') before = cpuSeconds(serverPid);
    output += text;
  });
  child.stdin.end(JSON.stringify(job));
  await once(child, 'close');
  if (child.exitCode !== 0) throw new Error(`the clients ended with ${child.exitCode}`);
  return {
    report: JSON.parse(output.slice(output.indexOf('\n'))) as Report,
    serverCpu: cpuSeconds(serverPid) - before,
  };
}

/** Of user and system together; hundredths are what the kernel counts in. */
export function cpuSeconds(pid: number): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return Number.NaN;
  }
}

export function printLine(name: string, value: string): void {
  console.log(`  ${name.padEnd(52)} ${value}`);
}
