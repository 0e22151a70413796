/** The scripts of `client completion`, in the shells that they are for. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { typedCommands } from '../../src/client/catalog.js';
import { completionScript } from '../../src/client/completion/scripts.js';
import { CLIENT, cleanEnvironment, runClient } from './support/client.js';
import { FakeAgent } from './support/fakeagent.js';
import { runProcess } from '../support/cast.js';

const has = (shell: string): boolean => spawnSync(shell, ['--version']).status === 0;

describe('client, completion for other shells', function () {
  this.timeout(20_000);
  let agent: FakeAgent;
  let bin: string;
  beforeEach(async () => {
    agent = await FakeAgent.start({
      wholast: () => ({
        users: ['alice', 'bob', 'Bertha'].map((user) => ({ user, lastSeen: '2030-01-01T12:00:00.000Z', online: true })),
      }),
      list_groups: () => ({ groups: [{ group: 'skii', mode: 'focus', members: 2 }] }),
      files: () => ({
        files: ['my notes.txt', 'movie.mkv'].map((file) => ({
          file,
          sizeBytes: 1,
          chunks: 2,
          owner: 'bob',
          holders: 1,
        })),
      }),
      searchFile: () => ({
        file: 'movie.mkv',
        available: true,
        sizeBytes: 9,
        chunks: 3,
        owner: 'bob',
        root: 'f'.repeat(64),
        holders: ['bob'],
      }),
    });
    bin = join(agent.home, 'bin');
    mkdirSync(bin);
    writeFileSync(join(bin, 'client'), `#!/bin/sh\nexec '${process.execPath}' '${CLIENT}' "$@"\n`, { mode: 0o755 });
  });
  afterEach(() => agent.close());

  const environment = (): Record<string, string> => ({
    ...cleanEnvironment(agent.home),
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
  });

  /** What bash has in COMPREPLY after Tab behind these words. */
  async function inBash(...words: string[]): Promise<string[]> {
    const script = `eval "$(client completion bash)"
complete -p client >&2
COMP_WORDS=(client "$@")
COMP_CWORD=$#
_parley_client client
printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await runInShell('bash', ['--norc', '-c', script, 'bash', ...words]);
    expect(stderr).to.equal('complete -F _parley_client client\n');
    return stdout.split('\n').filter((line) => line !== '');
  }

  async function runInShell(shell: string, words: string[]): Promise<{ stdout: string; stderr: string }> {
    // Shells are no Node programs: env starts them.
    return runProcess(
      [
        '-e',
        `process.exitCode = require('node:child_process').spawnSync(${JSON.stringify(shell)}, ${JSON.stringify(words)}, { stdio: 'inherit' }).status`,
      ],
      {
        env: environment(),
        cwd: agent.home,
      },
    );
  }

  it('offers in bash commands, options, users, groups, files, chunks and paths', async function () {
    if (!has('bash')) this.skip();
    expect(await inBash('whoel')).to.deep.equal(['whoelse', 'whoelsesince']);
    expect(await inBash('Mess')).to.deep.equal(['message']);
    expect(await inBash('message', 'b')).to.deep.equal(['bob', 'Bertha']);
    expect(await inBash('--home', agent.home, '-q', 'SEND', 'b')).to.deep.equal(['bob', 'Bertha']);
    expect(await inBash('broadcast', '--to', 'bob,')).to.deep.equal(['bob,Bertha']);
    expect(await inBash('join_group', '')).to.deep.equal(['skii']);
    expect(await inBash('download', 'my\\ n')).to.deep.equal(['my notes.txt']);
    expect(await inBash('download', '"my n')).to.deep.equal(['my notes.txt']);
    expect(await inBash('searchChunk', 'movie.mkv', '0', '')).to.deep.equal(['1', '2']);
    expect(await inBash('download', '--ov')).to.deep.equal(['--overwrite']);
    expect(await inBash('whoelse', '--js')).to.deep.equal(['--json']);
    expect(await inBash('--color', '')).to.deep.equal(['auto', 'always', 'never']);
    expect(await inBash('completion', '')).to.deep.equal(['bash', 'zsh', 'fish']);
    writeFileSync(join(agent.home, 'here.txt'), '');
    expect(await inBash('register', 'her')).to.deep.equal(['here.txt']);
    expect(await inBash('--password-file', 'her')).to.deep.equal(['here.txt']);
    expect(await inBash('message', 'bob', 'b')).to.deep.equal([]);
  });

  it('is read by zsh', async function () {
    if (!has('zsh')) this.skip();
    const script = 'compdef() { print -r -- "$@"; }; eval "$(client completion zsh)"; whence -w _parley_client';
    expect((await runInShell('zsh', ['-f', '-c', script])).stdout).to.equal(
      '_parley_client client\n_parley_client: function\n',
    );
  });

  it('offers in fish commands, options and users', async function () {
    if (!has('fish')) this.skip();
    const offers = async (line: string): Promise<string[]> => {
      const script = `client completion fish | source; complete -C ${JSON.stringify(line)}`;
      const { stdout } = await runInShell('fish', ['-c', script]);
      return stdout
        .split('\n')
        .map((each) => each.split('\t')[0] ?? '')
        .filter((each) => each !== '');
    };
    expect(await offers('client whoel')).to.have.members(['whoelse', 'whoelsesince']);
    expect(await offers('client message b')).to.include.members(['bob']);
    expect(await offers('client download --ov')).to.deep.equal(['--overwrite']);
  });

  it('has every command and every option of its own in each script', () => {
    for (const shell of ['bash', 'zsh', 'fish'] as const) {
      const script = completionScript(shell);
      for (const { name, cli } of typedCommands) {
        expect(script).to.contain(name);
        if (shell === 'zsh') continue; // It asks the client for options.
        for (const { flags } of cli.options ?? []) expect(script).to.contain(/--([\w-]+)/.exec(flags)?.[1]);
      }
      expect(script).not.to.contain('undefined');
    }
  });

  it('answers quickly and quietly, starts no agent, and asks nobody', async () => {
    const home = join(agent.home, 'nobody');
    mkdirSync(home);
    const begun = performance.now();
    const { code, stdout, stderr } = await runClient(home, ['__complete', 'message', ''], {
      env: { PARLEY_USER: 'alice', PARLEY_PASSWORD: 'x' },
    });
    expect({ code, stdout, stderr }).to.deep.equal({ code: 0, stdout: 'words\n', stderr: '' });
    expect(performance.now() - begun).to.be.below(3_000);
    agent.handlers['wholast'] = () => new Promise(() => undefined);
    const late = await runClient(agent.home, ['__complete', 'message', '']);
    expect(late).to.deep.equal({ code: 0, stdout: 'words\n', stderr: '' });
    writeFileSync(join(home, 'config.json'), 'no JSON');
    expect((await runClient(home, ['__complete', 'message', ''])).stderr).to.equal('');
    for (const odd of [[], ['--home'], ['--nonsense', ''], ['--', '-x', ''], ['']]) {
      const outcome = await runClient(home, ['__complete', ...odd]);
      expect(outcome).to.include({ code: 0, stderr: '' });
    }
  });

  it('refuses a shell it has no script for', async () => {
    expect((await runClient(agent.home, ['completion', 'tcsh'])).code).to.equal(2);
    expect((await runClient(agent.home, ['completion'])).code).to.equal(2);
  });
});
