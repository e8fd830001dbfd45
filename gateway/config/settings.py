"""Settings: what the environment decides, read once and frozen."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from msgspec import Struct

from gateway.config import otel, providers
from gateway.config.providers import ProviderSettings
from gateway.config.secret import Network, Secret
from gateway.config.variables import VARIABLES, SettingsError, read
from gateway.telemetry.links import grafana

# Where Relay Studio's development server listens (Vite's own port).
STUDIO = ("http://localhost:5173", "http://127.0.0.1:5173")
# What production cannot do without: shared stores, and secrets that all replicas hold.
REQUIRED_IN_PRODUCTION = {
    "REDIS_URL": "the URL of a Redis server",
    "DATABASE_URL": "the URL of a database",
    "RELAY_KEY_PEPPER": "a secret of 32 characters or more",
    "RELAY_AUDIT_KEY": "a secret of 32 characters or more",
}
# The fields whose text may hold a key.
SECRET_FIELDS = frozenset(row.field for row in VARIABLES.values() if row.secret)
# What trusts an identity-aware proxy; one of them alone would trust nothing.
OIDC = tuple(
    f"RELAY_OIDC_{name}" for name in ("ISSUER", "AUDIENCE", "HEADER", "WORKSPACE", "ROLES")
)


class Settings(Struct, frozen=True, kw_only=True):
    env: Literal["development", "production"] = "development"
    redis_url: Secret | None = None
    database_url: Secret | None = None
    data_dir: Path = Path(".relay")
    # Newest first, like all secrets here; what was made with an older one stays valid.
    key_peppers: tuple[Secret, ...] = ()
    audit_keys: tuple[Secret, ...] = ()
    encryption_keys: tuple[Secret, ...] = ()
    # The key that `relay smoke` and `relay trace` send to a gateway.
    api_key: Secret | None = None
    # PCI DSS 10.5.1 asks for three months at hand.
    audit_retention: timedelta = timedelta(days=90)
    rate_limit_enabled: bool = True
    # Requests a minute, and as many at once: for a key, and for all keys of a workspace together.
    preview_limit: int = 200
    execute_limit: int = 100
    # Runs in flight of a workspace; one target gets half of them unless set, so that a target
    # that hangs leaves slots to others.
    runs_at_once: int = 100
    runs_at_once_per_target: int | None = None
    # Whose signed assertions sign people in, and the role of each group. All are set, or none.
    oidc_issuer: str | None = None
    oidc_audience: str = ""
    oidc_header: bytes = b""  # in lower case, as requests have it
    oidc_workspace: str = ""
    oidc_roles: Mapping[str, str] = MappingProxyType({})
    # The keys of an issuer that publishes no discovery document.
    oidc_jwks: str | None = None
    # Proxies whose X-Forwarded-For is trusted.
    trusted_proxies: tuple[Network, ...] = ()
    actions_enabled: bool = True
    studio_enabled: bool = True
    signing_secrets: tuple[Secret, ...] = ()
    webhook_url: str | None = None
    # The operator's rules on which previews need an approval, for all workspaces.
    approval_policy: Path | None = None
    # Where people reach this gateway: the start of links to its pages.
    public_url: str | None = None
    # The registration of Relay at each provider of connections.
    google_client_id: str | None = None
    google_client_secret: Secret | None = None
    google_base_url: str | None = None
    microsoft_client_id: str | None = None
    microsoft_client_secret: Secret | None = None
    microsoft_base_url: str | None = None
    # Work and personal accounts.
    microsoft_tenant: str = "common"
    slack_client_id: str | None = None
    slack_client_secret: Secret | None = None
    slack_base_url: str | None = None
    github_client_id: str | None = None
    github_client_secret: Secret | None = None
    github_base_url: str | None = None
    # Standard Webhooks asks receivers to answer within 15 to 30 s.
    action_timeout: timedelta = timedelta(seconds=15)
    egress_hosts: frozenset[str] = frozenset()
    egress_networks: tuple[Network, ...] = ()
    # Hosts that are allowed on one port.
    egress_authorities: frozenset[tuple[str, int]] = frozenset()
    egress_ports: frozenset[int] = frozenset()
    cors_origins: tuple[str, ...] = ()
    # Request headers that libraries in a page add, beside those that Relay reads.
    cors_headers: tuple[str, ...] = ()
    # How long a stopping gateway still takes requests: two probes of a load balancer that
    # probes every second.
    stop_delay: timedelta = timedelta(seconds=2)
    telemetry_enabled: bool = True
    telemetry_backend: Literal["none", "prom", "otel", "all"] = "all"
    # The data source uid that deploy/grafana provisions.
    tempo_datasource_uid: str = "tempo"
    grafana_url: str | None = None
    trace_link_template: str | None = None
    # An untrusted caller's sampled flag would fill our trace store, and its trace id would join
    # its requests to ours (W3C Trace Context, security considerations).
    trust_traceparent: bool = False
    otlp_endpoint: str | None = None
    otlp_traces_endpoint: str | None = None
    otlp_exporter: Literal["otlp", "none"] = "otlp"
    otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    otel_disabled: bool = False
    tempo_url: str | None = None

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Without the secrets, and without URLs that may hold a key."""
        return [(name, _shown(name, getattr(self, name))) for name in self.__struct_fields__]

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={it!r}' for name, it in self.__rich_repr__())})"

    @property
    def production(self) -> bool:
        return self.env == "production"

    @property
    def egress(self) -> dict[str, Any]:
        """The arguments of Guard."""
        return {
            "hosts": self.egress_hosts,
            "networks": self.egress_networks,
            "authorities": self.egress_authorities,
            "ports": self.egress_ports,
            "https_only": self.production,
        }

    @property
    def oidc(self) -> dict[str, Any] | None:
        """The arguments of Trust; None where no issuer is trusted."""
        names = ("issuer", "audience", "header", "workspace", "roles", "jwks")
        if self.oidc_issuer is None:
            return None
        return {name: getattr(self, f"oidc_{name}") for name in names}

    @property
    def providers(self) -> dict[str, ProviderSettings]:
        """By name, also those that are not configured."""
        return {
            name: ProviderSettings(
                client_id=getattr(self, f"{name}_client_id"),
                client_secret=getattr(self, f"{name}_client_secret"),
                base_url=getattr(self, f"{name}_base_url"),
                tenant=self.microsoft_tenant,
            )
            for name in providers.NAMES
        }

    @property
    def wrong_provider(self) -> str | None:
        """Why the gateway may not start with these providers."""
        return providers.wrong(
            self.providers, public_url=self.public_url, production=self.production
        )

    @property
    def bearer(self) -> dict[str, str]:
        """The Authorization header of commands."""
        return {"Authorization": f"Bearer {self.api_key.reveal().decode()}"} if self.api_key else {}

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins whose pages may call: CORS_ORIGINS; Studio's by default in development."""
        return self.cors_origins or (() if self.production else STUDIO)

    @property
    def counting(self) -> bool:
        return self.telemetry_enabled and self.telemetry_backend in ("prom", "all")

    @property
    def tracing(self) -> bool:
        wanted = self.telemetry_enabled and self.telemetry_backend in ("otel", "all")
        return wanted and not self.otel_disabled

    @property
    def traces_endpoint(self) -> str | None:
        """Where spans go, the path included; None for no export."""
        if self.otlp_exporter == "none":
            return None
        base = self.otlp_endpoint and f"{self.otlp_endpoint.rstrip('/')}/v1/traces"
        return self.otlp_traces_endpoint or base

    @property
    def trace_link(self) -> str | None:
        """The template of links to traces: the given one, or Grafana's."""
        if self.trace_link_template or not self.grafana_url:
            return self.trace_link_template
        return grafana(self.grafana_url, datasource=self.tempo_datasource_uid)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the variables that deploy/README.md lists. Raises SettingsError."""
        if wrong := otel.wrong(environ):
            raise SettingsError(wrong)
        values: dict[str, Any] = {
            variable.field: read(name, environ[name])
            for name, variable in VARIABLES.items()
            if environ.get(name, "") != ""
        }
        allowed = values.pop("egress_allow", (frozenset(), (), frozenset()))
        fields = ("egress_hosts", "egress_networks", "egress_authorities")
        settings = cls(**values, **dict(zip(fields, allowed, strict=True)))
        for name, may_hold in REQUIRED_IN_PRODUCTION.items() if settings.production else ():
            if not getattr(settings, VARIABLES[name].field):
                raise SettingsError(
                    f"{name} is not set; with RELAY_ENV=production it must hold {may_hold}"
                )
        if settings.production and (settings.public_url or "https:").startswith("http:"):
            raise SettingsError("PUBLIC_URL begins with http:; in production it is https:")
        _check_oidc(settings)
        if wrong := settings.wrong_provider:
            raise SettingsError(wrong)
        return settings


def _shown(field: str, value: object) -> object:
    return Secret(b"") if field in SECRET_FIELDS and isinstance(value, str) else value


def _check_oidc(settings: Settings) -> None:
    """Raises SettingsError."""
    missing = [name for name in OIDC if not getattr(settings, VARIABLES[name].field)]
    if missing and (len(missing) < len(OIDC) or settings.oidc_jwks):
        raise SettingsError(f"{missing[0]} is not set; {', '.join(OIDC)} are set all or none")
    if not settings.oidc_issuer:
        return
    keys_at = settings.oidc_jwks or settings.oidc_issuer
    if not keys_at.startswith(("https://", "http://")):
        raise SettingsError("RELAY_OIDC_ISSUER is no URL, so RELAY_OIDC_JWKS must hold one")
    if settings.production and not keys_at.startswith("https://"):
        raise SettingsError(
            "The keys of RELAY_OIDC_ISSUER would come over http:; in production it is https:"
        )
