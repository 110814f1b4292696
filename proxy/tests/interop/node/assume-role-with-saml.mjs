// Assumes a role by a SAML response, nobody signing for it: `node assume-role-with-saml.mjs <packages>`, the parameters as
// JSON on standard input, the answer on standard output.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(`${process.argv[2]}/`);
const { AssumeRoleWithSAMLCommand, STSClient } = require('@aws-sdk/client-sts');
const command = new AssumeRoleWithSAMLCommand(JSON.parse(readFileSync(0, 'utf8')));
console.log(JSON.stringify(await new STSClient({}).send(command)));
