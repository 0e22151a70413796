// The house's rules (docs/ARCHITECTURE.md): imports point down only, there are no cycles, and one outside package has one home.
const only = (name, packages, home) => ({
  name: `one-home-${name}`,
  severity: 'error',
  comment: `${packages} belongs in ${home}`,
  from: { path: '^src/', pathNot: home },
  to: { path: `node_modules/(${packages})/` },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-orphans', severity: 'error', from: { path: '^src/', orphan: true, pathNot: 'main\\.ts$' }, to: {} },
    { name: 'unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    { name: 'nobody-imports-main', severity: 'error', from: {}, to: { path: 'src/.*/main\\.ts$' } },
    { name: 'src-knows-no-tests', severity: 'error', from: { path: '^src/' }, to: { path: '^(test|bench|scripts)/' } },
    {
      name: 'protocol-is-the-ground',
      severity: 'error',
      from: { path: '^src/protocol/' },
      to: { path: '^src/(?!protocol/)' },
    },
    {
      name: 'protocol-opens-nothing',
      severity: 'error',
      from: { path: '^src/protocol/' },
      to: { path: '^(node:)?(fs|fs/promises|net|tls|http|child_process)$' },
    },
    {
      name: 'chunks-on-protocol',
      severity: 'error',
      from: { path: '^src/chunks/' },
      to: { path: '^src/(p2p|client|server|demo)/' },
    },
    {
      name: 'chunks-have-no-network',
      severity: 'error',
      from: { path: '^src/chunks/' },
      to: { path: '^(node:)?(net|tls|http)$' },
    },
    {
      name: 'p2p-on-chunks',
      severity: 'error',
      from: { path: '^src/p2p/' },
      to: { path: '^src/(client|server|demo)/' },
    },
    {
      name: 'server-on-protocol',
      severity: 'error',
      from: { path: '^src/server/' },
      to: { path: '^src/(chunks|p2p|client|demo)/' },
    },
    { name: 'client-on-p2p', severity: 'error', from: { path: '^src/client/' }, to: { path: '^src/(server|demo)/' } },
    {
      name: 'storage-behind-its-port',
      severity: 'error',
      from: { path: '^src/server/', pathNot: '^src/server/(storage/|main\\.ts)' },
      to: { path: '^src/server/storage/(?!port\\.ts)' },
    },
    only('database', 'libsql|kysely', '^src/server/storage/'),
    only('passwords', '@node-rs/argon2', '^src/server/auth/'),
    only('metrics', 'prom-client', '^src/server/metrics\\.ts'),
    only('logs', 'pino|pino-pretty', '^src/server/log\\.ts|^src/client/agent/log\\.ts'),
    only('certificates', '@peculiar/x509|reflect-metadata', '^src/protocol/certificate\\.ts'),
    only('blake3', '@napi-rs/blake-hash', '^src/chunks/digest\\.ts'),
    only('xxhash', 'xxhash-wasm', '^src/chunks/digest\\.ts'),
    only(
      'command-line',
      'commander',
      '^src/client/program\\.ts|^src/client/shell|^src/server/config\\.ts|^src/server/program\\.ts',
    ),
    only('progress-bars', 'cli-progress', '^src/client/progress\\.ts'),
    only('queue', 'p-queue', '^src/p2p/download\\.ts'),
    only('paths', 'env-paths', '^src/client/settings\\.ts'),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: '^dist' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'require', 'node', 'default', 'types'],
    },
  },
};
