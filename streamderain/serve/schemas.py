"""What the API takes and gives, as pydantic reads it; the settings of a stream are those of LiveConfig."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, create_model

from streamderain.config import LiveConfig
from streamderain.errors import ConfigError, nearest
from streamderain.live.events import Event
from streamderain.live.numbers import LiveNumbers
from streamderain.media.url import redacted
from streamderain.serve.reading import SETTINGS

Text = Annotated[str, Field(min_length=1, max_length=2048)]


class Fault(BaseModel):
    """Why a request was refused, in one line."""

    error: str


@dataclass(frozen=True, kw_only=True)
class Numbers(LiveNumbers):
    """`source` and the names of outputs stand there without passwords. `state` is live, waiting for its source,
    restarting after a crash, or ended; `restarts` counts the runs that followed a crash, and `failure` is why the last
    one ended.
    """

    state: str
    source: str
    restarts: int
    failure: str | None


Numbers.__doc__ = f"{LiveNumbers.__doc__}{Numbers.__doc__}"


class Summary(BaseModel):
    """A stream of the list."""

    name: str
    connected: bool


class Summaries(RootModel[list[Summary]]):
    """All streams."""


class History(RootModel[list[Event]]):
    """The latest hundred events of a stream, oldest first."""


class Recording(BaseModel):
    """A file; `name` is what follows /streams/NAME/recordings/, `at` when it was last written to."""

    name: str
    bytes: int
    at: float


class Recordings(RootModel[list[Recording]]):
    """The latest five hundred, newest first."""


class Dials(BaseModel):
    """What may be turned while a stream runs, each 0 to 1; what is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")
    strength: float | None = Field(None, ge=0, le=1)
    blend: float | None = Field(None, ge=0, le=1)


class Stream(BaseModel):
    """A stream, its numbers and its dials; `may_change` says whether your token may turn them."""

    name: str
    numbers: Numbers
    settings: Dials
    may_change: bool


class Reloaded(BaseModel):
    """The streams after the file was read again, and why some of them do not run."""

    streams: list[str]
    failed: dict[str, str]


class Health(BaseModel):
    """Whether the process works: streams whose thread died or that are stuck."""

    healthy: bool
    dead: list[str]
    stuck: list[str]


class Readiness(BaseModel):
    """Whether the network is loaded and all streams are started; those whose source is away are told besides, and why,
    as are outputs that are not open; with ?strict=1 these count too.
    """

    ready: bool
    network: bool
    not_started: dict[str, str]
    not_connected: dict[str, str]
    not_open: dict[str, list[str]]


def _settings() -> dict[str, Any]:
    """Fields of a stream's own settings; None, like in the file, takes the word back that defaults had."""
    hints = get_type_hints(LiveConfig)
    told = {each.name: each.metadata["help"] for each in dataclasses.fields(LiveConfig)}
    return {name: (hints[name] | None, Field(None, description=told[name])) for name in SETTINGS}


AskedStream: type[BaseModel] = create_model(
    "AskedStream",
    __config__=ConfigDict(extra="forbid", strict=True),
    __doc__="A stream to be. Settings that are left out are those of the file's defaults.",
    source=(Text, Field(description="a URL, a camera's number, screen, whip, test, or with realtime a file")),
    outputs=(
        list[Text],
        Field(default=[], max_length=16, description="URLs to publish to, HLS folders/, files to record into"),
    ),
    **_settings(),
)


def checked(model: type[BaseModel], body: bytes) -> dict[str, Any]:
    """What a body says, as far as it was said. Raises ConfigError, which repeats none of its values."""
    try:
        return model.model_validate_json(body).model_dump(exclude_unset=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(each) for each in first["loc"])[:60]
    if first["type"] == "extra_forbidden":
        raise ConfigError(redacted(f"no setting is called {where}{nearest(where, model.model_fields)}"))
    raise ConfigError(redacted(f"{where or 'the body'}: {first['msg']}"))
