import { expect } from 'chai';
import { addressKey } from '../../../src/server/auth/addresses.js';

describe('what counts as one address', () => {
  it('takes an IPv4 address for itself, however it is written', () => {
    expect(addressKey('127.0.0.1')).to.equal('127.0.0.1');
    for (const mapped of ['::ffff:127.0.0.1', '::FFFF:127.0.0.1', '0:0:0:0:0:ffff:127.0.0.1']) {
      expect(addressKey(mapped)).to.equal('127.0.0.1');
    }
  });

  it('takes the network of an IPv6 address', () => {
    const key = '2001:db8:0:1::/64';
    for (const same of [
      '2001:db8:0:1::',
      '2001:db8:0:1::5',
      '2001:0DB8:0000:0001:ffff:ffff:ffff:ffff',
      '2001:db8::1:0:0:0:5',
      '2001:db8:0:1:1:2:3.4.5.6',
    ])
      expect(addressKey(same), same).to.equal(key);
    expect(addressKey('2001:db8:0:2::5')).to.not.equal(key);
    expect(addressKey('fe80::1%eth0')).to.equal('fe80:0:0:0::/64');
    expect(addressKey('::1')).to.equal('0:0:0:0::/64');
    expect(addressKey('::')).to.equal('0:0:0:0::/64');
  });
});
