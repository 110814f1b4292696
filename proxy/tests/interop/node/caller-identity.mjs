// Who the AWS SDK for JavaScript takes itself for, with nothing but the environment: `node caller-identity.mjs <packages>`.
import { createRequire } from 'node:module';

const require = createRequire(`${process.argv[2]}/`);
const { GetCallerIdentityCommand, STSClient } = require('@aws-sdk/client-sts');
console.log((await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn);
