//! Step 1: who asks, whether they signed or not; and what a browser asks before it does.

use std::borrow::Cow;
use std::pin::pin;

use bytes::Bytes;
use http::header::{ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HOST, ORIGIN};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Response, Uri};
use http_body::Body as _;
use sigv4::{ParseError, PayloadMode};

use super::access_log::Call;
use super::answer_body::AnswerBody;
use super::error::GatewayError;
use super::permission::Asker;
use super::plan::Route;
use super::vigil::Vigil;
use super::{Lingering, Serving, content, host, is_preflight, unambiguous_path};
use crate::admission::{Attempt, NotAdmitted, Proved};
use crate::auth::{self, AuthError, Authenticated, NotForEverybody, Permitted, Unsigned};
use crate::s3::{Action, Asked, Cors, Target};
use crate::upstream::Outbound;

/// Who asks, before it is known what for.
#[expect(
    clippy::large_enum_variant,
    reason = "the large variant is that of nearly every request, and boxing it would cost an allocation"
)]
pub(super) enum Identity {
    /// Whoever holds a credential.
    Signed(Authenticated),
    /// Nobody signed, and this must be proved about the body.
    Nobody(Unsigned, PayloadMode),
}

impl Identity {
    /// See [`Authenticated::plus_is_space`].
    pub(super) fn plus_is_space(&self) -> bool {
        match self {
            Self::Signed(authenticated) => authenticated.plus_is_space(),
            Self::Nobody(..) => false,
        }
    }

    /// What is addressed. Whoever did not sign learns nothing from a target that there cannot be.
    pub(super) fn target(&self, parsed: Result<Target, GatewayError>) -> Result<Target, GatewayError> {
        match self {
            Self::Signed(_) => parsed,
            Self::Nobody(..) => parsed.map_err(|_| NotForEverybody::Denied.into()),
        }
    }
}

impl<'g> Serving<'g> {
    /// Looks for a signature and checks it.
    pub(super) async fn identity(self, parts: &Parts, call: &mut Call) -> Result<Identity, GatewayError> {
        let attempt = Attempt {
            parts,
            endpoint: &self.plan.endpoint,
            now: call.now,
            body: None,
            address: call.peer.ip(),
            hosts: &call.hosts,
        };
        let proved = self.gateway.admission.authenticate(&self.gateway.store, attempt).await;
        self.gateway.metrics.verified(call.elapsed());
        match proved {
            Ok(Proved { authenticated, host }) => {
                call.host = host;
                call.identify(authenticated.record());
                Ok(Identity::Signed(authenticated))
            }
            Err(NotAdmitted::Auth(AuthError::Parse(ParseError::Anonymous))) => {
                let (unsigned, payload) = auth::unsigned(parts)?;
                Ok(Identity::Nobody(unsigned, payload))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Asks for revocation and for the limit of the principal; of nobody, whether everybody may do anything at all on
    /// the route. Where there is none, whoever did not sign does not learn so.
    pub(super) fn asker(
        self,
        identity: Identity,
        route: Option<&'g Route>,
        call: &mut Call,
    ) -> Result<(Asker<'g>, PayloadMode), GatewayError> {
        match identity {
            Identity::Signed(authenticated) => {
                let (unrevoked, payload) = auth::unrevoked(&self.gateway.store, authenticated)?;
                self.gateway.admission.principal(unrevoked.credential())?;
                Ok((Asker::Signer(unrevoked), payload))
            }
            Identity::Nobody(unsigned, payload) => {
                let actions = route.map_or(&[][..], |route| &route.rule.access.anonymous_actions);
                if actions.is_empty() {
                    return Err(NotForEverybody::Denied.into());
                }
                call.identify_nobody();
                Ok((Asker::Anybody(unsigned, actions), payload))
            }
        }
    }

    /// Lets a request through that may succeed once only, where that is wanted of those that write.
    pub(super) fn claim(
        self,
        permitted: &Permitted,
        action: Action,
        route: &Route,
        call: &mut Call,
    ) -> Result<(), GatewayError> {
        let once = route.rule.access.replay_protection && action.is_mutation();
        if let Some((key, date)) = permitted.replayable().filter(|_| once) {
            call.claim(self.gateway.admission.claim(key, date, call.now.timestamp())?);
        }
        Ok(())
    }

    /// Answers a browser that asks whether it may ask, or has the backend answer.
    pub(super) async fn preflight(
        self,
        parts: &Parts,
        incoming: Lingering,
        call: &mut Call,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let target =
            Target::parse(parts.uri.path().as_bytes(), host(parts), self.plan.domains(call.peer.listener))?;
        call.aim(Action::Options, &target);
        let resource_type = if target.key().is_some() { "OBJECT" } else { "BUCKET" };
        let (none, route) = (Cors::default(), self.plan.route(host(parts), &target));
        if let Ok(route) = route
            && route.rule.access.forward_preflights
            && incoming.is_end_stream()
        {
            return self.forward_preflight(question(parts), (&target, route), incoming, call).await;
        }
        let cors = route.as_ref().map_or(&none, |route| &route.rule.access.cors);
        let headers = cors.preflight(&parts.headers, resource_type).map_err(GatewayError::Preflight)?;
        let mut answer = Response::new(AnswerBody::whole(Bytes::new()));
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// The backend learns what the browser wants to do, and nothing else; it answers as it would answer anybody.
    async fn forward_preflight(
        self,
        parts: Parts,
        (target, route): (&Target, &Route),
        incoming: Lingering,
        call: &mut Call,
    ) -> Result<Response<AnswerBody>, GatewayError> {
        let (unsigned, payload) = auth::unsigned(&parts)?;
        let permitted = unsigned.preflight(&parts.method).ok_or(GatewayError::Method)?;
        let action = Action::Options;
        let asked = Asked { action, target, query: None, headers: &parts.headers, objects: None };
        let destination = self.plan.destination(route, host(&parts), &asked)?;
        let upstream = destination.upstream;
        let (mut body, content) = content::of_request(upstream, &parts, action, payload, incoming)?;
        let verdict = body.verdict();
        let vigil = Vigil { upstream, verdict: &verdict };
        call.receive(verdict.clone());
        vigil.prime(&mut body).await?;
        let path = unambiguous_path(&parts, false);
        let path = match upstream.is_passthrough() {
            true => Cow::Borrowed(parts.uri.path().as_bytes()),
            false => target.backend_path(&path),
        };
        let (forwarded_for, now) = (call.peer.forwarded_for(), call.now.timestamp());
        let outbound = Outbound { parts: &parts, path: &path, content, forwarded_for, now };
        let sending = upstream.forward(&permitted, &outbound, body);
        let response = vigil.response(pin!(sending), &self.gateway.metrics).await?;
        call.answered();
        Ok(destination.answer(response, &parts, action, call.peer.tls))
    }

    /// Tells a browser whether its page may see the answer, errors included.
    pub(super) fn describe_cors(self, parts: &Parts, call: &Call, answer: &mut HeaderMap) {
        if is_preflight(parts) || !self.plan.has_cors() {
            return;
        }
        let host = call.host.as_ref().map(HeaderValue::as_bytes).or_else(|| host(parts));
        let domains = self.plan.domains(call.peer.listener);
        let Ok(target) = Target::parse(parts.uri.path().as_bytes(), host, domains) else { return };
        if let Ok(route) = self.plan.route(host, &target) {
            route.rule.access.cors.describe(&parts.method, &parts.headers, answer);
        }
    }
}

/// What of a preflight is for the backend: not the query, where a presigned request keeps its signature.
fn question(parts: &Parts) -> Parts {
    let (mut question, ()) = http::Request::new(()).into_parts();
    question.method = parts.method.clone();
    question.version = parts.version;
    question.uri = parts.uri.path().parse::<PathAndQuery>().map(Uri::from).unwrap_or_default();
    for name in [HOST, ORIGIN, ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS] {
        for value in parts.headers.get_all(&name) {
            question.headers.append(&name, value.clone());
        }
    }
    question
}
