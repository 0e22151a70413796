/** The real `client`, as a child process. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

export const CLIENT = fileURLToPath(new URL('../../../src/client/main.js', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** An environment in which nothing of the person who runs the tests is found. */
export function cleanEnvironment(home: string, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    XDG_CONFIG_HOME: `${home}/config`,
    TZ: 'UTC',
    PARLEY_HOME: home,
    ...more,
  };
}

export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
}

export function startClient(
  home: string,
  words: readonly string[],
  options: { env?: Record<string, string>; input?: string; cwd?: string } = {},
): Running {
  const child = spawn(process.execPath, [CLIENT, ...words], {
    env: cleanEnvironment(home, options.env),
    cwd: options.cwd,
    // Without a terminal of its own it can ask nobody, wherever the tests run.
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined);
  if (options.input !== undefined) child.stdin.end(options.input);
  const finished = new Promise<Finished>((resolve) => {
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { child, finished };
}

export function runClient(...args: Parameters<typeof startClient>): Promise<Finished> {
  const [home, words, options = {}] = args;
  return startClient(home, words, { input: '', ...options }).finished;
}

/** `exit code CODE` of what ended with --json. */
export function refusal({ code, stdout, stderr }: Finished): string {
  expect(stdout).to.equal('');
  expect(stderr.trim().split('\n'), stderr).to.have.length(1);
  const { error } = JSON.parse(stderr) as { error: { code: string; message: string; retryable: boolean } };
  expect(error).to.include.keys('code', 'message', 'retryable');
  return `${code} ${error.code}`;
}
