"""Providers that sign web identity tokens: node-oidc-provider, where one logs in, and one that does as it is told."""

import base64
import http.cookiejar
import http.server
import json
import re
import ssl
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import RSAKey

from .commands import program
from .server import Process, self_signed

NODE_PACKAGES = Path(sys.prefix) / "node"
AUDIENCE = "sts.amazonaws.com"
RSA_MEMBERS = ["kty", "n", "e", "d", "p", "q", "dp", "dq", "qi"]


class NodeOidcProvider(Process):
    """node-oidc-provider. Each of its clients, `RS256-app` and so on, gets tokens of that algorithm."""

    redirect = "https://app.example/callback"
    secret = "the secret of every client"

    def __init__(self, directory: Path, claims: dict | None = None):
        directory.mkdir(parents=True)
        self.certificate, key = self_signed(directory)
        wish = {"certificate": str(self.certificate), "key": str(key), "redirect": self.redirect}
        (directory / "wish.json").write_text(json.dumps(wish | {"secret": self.secret, "claims": claims or {}}))
        script = Path(__file__).parents[1] / "node" / "oidc-provider.mjs"
        command = f'exec "$0" "$1" "$2" < "{directory / "wish.json"}"'
        super().__init__(["sh", "-c", command, program("node"), str(script), str(NODE_PACKAGES)], directory / "logs")
        self.issuer = self.first_line()

    def id_token(self, user: str, client: str) -> str:
        """Logs in as a browser would, consents, and trades the code for an ID token."""
        browser = _Browser(self.certificate)
        query = {"client_id": client, "redirect_uri": self.redirect, "response_type": "code", "scope": "openid"}
        page, _ = browser.open(f"{self.issuer}/auth?{urllib.parse.urlencode(query)}")
        for form in ({"prompt": "login", "login": user, "password": "any"}, {"prompt": "consent"}):
            action = re.search(r'<form[^>]* action="([^"]+)"', page).group(1)
            page, location = browser.open(action, form)
        code = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)["code"][0]
        grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": self.redirect}
        answer, _ = browser.open(f"{self.issuer}/token", grant, (client, self.secret))
        return json.loads(answer)["id_token"]


class _Browser:
    """Keeps cookies and follows redirects, but for the one that leaves the provider."""

    def __init__(self, certificate: Path):
        tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(certificate)))
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(tls, cookies, _Stay)

    def open(self, url: str, form: dict | None = None, basic: tuple[str, str] | None = None) -> tuple[str, str]:
        """The page one ends at, and where."""
        request = urllib.request.Request(url, urllib.parse.urlencode(form).encode() if form else None)
        if basic:
            pair = ":".join(urllib.parse.quote(part, safe="") for part in basic)
            request.add_header("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}")
        with self._opener.open(request, timeout=20) as answer:
            return answer.read().decode(), answer.headers.get("Location", answer.url)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, answer, code, message, headers, url):
        if url.startswith(NodeOidcProvider.redirect):
            return None
        return super().redirect_request(request, answer, code, message, headers, url)

    def http_error_303(self, request, answer, code, message, headers):
        if headers.get("Location", "").startswith(NodeOidcProvider.redirect):
            return answer
        return super().http_error_302(request, answer, code, message, headers)

    http_error_302 = http_error_303


class Issuer:
    """An issuer over TLS whose keys, documents and tokens are the test's to choose; a Kubernetes cluster is one."""

    def __init__(self, directory: Path, jwks_path: str = "/openid/v1/jwks"):
        directory.mkdir(parents=True)
        self.certificate, self._certificate_key = self_signed(directory)
        self.jwks_path = jwks_path
        self.keys = [RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})]
        self.asked: list[str] = []
        self._server = None
        self.start(0)
        self.port = self._server.server_address[1]
        self.issuer = f"https://127.0.0.1:{self.port}"

    def start(self, port: int | None = None) -> None:
        """Begins to answer, on the port it has once got."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self._certificate_key)
        address = ("127.0.0.1", self.port if port is None else port)
        self._server = http.server.ThreadingHTTPServer(address, self._handler())
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """From now on nobody can connect."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def rotate(self, kid: str) -> None:
        """A new key takes the place of all others."""
        self.keys = [RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})]

    def documents(self) -> dict[str, dict]:
        jwks = {"keys": [key.as_dict(private=False) for key in self.keys]}
        about = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}{self.jwks_path}"}
        return {"/.well-known/openid-configuration": about, self.jwks_path: jwks}

    def claims(self, **more) -> dict:
        """Those of a token that is good for five minutes; `None` removes one."""
        now = int(time.time())
        usual = {"iss": self.issuer, "sub": "alice", "aud": AUDIENCE, "iat": now, "exp": now + 300}
        return {name: value for name, value in {**usual, **more}.items() if value is not None}

    def token(self, header: dict | None = None, key=None, **claims) -> str:
        key = key or self.keys[0]
        whole = {"alg": "RS256", "kid": key.kid, **(header or {})}
        # What a key is for is what it publishes; whoever holds it can sign by any algorithm.
        key = RSAKey.import_key({name: key.as_dict(private=True)[name] for name in RSA_MEMBERS})
        return jwt.encode(whole, self.claims(**claims), key, algorithms=[whole["alg"]])

    def service_account_token(self, namespace: str, name: str) -> str:
        """As Kubernetes projects it into a pod."""
        about = {"namespace": namespace, "serviceaccount": {"name": name, "uid": "1"}}
        return self.token(
            sub=f"system:serviceaccount:{namespace}:{name}", aud=[AUDIENCE], nbf=int(time.time()),
            **{"kubernetes.io": about},
        )  # fmt: skip

    def _handler(issuer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked.append(self.path)
                document = issuer.documents().get(self.path)
                body = json.dumps(document).encode()
                self.send_response(200 if document else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler


def compact(header: dict, claims: dict, signature: bytes) -> str:
    """A token of any parts, put together by hand."""
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
