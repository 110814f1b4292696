"""A credential as a client holds it."""

from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    @classmethod
    def from_sts(cls, answer: dict) -> "Credentials":
        """From the `Credentials` element of an STS answer."""
        return cls(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])

    def with_token(self, token: str | None) -> "Credentials":
        return replace(self, session_token=token)

    def with_secret(self, secret: str) -> "Credentials":
        return replace(self, secret_access_key=secret)

    def boto(self) -> dict:
        """As keyword arguments of a boto3 client."""
        return {
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
            "aws_session_token": self.session_token,
        }

    def environment(self) -> dict:
        """As the environment of a command."""
        values = {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
        }
        if self.session_token is not None:
            values["AWS_SESSION_TOKEN"] = self.session_token
        return values
