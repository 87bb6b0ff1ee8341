"""The values of a registration: one tool known to one platform, and how its rosters are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..catalogue.entries import Sender
from ..keys.signing import SigningKey
from ..web.urls import origin


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the rosters of a registration are read; each option may be set for one registration or for all."""

    role: str | None = None  # canonical URI: only members with this role are asked for
    page_size: int | None = None  # members per page to ask for; None: the platform's own
    max_members: int | None = None  # a larger roster is too_large
    concurrency: int = 8  # rosters read at once
    timeout: float = 60.0  # seconds without a byte
    roster_timeout: float = 3600.0  # seconds for one roster
    max_pages: int = 50_000  # of one roster
    max_body_mb: int = 256  # megabytes of one page, after decompression
    max_attempts: int = 5  # of one request
    max_wait: float = 300.0  # seconds; a longer Retry-After fails the request
    use_differences: bool = False  # platforms need not list who left
    full_every: int = 7  # days between full readings where differences are used
    allow_hosts: tuple[str, ...] = ()  # further origins that may get the token
    confirm_departures: bool = True  # read once more before somebody leaves
    zero_bytes: str = "fail"  # or "empty": what a first page without a body means
    repeated_next: str = "fail"  # or "end": what a next link to the same page means
    stale_after_hours: int = 48  # hours


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """One tool known to one platform, checked and ready to be used; secrets are never shown by repr."""

    name: str
    provider: str = "nrps"
    issuer: str = ""
    client_id: str = ""
    token_url: str = ""
    audience: str = ""
    deployment_id: str | None = None
    extra_claims: Mapping[str, Any] = field(default_factory=dict, repr=False)
    key: SigningKey | None = field(default=None, repr=False)
    key_path: Path | None = None  # the file that holds it, if one does
    jwks_url: str | None = None  # where its public half is published, if we know
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    contexts: Any = field(default=(), repr=False)
    options: Options = field(default_factory=Options)

    def sender(self) -> Sender:
        """Return what the launches of its platform say of themselves."""
        return Sender(self.issuer, (self.client_id,) if self.client_id else (), self.deployment_id)

    def origins(self) -> frozenset[str]:
        """Return the origins that may get its token, those of its catalogue aside (design §7)."""
        addresses = (self.token_url, self.base_url)
        return frozenset({*(origin(address) for address in addresses if address), *self.options.allow_hosts})


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in the settings: *what*, and the two places where it can be mended."""

    registration: str | None
    field: str
    what: str
    toml: str
    environment: str

    def __str__(self) -> str:
        """Say what is wrong and where to mend it."""
        return f"{self.what} Set {self.toml}, or {self.environment}."
