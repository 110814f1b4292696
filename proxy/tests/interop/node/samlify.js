// Reads who is to be vouched for and prints the metadata of an identity provider and the response it signs.
const fs = require('fs');
const { Constants, IdentityProvider, SamlLib, ServiceProvider, setSchemaValidator } = require('samlify');

const wish = JSON.parse(fs.readFileSync(0, 'utf8'));
const persistent = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent';
const { post } = Constants.namespace.binding;
setSchemaValidator({ validate: () => Promise.resolve('only what comes in is validated') });

const escape = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const statements = Object.entries(wish.attributes).map(([name, values]) => {
  const inner = values.map((value) => `<saml:AttributeValue xsi:type="xs:string">${escape(value)}</saml:AttributeValue>`);
  return `<saml:Attribute Name="${escape(name)}">${inner.join('')}</saml:Attribute>`;
});
const template = SamlLib.defaultLoginResponseTemplate.context
  .replaceAll(' InResponseTo="{InResponseTo}"', '') // nobody asked: the provider starts the login
  .replace('{AuthnStatement}', '<saml:AuthnStatement AuthnInstant="{IssueInstant}" SessionIndex="{AssertionID}"><saml:AuthnContext>'
    + '<saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>'
    + '</saml:AuthnContext></saml:AuthnStatement>')
  .replace('{AttributeStatement}', `<saml:AttributeStatement>${statements.join('')}</saml:AttributeStatement>`);

const idp = IdentityProvider({
  entityID: wish.entity_id,
  privateKey: fs.readFileSync(wish.key),
  signingCert: fs.readFileSync(wish.certificate),
  requestSignatureAlgorithm: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  nameIDFormat: [persistent],
  singleSignOnService: [{ Binding: post, Location: 'https://idp.example/sso' }],
  singleLogoutService: [{ Binding: post, Location: 'https://idp.example/slo' }],
  loginResponseTemplate: { context: template, attributes: [] },
});
const sp = ServiceProvider({
  entityID: wish.audience,
  wantAssertionsSigned: wish.sign !== 'response',
  wantMessageSigned: wish.sign !== 'assertion',
  assertionConsumerService: [{ Binding: post, Location: wish.recipient }],
});

const time = (secondsFromNow) => new Date(Date.now() + 1000 * secondsFromNow).toISOString();
const fill = (context) => ({
  context: SamlLib.replaceTagsByValue(context, {
    ID: idp.entitySetting.generateID(),
    AssertionID: idp.entitySetting.generateID(),
    Issuer: wish.entity_id,
    IssueInstant: time(0),
    Destination: wish.recipient,
    StatusCode: Constants.StatusCode.Success,
    NameIDFormat: persistent,
    NameID: wish.subject,
    SubjectRecipient: wish.recipient,
    SubjectConfirmationDataNotOnOrAfter: time(300),
    ConditionsNotBefore: time(0),
    ConditionsNotOnOrAfter: time(300),
    Audience: wish.audience,
  }),
});
idp.createLoginResponse(sp, null, 'post', { email: wish.subject }, fill).then(({ context }) => {
  console.log(JSON.stringify({ metadata: idp.getMetadata(), response: context }));
});
