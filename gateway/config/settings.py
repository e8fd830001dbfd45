"""What the environment decides, read once and frozen."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from gateway.config.parsers import Network, Secret
from gateway.config.variables import VARIABLES, SettingsError, read
from gateway.telemetry.links import grafana

# Where Relay Studio's development server listens (Vite's own port).
STUDIO = ("http://localhost:5173", "http://127.0.0.1:5173")
# Without these nobody could be told from anybody, or an answer be kept.
DEMANDED = {
    "REDIS_URL": "the URL of a Redis server",
    "DATABASE_URL": "the URL of a database",
    "RELAY_KEY_PEPPER": "a secret of 32 characters or more",
    "RELAY_AUDIT_KEY": "a secret of 32 characters or more",
}


class Settings(Struct, frozen=True, kw_only=True):
    env: Literal["development", "production"] = "development"
    redis_url: Secret | None = None
    database_url: Secret | None = None
    data_dir: Path = Path(".relay")
    # Newest first, as all secrets here: what older ones made still holds.
    key_peppers: tuple[Secret, ...] = ()
    audit_keys: tuple[Secret, ...] = ()
    encryption_keys: tuple[Secret, ...] = ()
    # What `relay smoke` and `relay trace` bring to a gateway that asks for a key.
    api_key: Secret | None = None
    # PCI DSS 10.5.1 asks for three months at hand.
    audit_retention: timedelta = timedelta(days=90)
    rate_limit_enabled: bool = True
    # A minute, and as many at once; of a key, and of all keys of a workspace together.
    preview_limit: int = 200
    execute_limit: int = 100
    # A send lasts 15 s at most: a target that hangs takes no more than its places, half of all
    # unless told.
    runs_at_once: int = 100
    runs_at_once_per_target: int | None = None
    # Whose X-Forwarded-For is believed.
    trusted_proxies: tuple[Network, ...] = ()
    actions_enabled: bool = True
    signing_secrets: tuple[Secret, ...] = ()
    webhook_url: str | None = None
    # Standard Webhooks asks receivers to answer within 15 to 30 s.
    action_timeout: timedelta = timedelta(seconds=15)
    egress_hosts: frozenset[str] = frozenset()
    egress_networks: tuple[Network, ...] = ()
    cors_origins: tuple[str, ...] = ()
    # How long a gateway that is told to stop still takes requests: two probes
    # of a load balancer that asks every second.
    stop_delay: timedelta = timedelta(seconds=2)
    telemetry_enabled: bool = True
    telemetry_backend: Literal["none", "prom", "otel", "all"] = "all"
    # The data source uid that deploy/grafana provisions.
    tempo_datasource_uid: str = "tempo"
    grafana_url: str | None = None
    trace_link_template: str | None = None
    # A stranger's sampled flag would fill our trace store, his trace id would join his requests.
    trust_traceparent: bool = False
    otlp_endpoint: str | None = None
    otlp_traces_endpoint: str | None = None
    otlp_exporter: Literal["otlp", "none"] = "otlp"
    otlp_protocol: Literal["http/protobuf"] = "http/protobuf"
    otel_disabled: bool = False
    tempo_url: str | None = None

    @property
    def production(self) -> bool:
        return self.env == "production"

    @property
    def bearer(self) -> dict[str, str]:
        """The header by which commands say who they are."""
        return {"Authorization": f"Bearer {self.api_key.reveal().decode()}"} if self.api_key else {}

    @property
    def origins(self) -> tuple[str, ...]:
        """Whose pages may call: those that are named; in development also a Studio beside us."""
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
        """Where spans go, the path included; None for nowhere."""
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
        """Read the variables of section "Configuration" of the README. Raises SettingsError."""
        values: dict[str, Any] = {
            field: read(variable, environ[variable], parse, may_hold)
            for variable, (field, parse, may_hold) in VARIABLES.items()
            if environ.get(variable, "") != ""
        }
        hosts, networks = values.pop("egress_allow", (frozenset(), ()))
        settings = cls(**values, egress_hosts=hosts, egress_networks=networks)
        for variable, may_hold in DEMANDED.items() if settings.production else ():
            if not getattr(settings, VARIABLES[variable][0]):
                raise SettingsError(
                    f"{variable} is not set; with RELAY_ENV=production it must hold {may_hold}"
                )
        return settings
