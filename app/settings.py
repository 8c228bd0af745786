"""What an operator can set: each field as an environment variable `FOODSCENE_<NAME>`, a few as options of `serve`."""

import ipaddress
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, PositiveFloat, PositiveInt, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from foodscene.app import variables
from foodscene.models.bundle import SHIPPED
from foodscene.models.engine import EngineKind
from foodscene.models.errors import FoodsceneError
from foodscene.models.pixels import LIMITS, DecodingLimits

Listed = Annotated[tuple[str, ...], NoDecode]
"""Several values in one environment variable, with commas between them, or as a list in JSON."""


def usable_cores() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _origin(text: str) -> str:
    """An origin as browsers spell it: no path, no slash at its end, no port that the scheme has anyway."""
    if text in ("*", "null"):  # anyone, and pages that are files
        return text
    parts = urlsplit(text.lower())
    if not parts.scheme or not parts.netloc or "@" in parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError(
            f"{text} is no origin: give a scheme and a host, as https://page.example or http://a.example:81"
        )
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme)
    return f"{parts.scheme}://{parts.netloc.removesuffix(usual) if usual else parts.netloc}"


def _listed(text: str) -> tuple[str, ...]:
    """The values of a list that is written with commas between them, or in JSON; empty ones left out."""
    if text.strip().startswith("["):
        try:
            listed = json.loads(text)
        except ValueError:
            listed = None  # [::1], [fd00::]/8
        if listed is not None:
            if not all(isinstance(one, str) for one in listed):
                raise ValueError('a list in JSON holds texts alone, as ["a", "b"]')
            return tuple(one.strip() for one in listed)
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _spellings(proxy: str) -> list[str]:
    """An address or network as a socket names it; an IPv4 one also as a socket that takes IPv6 too does."""
    try:
        network = ipaddress.ip_network(proxy, strict=False)
    except ValueError:  # `*`, or the name of a socket
        return [proxy]
    if network.version == 6:
        return [proxy]
    return [proxy, f"::ffff:{network.network_address}/{96 + network.prefixlen}"]


class Settings(BaseSettings):
    """Read from the environment when the service starts. A wrong value stops it with a message that names the field."""

    model_config = SettingsConfigDict(env_prefix=variables.PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    host: str = Field(
        "127.0.0.1", description="The address to listen on; 0.0.0.0 for every one, :: for those of IPv6 too."
    )
    port: int = Field(8000, ge=0, le=65535, description="The port to listen on; 0: a free one, which is printed.")
    models: Path = Field(SHIPPED, description="The folder of the bundles, one sub-folder each; or a bundle's own.")
    engine: EngineKind = Field("auto", description="What runs the models: `onnx`, `keras`, or whichever fits (`auto`).")
    workers: PositiveInt = Field(1, description="Server processes. Each holds all models; the cores are shared out.")
    threads: int = Field(
        0, ge=0, description="Photos decoded, and photos predicted, at once, per process; 0: its share of the cores."
    )
    scheduling: Literal["auto", "parallel", "batch"] = Field(
        "auto",
        description="Photos one by one on all threads (`parallel`), or together in batches (`batch`); "
        "`auto` measures which is faster when a model is loaded.",
    )
    max_batch: PositiveInt = Field(16, description="Photos that the engine is given at once, at most.")
    reload_seconds: float = Field(
        2.0,
        ge=0,
        description="How often the models' folder is looked at for new, changed and removed bundles; 0: never.",
    )
    load_seconds: float = Field(
        60.0,
        ge=0,
        description="A bundle is tried in a process of its own before it is loaded; one that takes longer is refused. "
        "0: bundles are trusted, and loaded at once. Those that come with foodscene always are.",
    )
    load_memory_mb: PositiveFloat = Field(
        4000.0, description="Megabytes that a bundle may take in that process; one that takes more is refused."
    )

    queue: PositiveInt = Field(128, description="Photos that wait or are worked on, per process; when full: 503.")
    side_queue: PositiveInt = Field(
        32,
        description="Explanations, previews and corrections that wait or are worked on, so many of each, per process; "
        "when full: 503.",
    )
    max_requests: PositiveInt = Field(512, description="Requests under way per process; when reached: 503.")
    deadline_seconds: PositiveFloat = Field(30.0, description="From a request's arrival to its answer; after it: 504.")
    keep_alive_seconds: PositiveInt = Field(
        75,
        description="How long a connection is kept open between requests. More than a load balancer keeps it, which is "
        "60 for many: else it may send a request into a connection that is just being closed.",
    )
    max_upload_mb: PositiveFloat = Field(32.0, description="Size of a request's body in megabytes; above: 413.")
    max_batch_upload_mb: PositiveFloat = Field(
        100.0, description="Size of the body of a request with several photos, in megabytes; above: 413."
    )
    max_memory_mb: PositiveFloat = Field(
        256.0, description="Uploads held in memory at once, per process, in megabytes; above: 503."
    )
    max_jpeg_megapixels: PositiveFloat = Field(
        LIMITS.jpeg / 1e6, description="Million pixels of a baseline JPEG; above: 413, from its header."
    )
    max_progressive_megapixels: PositiveFloat = Field(
        LIMITS.progressive / 1e6, description="Of a progressive JPEG in 4:2:0; seven tenths of it in 4:4:4."
    )
    max_scans: PositiveInt = Field(LIMITS.scans, description="Scans of a progressive JPEG; above: 413.")
    max_heic_megapixels: PositiveFloat = Field(LIMITS.heif / 1e6, description="Of a HEIC or AVIF.")
    max_webp_megapixels: PositiveFloat = Field(LIMITS.webp / 1e6, description="Of a WebP.")
    max_png_megapixels: PositiveFloat = Field(
        LIMITS.plain / 1e6, description="Of a PNG, TIFF, BMP or GIF with 3 bytes a pixel; fewer where it has more."
    )
    max_decoding_mb: PositiveFloat = Field(
        500.0,
        description="Megabytes that photos hold while they are decoded, those of under 8 MB not counted: once for a "
        "process, once for all its helpers; further ones wait.",
    )
    max_decoding_seconds: PositiveFloat = Field(
        6.0,
        description="Seconds of one core for decoding a large or suspicious photo; above: 413. The worst that is "
        "accepted took half of it where it was measured.",
    )
    helpers: PositiveInt = Field(
        2,
        description="Processes that decode large or suspicious photos, per process, at most; started when needed, "
        "ended after a minute without work.",
    )
    max_files: PositiveInt = Field(32, description="Photos in one batch request; above: 422.")

    api_keys: Listed = Field(
        (),
        description="SHA-256 of each valid API key, in hexadecimal, with commas between them. "
        "Without any, no key is asked for.",
    )
    rate_limit: float = Field(
        0.0,
        ge=0,
        description="Requests per second for one client (its API key, else its address; of IPv6 the first 64 bits), "
        "pages included; above: 429. 0: no limit.",
    )
    rate_burst: PositiveInt = Field(
        20, description="Requests that a client may send at once before the rate limit counts."
    )
    cors_origins: Listed = Field(
        (),
        description="Other origins whose pages may call the service from a browser, as `https://page.example`, with "
        "commas between them.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, with commas "
        "between them; networks too, as 10.0.0.0/8; `*` for any. Unset: nobody's.",
    )
    root_path: str = Field(
        "",
        description="The prefix under which a proxy shows the service, as `/foodscene`, whether the proxy takes it off "
        "or not.",
    )

    drain_seconds: float = Field(
        1.0, ge=0, description="After SIGTERM: how long /readyz is red before no connection is accepted any more."
    )
    log_level: Literal["debug", "info", "warning", "error", "critical"] = Field(
        "info", description="The least important line logged; capitals will do."
    )
    log_clients: bool = Field(
        True,
        description="Whether a request's line in the log says its client's address: the connection's, or what a "
        "trusted proxy forwards.",
    )
    feedback: Path | None = Field(
        None,
        description="A folder for photos that people gave the right label for, one sub-folder each. "
        "Unset: nothing is kept.",
    )
    max_feedback_mb: PositiveFloat = Field(
        5000.0, description="Megabytes of photos in that folder; when reached, no more are kept: 403."
    )

    @field_validator("port", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        given = isinstance(value, str) and variables.is_platforms("PORT", value)
        return cls.model_fields["port"].default if given else value

    @field_validator("host")
    @classmethod
    def _bare(cls, host: str) -> str:
        return host.strip().removeprefix("[").removesuffix("]")

    @field_validator("engine", "scheduling", "log_level", mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        word = value.strip().lower() if isinstance(value, str) else value
        return {"warn": "warning", "fatal": "critical"}.get(word, word) if isinstance(word, str) else word

    @field_validator("api_keys", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return _listed(value) if isinstance(value, str) else value

    @field_validator("api_keys", mode="before")
    @classmethod
    def _given(cls, value: object) -> object:
        if isinstance(value, str) and value and not value.replace(",", "").strip():
            raise ValueError("it holds no key. Leave the variable unset where no key is to be asked for.")
        return value

    @field_validator("api_keys")
    @classmethod
    def _hashes(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if len(key) != 64 or set(key.lower()) - set("0123456789abcdef"):
                raise ValueError("give the SHA-256 of each key in hexadecimal: printf %s THE-KEY | sha256sum")
        return tuple(key.lower() for key in keys)

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_origin(text) for text in origins)

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, proxies: str) -> str:
        """Each address without brackets; those of IPv4 as a socket for both names them, too."""
        found = [text.removeprefix("[").removesuffix("]") for text in _listed(proxies)]
        return ",".join(dict.fromkeys(spelled for text in found for spelled in _spellings(text)))

    @field_validator("root_path")
    @classmethod
    def _prefix(cls, path: str) -> str:
        path = path.strip().strip("/")
        if not re.fullmatch(r"[A-Za-z0-9._~/-]*", path) or "//" in path:
            raise ValueError("give a path alone, as /foodscene")
        return f"/{path}" if path else ""

    @property
    def limits(self) -> DecodingLimits:
        """The largest photos that are decoded."""
        return DecodingLimits(
            jpeg=int(self.max_jpeg_megapixels * 1e6),
            progressive=int(self.max_progressive_megapixels * 1e6),
            heif=int(self.max_heic_megapixels * 1e6),
            webp=int(self.max_webp_megapixels * 1e6),
            plain=int(self.max_png_megapixels * 1e6),
            scans=self.max_scans,
        )

    @property
    def threads_used(self) -> int:
        """Threads of one process: what was set, else its share of the cores."""
        return self.threads or max(1, usable_cores() // self.workers)


class SettingsError(FoodsceneError, ValueError):
    """Settings that the service cannot start with. Its text names the variable."""


def read_settings(tell: Callable[[str], None]) -> Settings:
    """The settings as the environment has them; `tell` gets a line for each variable that is passed over.

    Raises `SettingsError` for a wrong value, and for a variable that looks like a misspelled key or limit.
    """
    passed_over, misspelled = variables.look(os.environ, Settings.model_fields)
    if misspelled:
        raise SettingsError("\n".join(misspelled))
    for line in passed_over:
        tell(line)
    try:
        return Settings()
    except ValidationError as error:
        said = (
            f"FOODSCENE_{'_'.join(map(str, one['loc'])).upper()}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        raise SettingsError("\n".join(said)) from None
