"""Every setting of the platform, read once from the environment (prefix ``AREA_``) or a ``.env`` file."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Network = IPv4Network | IPv6Network


class SettingsError(Exception):
    """A setting is missing or wrong. The message names the variable and says how to mend it."""


class Settings(BaseSettings):
    """The platform's settings. Secrets are ``SecretStr`` and never appear in logs."""

    model_config = SettingsConfigDict(env_prefix="AREA_", env_file=".env", extra="ignore")

    database_url: SecretStr = Field(
        description="Postgres, as postgresql://user:password@host:5432/name. `area dev` starts its own when unset."
    )
    redis_url: SecretStr = Field(description="Redis, as redis://host:6379/0. `area dev` starts its own when unset.")
    secret_key: SecretStr = Field(
        min_length=32, description="Signs sessions and encrypts tokens; 32 characters or more. `openssl rand -hex 32`."
    )
    old_secret_keys: Annotated[list[SecretStr], NoDecode] = Field(
        default_factory=list,
        description="Other keys that still open what they sealed, comma separated; see `area keys rotate`.",
    )
    public_url: str = Field(
        "http://127.0.0.1:8000", description="The address at which the outside world reaches the API."
    )
    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port that the API listens on.")
    probe_port: int = Field(
        0, ge=0, le=65535, description="Port of /healthz and /metrics of a worker or scheduler; 0 serves none."
    )
    data_dir: Path = Field(Path(".area"), description="Where `area dev` keeps its Postgres, Redis and secrets.")
    egress_allow: Annotated[list[Network], NoDecode] = Field(
        default_factory=list,
        description="Private networks that outgoing requests may reach, comma separated (127.0.0.0/8). None by default.",
    )
    dev: bool = Field(
        False, description="Set by `area dev`: demo sign-in button, feed and echo routes. Never in production."
    )
    cors_origins: Annotated[list[str], NoDecode] = Field(
        default_factory=list, description="Origins whose browsers may call the API, comma separated."
    )
    return_origins: Annotated[list[str], NoDecode] = Field(
        default_factory=list,
        description="Origins to which a browser may be sent back after connecting an account, besides AREA_CORS_ORIGINS and "
        "AREA_PUBLIC_URL; comma separated.",
    )
    held_days: float = Field(
        7, gt=0, description="Days that a run waits for its account to be connected again before it fails."
    )
    held_runs: int = Field(
        1000, ge=1, description="Most runs that wait for one account; beyond it the oldest of them fail."
    )
    body_limit: int = Field(1 << 20, ge=1024, description="Largest request body accepted, in bytes.")
    lease_seconds: float = Field(
        8.0, gt=1, description="A worker that has not renewed a run for this long has lost it."
    )
    worker_concurrency: int = Field(400, ge=1, description="Runs one worker process executes at once.")
    max_reactions: int = Field(50, ge=1, description="Most reactions one AREA may have.")
    max_streams: int = Field(
        2000, ge=1, description="Most live streams (subscriptions) one user may have open at once, per API process."
    )
    trusted_documents_only: bool = Field(
        False, description="Run only GraphQL documents registered by `area documents register`."
    )
    max_areas: int = Field(20_000, ge=1, description="Most AREAs one user may have.")
    run_log_bytes: int = Field(
        1 << 20, ge=4096, description="Most bytes of log one run may store; the rest is cut, marked."
    )
    payload_limit: int = Field(
        32 << 10,
        ge=1024,
        description="Details of a line above this many bytes are kept apart, and read when asked for.",
    )
    run_bytes: int = Field(
        16 << 20,
        ge=1 << 16,
        description="Most bytes of inputs, outputs and details kept apart that one run may store; then large ones are cut, marked.",
    )
    pause_after_failures: int = Field(
        50,
        ge=0,
        description="Failed runs in a row after which an AREA that sets nothing else is switched off; 0: never.",
    )
    retention_days: int = Field(
        30, ge=1, description="Days that runs that have ended, events, and lines of logs and ledger are kept."
    )
    access_token_seconds: int = Field(3600, ge=60, description="Life of an access token, in seconds.")
    refresh_token_seconds: int = Field(30 * 86400, ge=3600, description="Life of a refresh token, in seconds.")
    supabase_url: str | None = Field(None, description="Supabase project address; its JWKS verifies tokens.")
    supabase_jwt_secret: SecretStr | None = Field(
        None, description="Supabase's legacy HS256 secret, if it signs with one."
    )
    supabase_issuer: str | None = Field(None, description="Issuer demanded of Supabase tokens; default <url>/auth/v1.")
    pool_size: int = Field(8, ge=2, description="Database connections each process may hold.")
    otel_endpoint: str | None = Field(
        None,
        description="OpenTelemetry collector for traces, by OTLP over HTTP: http://collector:4318. Off when unset.",
    )
    otel_ratio: float = Field(1.0, ge=0, le=1, description="Which part of the traces is kept, from 0 to 1.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    log_json: bool = Field(False, description="Log as JSON lines, for collectors.")

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return [ip_network(part.strip()) for part in value.split(",") if part.strip()]
        return value

    @field_validator("cors_origins", "return_origins", "old_secret_keys", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator("old_secret_keys")
    @classmethod
    def _long_enough(cls, value: list[SecretStr]) -> list[SecretStr]:
        if any(len(key.get_secret_value()) < 32 for key in value):
            raise ValueError("each key has 32 characters or more")
        return value

    @property
    def other_keys(self) -> list[str]:
        """The keys of ``old_secret_keys``, in plain."""
        return [key.get_secret_value() for key in self.old_secret_keys]


def load_settings() -> Settings:
    """Read the settings.

    Raises: SettingsError, naming each variable that is missing or wrong and how to set it.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            field = str(problem["loc"][0])
            about = Settings.model_fields[field].description or ""
            what = "is not set" if problem["type"] == "missing" else f"is not valid: {problem['msg']}"
            lines.append(f"AREA_{field.upper()} {what}. {about}")
        raise SettingsError("\n".join(lines)) from None


def service_settings(service: str, environ: dict[str, str]) -> dict[str, str]:
    """What the environment sets for one service: ``AREA_EMAIL_SMTP_URL`` becomes ``smtp_url`` of ``email``."""
    prefix = f"AREA_{service.upper()}_"
    return {name[len(prefix) :].lower(): value for name, value in environ.items() if name.startswith(prefix)}
