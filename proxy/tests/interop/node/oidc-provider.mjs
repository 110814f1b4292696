// An OpenID Connect provider over TLS on loopback, whom anybody may log in to: `node oidc-provider.mjs <packages>`,
// the rest as JSON on standard input. Prints its issuer once it listens.
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:https';
import { pathToFileURL } from 'node:url';

// It was written for a later Node.js, of which it needs only this.
URL.parse ??= (...parts) => (URL.canParse(...parts) ? new URL(...parts) : null);
const path = createRequire(`${process.argv[2]}/`).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(path));

const { certificate, key, redirect, secret, claims } = JSON.parse(readFileSync(0, 'utf8'));
const jwk = (type, options, rest) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), ...rest });
const algorithms = ['RS256', 'PS256', 'ES256', 'EdDSA'];
const client = (id, algorithm) => ({
  client_id: id,
  client_secret: secret,
  redirect_uris: [redirect],
  id_token_signed_response_alg: algorithm,
});
const configuration = {
  clients: [...algorithms.map((algorithm) => client(`${algorithm}-app`, algorithm)), client('another-app', 'RS256')],
  jwks: {
    keys: [
      jwk('rsa', { modulusLength: 2048 }, { use: 'sig', alg: 'RS256' }),
      jwk('rsa', { modulusLength: 2048 }, { use: 'sig', alg: 'PS256' }),
      jwk('ec', { namedCurve: 'P-256' }, { use: 'sig' }),
      jwk('ed25519', undefined, { use: 'sig' }),
    ],
  },
  enabledJWA: { idTokenSigningAlgValues: algorithms },
  pkce: { required: () => false },
  conformIdTokenClaims: false,
  claims: { openid: ['sub', ...Object.keys(claims)] },
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, ...claims }) }),
};

const server = createServer({ cert: readFileSync(certificate), key: readFileSync(key) });
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(issuer, configuration).callback());
  console.log(issuer);
});
