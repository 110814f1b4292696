// Assumes a role and tells who that is: node assume_role.js <endpoint> <region> <role>
"use strict";

const {
  AssumeRoleCommand,
  GetCallerIdentityCommand,
  GetFederationTokenCommand,
  STSClient,
} = require("@aws-sdk/client-sts");

const [endpoint, region, role] = process.argv.slice(2);

const client = (credentials) => new STSClient({ endpoint, region, credentials, maxAttempts: 1 });

const sts = client({
  accessKeyId: process.env.AWS_ACCESS_KEY_ID,
  secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
});

const assume = (arn) => sts.send(new AssumeRoleCommand({ RoleArn: arn, RoleSessionName: "javascript" }));

async function main() {
  const { Credentials: issued } = await assume(role);
  const session = client({
    accessKeyId: issued.AccessKeyId,
    secretAccessKey: issued.SecretAccessKey,
    sessionToken: issued.SessionToken,
  });
  const identity = await session.send(new GetCallerIdentityCommand({}));
  const refused = await assume(`${role}-that-is-not-there`).then(
    () => "nothing",
    (error) => error.name,
  );
  const { FederatedUser: federated } = await sts.send(new GetFederationTokenCommand({ Name: "bob" }));

  console.log(JSON.stringify({ identity: identity.Arn, refused, federated: federated.Arn }));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
