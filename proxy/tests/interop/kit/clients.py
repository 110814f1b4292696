"""boto3 as an application would set it up, against a gateway of the suite."""

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from .credentials import Credentials
from .server import Gateway


def client(service: str, gateway: Gateway, credentials: Credentials | None = None, **config):
    """A boto3 client that tries once and waits 60 s at most."""
    options = {"retries": {"total_max_attempts": 1}, "connect_timeout": 5, "read_timeout": 60, **config}
    if gateway.client_certificate:
        options["client_cert"] = tuple(map(str, gateway.client_certificate))
    return boto3.client(
        service,
        endpoint_url=gateway.endpoint,
        region_name=gateway.region,
        verify=str(gateway.certificate) if gateway.certificate else None,
        config=Config(**options),
        **(credentials or gateway.credentials).boto(),
    )


def s3(gateway: Gateway, credentials: Credentials | None = None, s3: dict | None = None, **config):
    """An S3 client with path-style addressing, which needs no resolver, unless the gateway says otherwise."""
    return client("s3", gateway, credentials, s3={"addressing_style": gateway.addressing, **(s3 or {})}, **config)


def sts(gateway: Gateway, credentials: Credentials | None = None):
    return client("sts", gateway, credentials)


def session(gateway: Gateway, credentials: Credentials | None = None) -> Credentials:
    """A new session of the given credential."""
    return Credentials.from_sts(sts(gateway, credentials).get_session_token()["Credentials"])


def code(gateway: Gateway, credentials: Credentials) -> str:
    """Whether credentials are good: `OK`, or the code of the error."""
    try:
        s3(gateway, credentials).list_buckets()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return "OK"


def send_trailing_checksums(s3_client) -> None:
    """Makes botocore put upload checksums into trailers over plain HTTP, as it does by itself over TLS."""

    def trail(params, **_):
        algorithm = params["context"].get("checksum", {}).get("request_algorithm")
        if isinstance(algorithm, dict):
            algorithm["in"] = "trailer"

    for operation in ("PutObject", "UploadPart"):
        s3_client.meta.events.register(f"before-call.s3.{operation}", trail)
