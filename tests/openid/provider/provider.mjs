// A real OpenID Connect provider for tests: `oidc-provider` with its development forms, on loopback with TLS.
//
//   node provider.mjs '{"port": 0, "cert": "cert.pem", "key": "key.pem", "accounts": "accounts.json",
//                       "client": {...}, "algorithm": "RS256"}'
//
// Says {"issuer": ...} on standard output when it listens, and ends with its standard input. Accounts are read anew at
// each sign-in: {"ann": {"email": ..., "email_verified": true, "name": ..., "groups": [...]}}. Its keys are new at each
// start, so starting it again on the same port is a rotation.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import Provider from 'oidc-provider';

const settings = JSON.parse(process.argv[2]);
const KINDS = {
  RS256: ['rsa', { modulusLength: 2048 }],
  PS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};
const algorithm = settings.algorithm ?? 'RS256';

function newKey() {
  const { privateKey } = generateKeyPairSync(...KINDS[algorithm]);
  return { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(6).toString('hex'), alg: algorithm, use: 'sig' };
}

function accountOf(_context, id) {
  const account = JSON.parse(readFileSync(settings.accounts))[id];
  return account && { accountId: id, claims: async () => ({ sub: id, ...account }) };
}

let provider;
const server = createServer({ cert: readFileSync(settings.cert), key: readFileSync(settings.key) }, (request, response) =>
  provider.callback()(request, response),
);
server.listen(settings.port, '127.0.0.1', () => {
  const issuer = `https://localhost:${server.address().port}`;
  provider = new Provider(issuer, {
    clients: [{ id_token_signed_response_alg: algorithm, ...settings.client }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
    cookies: { keys: [randomBytes(16).toString('hex')] },
    enabledJWA: { idTokenSigningAlgValues: [algorithm] },
    findAccount: accountOf,
    jwks: { keys: [newKey()] },
    pkce: { required: () => true },
  });
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});
process.stdin.on('end', () => process.exit(0)).resume();
