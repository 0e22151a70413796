import { X509Certificate } from 'node:crypto';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'chai';
import {
  fingerprintOf,
  formatFingerprint,
  identityFromPem,
  makeIdentity,
  parseFingerprint,
  publicKeyOf,
  sameKey,
} from '../../src/protocol/certificate.js';
import { ParleyError } from '../../src/protocol/errors.js';

const code = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return error instanceof ParleyError ? error.code : String(error);
  }
  return 'nothing thrown';
};

describe('protocol/certificate', () => {
  it('makes a self-signed P-256 certificate of a fresh key, valid from yesterday for 50 years', async () => {
    const [one, two] = await Promise.all([makeIdentity('alice'), makeIdentity('alice')]);
    const certificate = new X509Certificate(one.certificatePem);
    expect(certificate.publicKey.asymmetricKeyDetails).to.deep.equal({ namedCurve: 'prime256v1' });
    expect(certificate.verify(certificate.publicKey)).to.equal(true);
    expect(certificate.subject).to.equal('CN=alice');
    const year = new Date().getUTCFullYear();
    expect(Date.parse(certificate.validFrom)).to.be.lessThan(Date.now());
    expect(new Date(certificate.validTo).getUTCFullYear()).to.be.within(year + 49, year + 50);
    expect(one.publicKey).not.to.equal(two.publicKey);
    expect(certificate.serialNumber).not.to.equal(new X509Certificate(two.certificatePem).serialNumber);
    expect(one.privateKeyPem).to.match(/^-----BEGIN PRIVATE KEY-----\n/);
  });

  it('reads its own PEM back, and refuses a certificate of another key', async () => {
    const [one, two] = await Promise.all([makeIdentity('a'), makeIdentity('b')]);
    expect(identityFromPem(one.privateKeyPem, one.certificatePem)).to.deep.equal(one);
    expect(() => identityFromPem(one.privateKeyPem, two.certificatePem)).to.throw(/does not belong/);
  });

  it('finds the same key and fingerprint in the certificate as DER', async () => {
    const made = await makeIdentity('a');
    const der = new X509Certificate(made.certificatePem).raw;
    expect(publicKeyOf(der)).to.equal(made.publicKey);
    expect(fingerprintOf(publicKeyOf(der))).to.equal(made.fingerprint);
    expect(code(() => publicKeyOf(der.subarray(0, 40)))).to.equal('PROTOCOL_ERROR');
    expect(code(() => publicKeyOf(Buffer.alloc(0)))).to.equal('PROTOCOL_ERROR');
  });

  it('fingerprints known bytes as SHA-256 in base64', () => {
    expect(fingerprintOf(Buffer.from('abc').toString('base64'))).to.equal(
      'ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=',
    );
  });

  it('compares keys by all their bytes, and nothing is the same as no key', () => {
    expect(sameKey('AAEC', 'AAEC')).to.equal(true);
    expect(sameKey('AAEC', 'AAED')).to.equal(false);
    expect(sameKey('AAEC', 'AAECAA==')).to.equal(false);
    expect(sameKey('', '')).to.equal(false);
  });

  it('prints and reads fingerprints, with and without prefix and padding, in one spelling only', async () => {
    const { fingerprint } = await makeIdentity('a');
    const printed = formatFingerprint(fingerprint);
    expect(printed).to.equal(`SHA256:${fingerprint}`);
    const spellings = [printed, printed.slice(0, -1), fingerprint, fingerprint.slice(0, -1), ` ${printed}\n`];
    for (const spelling of spellings) expect(parseFingerprint(spelling)).to.equal(fingerprint);
    const slack = `${'A'.repeat(42)}B=`; // spare bits set: not what any 32 bytes encode to
    for (const wrong of [
      '',
      'SHA256:',
      'hello',
      `${fingerprint}=`,
      fingerprint.slice(1),
      `MD5:${fingerprint}`,
      slack,
    ]) {
      expect(code(() => parseFingerprint(wrong))).to.equal('USAGE');
    }
  });

  it('is cheap to import, and warns about nothing when it makes a key', async () => {
    const module = new URL('../../src/protocol/certificate.js', import.meta.url).href;
    const script = `
      const { makeIdentity } = await import(${JSON.stringify(module)});
      console.log(typeof Reflect.getMetadata);
      await makeIdentity('a');
      console.log(typeof Reflect.getMetadata);`;
    const run = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    expect(run).to.deep.equal({ stdout: 'undefined\nfunction\n', stderr: '' });
  });
});
