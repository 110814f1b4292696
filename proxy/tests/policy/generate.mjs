// Writes the corpus of policy decisions: seeded requests against seeded policies, each with the verdict of
// @cloud-copilot/iam-simulate, one JSON object a line. The simulator (AGPL) is a program beside this one; nothing of
// it is kept here but its answers.
//
//   node generate.mjs <node_modules> > corpus.jsonl
//   node generate.mjs <node_modules> disputed.json     asks about the cases of that file instead
//
// Left out on purpose is what the simulator is known to answer otherwise than AWS documents; disputed.json has an
// example of each.

import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const CASES = 2100
const modules = resolve(process.argv[2] ?? 'node_modules', '@cloud-copilot')
const load = (path) => import(pathToFileURL(resolve(modules, path)))
const { loadPolicy } = await load('iam-policy/dist/esm/index.js')
const simulator = 'iam-simulate/dist/esm/'
const { authorize } = await load(`${simulator}core_engine/CoreSimulatorEngine.js`)
const { DiscoveryContextKeyConstraints } = await load(`${simulator}context_keys/discoveryContextKeyConstraints.js`)
const { AwsRequestImpl } = await load(`${simulator}request/request.js`)
const { RequestContextImpl } = await load(`${simulator}requestContext.js`)
const { anonymousPrincipal } = await load(`${simulator}simulation_engine/simulation.js`)

// ---- chance, the same at every run

let seed = 0x51574152
function random() {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
const below = (n) => Math.floor(random() * n)
const pick = (list) => list[below(list.length)]
const chance = (p) => random() < p
const few = (make, most) => Array.from({ length: chance(0.6) ? 1 : 1 + below(most) }, make)
const some = (list, most) => [...new Set(few(() => pick(list), most))]
const oneOrList = (list) => (list.length === 1 && chance(0.7) ? list[0] : list)

// ---- who asks

const HOME = '123456789012'
const ABROAD = '210987654321'
const PROVIDER = `arn:aws:iam::${HOME}:oidc-provider/issuer.example.com`

/** What the corpus keeps of a requester; `person` spells it out. */
function requester(account, kind) {
  const name = {
    user: () => pick(['alice', 'bob']),
    role: () => `${pick(['reader', 'writer'])}/${pick(['build-17', 'alice'])}`,
    federated: () => pick(['alice', 'bob']),
    provider: () => PROVIDER,
    service: () => pick(['ec2.amazonaws.com', 'lambda.amazonaws.com']),
    anonymous: () => undefined
  }[kind]()
  return ['user', 'role', 'federated'].includes(kind) ? { kind, account, name } : { kind, name }
}

function person({ kind, account, name }) {
  const [role] = (name ?? '').split('/')
  switch (kind) {
    case 'user':
      return { kind, account, name, arn: `arn:aws:iam::${account}:user/${name}`, id: `AIDA${name.toUpperCase()}` }
    case 'role':
      return {
        kind,
        account,
        arn: `arn:aws:sts::${account}:assumed-role/${name}`,
        issuer: `arn:aws:iam::${account}:role/${role}`,
        id: `AROA${role.toUpperCase()}:${name.slice(role.length + 1)}`
      }
    case 'federated': {
      const [arn, issuer] = [`arn:aws:sts::${account}:federated-user/${name}`, `arn:aws:iam::${account}:user/${name}`]
      return { kind, account, arn, issuer, id: `${account}:${name}` }
    }
    default:
      return { kind, arn: name }
  }
}

// ---- what is known

const TIMES = ['2026-01-02T03:04:05Z', '2025-06-30T23:59:59Z', '2026-01-02T03:04:06Z', '2024-02-29T00:00:00Z']
const TAGS = ['team', 'Cost Center', 'stage']
const TAG_VALUES = ['blue', 'red', 'Blue', 'b*e', 'größe', 'a:b']

function context(who) {
  const known = {}
  const maybe = (p, key, value) => chance(p) && (known[key] = value())
  if (who.account) {
    known['aws:PrincipalAccount'] = who.account
    known['aws:PrincipalArn'] = who.kind === 'role' ? who.issuer : who.arn
    known['aws:userid'] = who.id
    known['aws:PrincipalType'] = { user: 'User', role: 'AssumedRole', federated: 'FederatedUser' }[who.kind]
    if (who.kind === 'user') known['aws:username'] = who.name
    for (const tag of TAGS) maybe(0.4, `aws:PrincipalTag/${tag}`, () => pick(TAG_VALUES))
    if (['role', 'federated'].includes(who.kind) || chance(0.3)) {
      known['aws:TokenIssueTime'] = pick(TIMES)
      maybe(0.6, 'aws:MultiFactorAuthPresent', () => pick(['true', 'false']))
      maybe(0.4, 'aws:MultiFactorAuthAge', () => pick(['0', '300', '3600', '86400']))
    }
  }
  const tags = TAGS.filter(() => chance(0.35))
  for (const tag of tags) known[`aws:RequestTag/${tag}`] = pick(TAG_VALUES)
  if (tags.length) known['aws:TagKeys'] = tags
  for (const tag of TAGS) maybe(0.3, `aws:ResourceTag/${tag}`, () => pick(TAG_VALUES))
  known['aws:CurrentTime'] = pick(TIMES)
  maybe(0.8, 'aws:SourceIp', () => pick(['203.0.113.7', '192.0.2.1', '10.1.2.3', '2001:db8::7', '2001:db9::1']))
  known['aws:SecureTransport'] = pick(['true', 'false'])
  maybe(0.7, 'aws:UserAgent', () => pick(['aws-cli/2.15.0', 'Boto3/1.34', 'curl/8.5.0']))
  maybe(0.3, 'aws:Referer', () => pick(['https://example.com/a', 'https://example.org/', 'http://example.com/a?b']))
  maybe(0.3, 'aws:SourceIdentity', () => pick(['alice', 'bob', 'Alice']))
  maybe(0.5, 's3:prefix', () => pick(['/', 'home/alice/', 'home/', 'logs/2026/', 'Home/Alice/']))
  maybe(0.4, 's3:delimiter', () => pick(['/', '|']))
  maybe(0.5, 's3:max-keys', () => pick(['1', '10', '100', '1000']))
  maybe(0.3, 's3:VersionId', () => pick(['null', '3HL4kqtJvjVBH40Nrjfkd', 'v1']))
  maybe(0.4, 's3:x-amz-acl', () => pick(['private', 'public-read', 'bucket-owner-full-control']))
  maybe(0.3, 's3:x-amz-server-side-encryption', () => pick(['AES256', 'aws:kms']))
  maybe(0.3, 's3:signatureAge', () => pick(['0', '599999', '600000', '604800000']))
  maybe(0.4, 'sts:RoleSessionName', () => pick(['alice', 'bob', 'build-17']))
  maybe(0.4, 'sts:ExternalId', () => pick(['secret-1', 'Secret-1', 'x']))
  maybe(0.3, 'sts:TransitiveTagKeys', () => some(TAGS, 2))
  maybe(0.3, 'accounts.google.com:sub', () => pick(['1234', '5678']))
  maybe(0.3, 'issuer.example.com:aud', () => pick(['sigward', 'other']))
  maybe(0.3, 'saml:aud', () => pick(['https://signin.aws.amazon.com/saml', 'urn:x']))
  maybe(0.2, 'saml:edupersonaffiliation', () => some(['staff', 'student', 'alum'], 3))
  maybe(0.3, 'example:Digest', () => pick(['QmluYXJ5VmFsdWU=', 'AAEC']))
  maybe(0.3, 'aws:SourceArn', () => pick(ARNS))
  return known
}

const ARNS = [
  `arn:aws:sns:eu-west-1:${HOME}:topic`,
  `arn:aws:sns:eu-west-1:${HOME}:topic:sub:1`,
  'arn:aws:s3:::bucket',
  'arn:aws-cn:s3:::bucket/a/b',
  'not an arn'
]

// ---- conditions

const TEXT = ['StringEquals', 'StringNotEquals', 'StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase', 'StringLike', 'StringNotLike']
const NUMBER = ['Equals', 'NotEquals', 'LessThan', 'LessThanEquals', 'GreaterThan', 'GreaterThanEquals']
const TEXT_KEYS = [
  'aws:username', 'aws:userid', 'aws:PrincipalAccount', 'aws:PrincipalType', 'aws:UserAgent', 'aws:Referer',
  'aws:SourceIdentity', 's3:prefix', 's3:delimiter', 's3:VersionId', 's3:x-amz-acl', 's3:x-amz-server-side-encryption',
  'sts:RoleSessionName', 'sts:ExternalId', 'accounts.google.com:sub', 'issuer.example.com:aud', 'saml:aud',
  ...['Principal', 'Request', 'Resource'].flatMap((family) => TAGS.map((tag) => `aws:${family}Tag/${tag}`))
]
const LIST_KEYS = ['aws:TagKeys', 'sts:TransitiveTagKeys', 'saml:edupersonaffiliation']
const VARIABLES = [
  '${aws:username}', '${aws:PrincipalTag/team}', '${aws:PrincipalTag/stage, \'blue\'}', '${aws:userid}',
  '${AWS:UserName}', '${sts:RoleSessionName}', '${aws:SourceIdentity, \'bob\'}', '${*}', '${?}', '${$}'
]

const RESOLVED = VARIABLES.filter((variable) => /, |[*?$]}$/.test(variable))

function near(value, key, variables = VARIABLES) {
  const choices = [
    () => value,
    () => value,
    () => `${value.slice(0, 1 + below(4))}*`,
    () => `*${value.slice(-1 - below(3))}`,
    () => [...value].map((c, i) => (i === 1 ? '?' : c)).join(''),
    () => value.toUpperCase(),
    () => '*',
    () => pick(TAG_VALUES),
    () => pick(['alice', 'bob', 'blue', 'private', 'home/*', 'x']),
    () => pick(variables),
    () => `home/${pick(variables)}/*`
  ]
  return pick(choices)() || key.slice(-3)
}

const anyCase = (key) => (chance(0.15) ? (chance(0.5) ? key.toLowerCase() : key.toUpperCase()) : key)

const qualified = (set, operator, exists) => `${set}${operator}${set === 'ForAnyValue:' ? '' : exists}`

/** One operator, one key, values: a member of a Condition block. */
function condition(known) {
  const family = pick(['text', 'text', 'text', 'list', 'number', 'date', 'bool', 'ip', 'arn', 'null', 'binary', 'epoch'])
  const exists = chance(0.2) ? 'IfExists' : ''
  const set = (p) => (chance(p) ? pick(['ForAllValues:', 'ForAnyValue:']) : '')
  const value = (key, fallback) => [known[key] ?? fallback].flat()[0]
  switch (family) {
    case 'text': {
      const key = pick(TEXT_KEYS.filter((key) => key in known || chance(0.25)))
      const operator = pick(TEXT)
      const values = few(() => near(value(key, 'alice'), key, operator.includes('Not') ? RESOLVED : VARIABLES), 3)
      return [qualified(set(0.15), operator, exists), key, values]
    }
    case 'list': {
      const key = pick(LIST_KEYS)
      const operator = pick(TEXT)
      const variables = operator.includes('Not') ? RESOLVED : VARIABLES
      const values = few(() => near(pick([known[key] ?? 'team'].flat()), key, variables), 3)
      return [qualified(set(0.9), operator, exists), key, values]
    }
    case 'number': {
      const key = pick(['s3:max-keys', 's3:signatureAge', 'aws:MultiFactorAuthAge'])
      const number = Number(value(key, '10'))
      const values = few(() => pick([number, number, number + 1, number - 1, `${number}`, `${number}.5`, 100]), 2)
      return [qualified(set(0.1), `Numeric${pick(NUMBER)}`, exists), key, values]
    }
    case 'date': {
      const key = pick(['aws:CurrentTime', 'aws:TokenIssueTime'])
      const values = few(() => pick([...TIMES, value(key, TIMES[0]), '2026-01-02', '2025-07', '2026-01-02T04:04:05+01:00']), 2)
      return [qualified(set(0.1), `Date${pick(NUMBER)}`, exists), key, values]
    }
    case 'epoch': {
      known['aws:EpochTime'] ??= pick(['1767323045', '1700000000'])
      const values = few(() => pick(['1767323045', '1700000000', 1767323046]), 2)
      return [`Date${pick(NUMBER)}${exists}`, 'aws:EpochTime', values]
    }
    case 'bool': {
      const key = pick(['aws:SecureTransport', 'aws:MultiFactorAuthPresent'])
      return [qualified(set(0.1), `Bool`, exists), key, few(() => pick(['true', 'false', 'True', true, false]), 1)]
    }
    case 'ip': {
      const networks = (known['aws:SourceIp'] ?? '.').includes('.')
        ? ['203.0.113.0/24', '192.0.2.1', '192.0.2.1/32', '10.0.0.0/8', '0.0.0.0/1', '128.0.0.0/1']
        : ['2001:db8::/32', '2000::/3', '2001:db8::7', '2001:db9::/64', 'fe80::/10']
      return [qualified(set(0.1), `${pick(['IpAddress', 'NotIpAddress'])}`, exists), 'aws:SourceIp', some(networks, 2)]
    }
    case 'arn': {
      const key = pick(['aws:PrincipalArn', 'aws:SourceArn'])
      const negated = known[key] !== 'not an arn' && chance(0.5)
      const patterns = [
        value(key, ARNS[0]), 'arn:aws:sns:*:*:topic', `arn:aws:sns:eu-west-?:${HOME}:*`, 'arn:*:s3:::bucket*',
        `arn:aws:iam::${HOME}:user/*`, `arn:aws:iam::${HOME}:role/reader`, 'arn:aws:iam::*:user/${aws:username}',
        `arn:aws:iam::${HOME}:*`, 'arn:aws:s*:topic', `arn:aws:sns:eu-west-1:${HOME}:${'${aws:PrincipalTag/team, \'topic\'}'}`
      ].filter((pattern) => pattern.startsWith('arn:') && pattern.split(/:(?![^{]*})/).length >= 6 && !(negated && pattern.includes('$')))
      return [qualified(set(0.1), `Arn${negated ? 'Not' : ''}${pick(['Equals', 'Like'])}`, exists), key, some(patterns, 2)]
    }
    case 'null':
      return ['Null', pick([...TEXT_KEYS, ...LIST_KEYS, 'aws:TokenIssueTime']), few(() => pick(['true', 'false', true, false]), 1)]
    case 'binary':
      return [`BinaryEquals${exists}`, 'example:Digest', some(['QmluYXJ5VmFsdWU=', 'AAEC', 'AAED'], 2)]
  }
}

function conditions(known) {
  const block = {}
  const wanted = pick([0, 0, 1, 1, 1, 2])
  for (let i = 0; i < wanted; i++) {
    const [operator, key, values] = condition(known)
    block[operator] ??= {}
    const taken = Object.keys(block[operator]).some((other) => other.toLowerCase() === key.toLowerCase())
    if (!taken) block[operator][anyCase(key)] = oneOrList(values)
  }
  return Object.keys(block).length ? block : undefined
}

// ---- statements

const S3_ACTIONS = ['s3:GetObject', 's3:GetObjectVersion', 's3:PutObject', 's3:DeleteObject', 's3:ListBucket', 's3:GetObjectTagging']
const STS_ACTIONS = ['sts:AssumeRole', 'sts:TagSession', 'sts:SetSourceIdentity', 'sts:AssumeRoleWithWebIdentity']
const KEYS = ['home/alice/a.txt', 'home/bob/a.txt', 'logs/2026/01.gz', 'a:b', 'größe', 'home/blue/k', 'home/alice/b/b.txt']
const ROLE = `arn:aws:iam::${HOME}:role/target`

const actionPattern = (action) =>
  pick([
    action, action, action, action, action.toLowerCase(), action.replace(/:.*/, ':*'), '*', action.replace(/(:...).*/, '$1*'),
    action.replace(/(:.*?)t/, '$1?'), pick(S3_ACTIONS), pick(STS_ACTIONS), `${action}x`
  ])
const trustAction = (action) =>
  pick([action, action, 'sts:*', 'sts:Assume*', 'sts:AssumeRole?ithWebIdentity', pick(STS_ACTIONS)])
const resourcePattern = (resource) =>
  pick([
    resource, resource, resource, '*', resource.replace(/\/.*/, '/*'), 'arn:aws:s3:::bucket*', 'arn:aws:s3:::bucket/home/${aws:username}/*',
    'arn:aws:s3:::bucket/home/${aws:PrincipalTag/team}/*', 'arn:aws:s3:::bucket/home/${aws:PrincipalTag/team, \'alice\'}/?.*',
    'arn:aws:s3:::*/${sts:RoleSessionName}*', 'arn:*:s3:::bucket/*', 'arn:aws:s3:::bucket/a${?}b', 'arn:aws:s3:::bucket/a?b',
    'arn:aws:s3:::bucket/*a*t', 'arn:aws:s3:*:*:bucket/*', 'arn:aws:s3:::buck??/*', `arn:aws:iam::*:role/t*`,
    'arn:aws:s3:::bucket/*/${aws:username}*/*.txt', ROLE
  ])

function principalElement(who, limited) {
  const own = who.account ? [!limited && who.arn, who.issuer, who.account, `arn:aws:iam::${who.account}:root`].filter(Boolean) : []
  const others = [
    `arn:aws:iam::${HOME}:user/alice`, `arn:aws:iam::${HOME}:role/reader`, `arn:aws:iam::${ABROAD}:root`, ABROAD,
    `arn:aws:sts::${HOME}:assumed-role/reader/build-17`, `arn:aws:sts::${HOME}:federated-user/alice`
  ].filter((arn) => !limited || arn !== who.arn)
  if (chance(0.12) && !limited && who.kind !== 'provider') return chance(0.5) ? '*' : { AWS: '*' }
  if (chance(0.05) || who.kind === 'service')
    return { Service: oneOrList(some(['ec2.amazonaws.com', 'lambda.amazonaws.com'], 2)) }
  if (chance(0.05) || who.kind === 'provider') return { Federated: oneOrList(some([PROVIDER, 'accounts.google.com'], 2)) }
  return { AWS: oneOrList(few(() => pick(own.length && chance(0.85) ? own : others), 2)) }
}

/** NotPrincipal lists all that makes up who asks, or nothing of it. */
function principals(made, who, limited) {
  const all = [who.arn, who.issuer, who.account].filter(Boolean)
  if (made.Effect === 'Deny' && who.account && chance(0.2))
    made.NotPrincipal = { AWS: chance(0.5) ? all : `arn:aws:iam::${HOME}:user/carol` }
  else made.Principal = principalElement(who, limited)
}

function statement(kind, who, ask, known, limited) {
  const made = { Effect: chance(0.25) ? 'Deny' : 'Allow' }
  if (chance(0.2)) made.Sid = `S${below(1000)}`
  if (kind === 'trust') {
    principals(made, who, limited)
    made[chance(0.05) ? 'NotAction' : 'Action'] = oneOrList(few(() => trustAction(ask.action), 2))
  } else {
    if (kind === 'resource') principals(made, who, limited)
    made[chance(0.1) ? 'NotAction' : 'Action'] = oneOrList(few(() => actionPattern(ask.action), 2))
    const patterns = few(() => resourcePattern(ask.resource), 2)
    const unresolved = patterns.some((pattern) => /\$\{[^}',]*:[^}',]*\}/.test(pattern))
    made[chance(0.1) && !unresolved ? 'NotResource' : 'Resource'] = oneOrList(patterns)
  }
  const block = conditions(known)
  if (block) made.Condition = block
  return made
}

function policy(kind, who, ask, known, limited) {
  const statements = few(() => statement(kind, who, ask, known, limited), kind === 'boundary' ? 1 : 2)
  const seen = new Set()
  for (const one of statements) seen.has(one.Sid) ? delete one.Sid : seen.add(one.Sid)
  return { Version: '2012-10-17', Statement: oneOrList(statements) }
}

const ALL = { Version: '2012-10-17', Statement: { Effect: 'Allow', Action: '*', Resource: '*' } }

function generated() {
  const trust = chance(0.3)
  const kind = pick(['user', 'user', 'user', 'role', 'role', 'role', 'federated', trust ? 'provider' : 'anonymous', 'service'])
  const kept = requester(chance(0.2) ? ABROAD : HOME, kind)
  const who = person(kept)
  const known = context(who)
  const ask = trust
    ? { action: pick(STS_ACTIONS), resource: ROLE }
    : { action: pick(S3_ACTIONS), resource: `arn:aws:s3:::bucket/${pick(KEYS)}` }
  const made = { who: kept, ...ask, context: known }
  const make = (kind) => policy(kind, who, ask, known, Boolean(made.session))
  if (who.account) {
    made.identity = few(() => (chance(0.4) ? ALL : make('identity')), 2)
    if (chance(0.25)) made.boundary = chance(0.4) ? ALL : make('boundary')
    if (kind === 'federated' || (kind === 'role' && chance(0.4)))
      made.session = few(() => (chance(0.45) ? ALL : make('identity')), 2)
  }
  if (trust) made.trust = make('trust')
  else if (!who.account || who.account === ABROAD || chance(0.35)) made.bucket = make('resource')
  return { ...made, context: mentioned(made) }
}

/** What of the context the policies speak about, and little else: the corpus is to stay small. */
function mentioned(made) {
  const { context, identity, boundary, session, trust, bucket } = made
  const text = JSON.stringify([identity, boundary, session, trust, bucket]).toLowerCase()
  const needed = (key) => text.includes(key.toLowerCase()) || (key.startsWith('aws:RequestTag/') && text.includes('aws:tagkeys'))
  const kept = Object.entries(context).filter(([key]) => needed(key) || chance(0.02))
  if (kept.some(([key]) => key.startsWith('aws:RequestTag/'))) {
    const keys = kept.flatMap(([key]) => (key.startsWith('aws:RequestTag/') ? [key.slice('aws:RequestTag/'.length)] : []))
    return { ...Object.fromEntries(kept), 'aws:TagKeys': keys }
  }
  return Object.fromEntries(kept.filter(([key]) => key !== 'aws:TagKeys'))
}

// ---- the simulator's verdict

const VERDICTS = { Allowed: 'allow', ExplicitlyDenied: 'deny', ImplicitlyDenied: 'nothing' }
const named = (document, name) => loadPolicy(document, { name })

function verdict(asked) {
  const who = person(asked.who)
  const principal = who.kind === 'anonymous' ? anonymousPrincipal : who.arn
  const resource = { resource: asked.resource, accountId: HOME }
  const passed = asked.session
  // The simulator takes one session policy. Several permit together what any of them permits, as one document does.
  const session = passed && { Version: '2012-10-17', Statement: passed.flatMap((document) => document.Statement) }
  const analysis = authorize({
    request: new AwsRequestImpl(principal, resource, asked.action, new RequestContextImpl(asked.context)),
    sessionPolicy: session && named(session, 'session'),
    identityPolicies: (asked.identity ?? []).map((document, index) => named(document, `identity-${index}`)),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    resourcePolicy: (asked.trust ?? asked.bucket) && named(asked.trust ?? asked.bucket, 'resource'),
    permissionBoundaries: asked.boundary && [named(asked.boundary, 'boundary')],
    vpcEndpointPolicies: undefined,
    simulationParameters: { simulationMode: 'Strict', discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]) },
    serviceSettings: {}
  })
  return VERDICTS[analysis.result] ?? analysis.result
}

if (process.argv[3]) {
  const disputed = JSON.parse(readFileSync(process.argv[3], 'utf8'))
  console.log(JSON.stringify(disputed.map((dispute) => verdict(dispute.case))))
} else {
  for (let i = 0; i < CASES; i++) {
    const asked = generated()
    console.log(JSON.stringify({ ...asked, verdict: verdict(asked) }))
  }
}
