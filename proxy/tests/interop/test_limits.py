"""Who asks for too much is asked to slow down, in words that SDKs understand."""

import pytest
from botocore.exceptions import ClientError

from kit import clients
from kit.server import resigned_for, start_serve


def start(dev, tmp_path, limits: str):
    return start_serve(tmp_path / "serve", dev.endpoint, resigned_for(dev, tmp_path), more=f"[limits]\n{limits}\n")


def test_a_principal_is_slowed_down(dev, tmp_path):
    gateway = start(dev, tmp_path, 'requests_per_principal = "2/h"')
    s3 = clients.s3(gateway)
    for _ in range(2):
        s3.list_buckets()
    with pytest.raises(ClientError, match="SlowDown") as refused:
        s3.list_buckets()
    metadata = refused.value.response["ResponseMetadata"]
    assert metadata["HTTPStatusCode"] == 503 and int(metadata["HTTPHeaders"]["retry-after"]) > 0
    with pytest.raises(ClientError, match="Throttling"):
        clients.sts(gateway).get_caller_identity()
    assert 'sigward_limited_total{limit="principal"} 2' in gateway.metrics()
    gateway.process.stop()


def test_who_guesses_is_slowed_down_and_who_works_is_not(dev, tmp_path):
    gateway = start(dev, tmp_path, 'failures_per_address = "3/h"')
    right = clients.s3(gateway)
    right.list_buckets()
    wrong = clients.s3(gateway, gateway.credentials.__class__("AKIAGUESSEDGUESSED00", "guess"))
    for code in ["InvalidAccessKeyId"] * 3 + ["SlowDown"] * 2:
        with pytest.raises(ClientError, match=code):
            wrong.list_buckets()
    right.list_buckets()
    gateway.process.stop()
