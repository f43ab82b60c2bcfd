"""How a connection to a live source is made: quickly if that is enough, by libav or else by OpenCV."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from streamderain.media.address import OPENCV, Address, open_options
from streamderain.media.camera import OpencvCamera
from streamderain.media.connection import Away, Connected, LibavConnection, said
from streamderain.media.published import IDLE_SECONDS, Intake, Published
from streamderain.media.reference import beside
from streamderain.media.srt import Incoming

DENIALS = (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError)
"""What servers say to a wrong password: 401 and 403, in RTSP too."""

logger = logging.getLogger(__name__)


@dataclass
class Opening:
    """Opens `address` as often as it is asked to, and remembers what was learnt on the way.

    `transport` is how RTSP travels. `patience`, in seconds, bounds each of two steps of opening, and then each packet.
    `wait` and `damaged` are LibavConnection's; what publishes to us begins at `intake`.
    """

    address: Address
    transport: str
    patience: float
    wait: Callable[[float], None]
    damaged: Callable[[str], None]
    hwaccel: str | None = None
    intake: Intake | None = None
    _is_quick: bool = True
    _in_pieces: bool = True
    _has_waited: bool = False

    def open(self) -> Connected:
        """Connect. Raises Away, which tells no password, nor does what it is chained to."""
        if self.address.format == OPENCV:
            return OpencvCamera(self.address.target, self.patience)
        if self.intake:
            return self._published(self.intake)
        if self.address.target.startswith("srt://"):
            return self._through_ffmpeg()
        return self._by_libav()

    def _published(self, intake: Intake) -> Connected:
        # That nobody is there is said soon, and then seldom.
        seconds, self._has_waited = IDLE_SECONDS if self._has_waited else self.patience, True
        if publication := intake.publication(seconds):
            return Published(publication, self.patience)
        raise Away("refused", "nobody publishes to it")

    def _through_ffmpeg(self) -> Connected:
        relay = Incoming(self.address.target)
        try:
            return self._by_libav(relay)
        except Away as away:
            relay.end()
            raise Away(away.kind, relay.said() or away.detail, away.hopeless, away.denied) from None
        except BaseException:
            relay.end()
            raise

    def _by_libav(self, relay: Incoming | None = None) -> Connected:
        began = time.monotonic()
        try:
            return self._connection(relay)
        except Away as away:
            reason = away
        except av.FFmpegError as error:
            # Cut off in the middle of an answer, libav may call it invalid.
            is_late = isinstance(error, av.error.ExitError) or time.monotonic() - began > self.patience
            reason = self._reason(error, is_late)
        except ValueError as error:
            if "no container format" not in str(error):
                reason = Away("refused", f"libav cannot read it ({type(error).__name__})")
            elif self.address.kind == "camera":
                return OpencvCamera(self.address.target, self.patience)
            else:
                reason = Away("refused", f"this libav has no {self.address.format}", hopeless=True)
        # Raised outside of the handler, as libav's own error holds the whole URL.
        raise reason

    def _connection(self, relay: Incoming | None) -> LibavConnection:
        container = self._container(relay)
        in_pieces = self._wants_pieces
        if in_pieces and not _is_h264(container):
            container.close()
            self._in_pieces = in_pieces = False
            container = self._container(relay)
        if self._is_quick and not in_pieces and not _is_known(container):
            container.close()
            self._is_quick = False
            if relay:
                raise Away("refused", "what it sends could not be found out at once")
            container = self._container(relay)
        closed = relay.end if relay else lambda: None
        return LibavConnection(
            container, self.address.is_live, self.patience, self.wait, self.damaged, closed, in_pieces
        )

    @property
    def _wants_pieces(self) -> bool:
        """Whether libav is not to parse: where nothing is lost on the way, and the decoder takes pictures in parts."""
        is_rtsp = self.address.target.startswith(("rtsp://", "rtsps://"))
        return is_rtsp and self.transport == "tcp" and self._in_pieces and self._is_quick and not self.hwaccel

    def _container(self, relay: Incoming | None) -> InputContainer:
        options = open_options(self.address, self.transport, self._is_quick)
        if self._wants_pieces:
            options["fflags"] = "+noparse"
        return av.open(
            relay.target if relay else self.address.target,
            format=self.address.format,
            options=options | relay.options if relay else options,
            timeout=(self.patience, self.patience),
            metadata_errors="replace",
            io_open=beside(self.address.target) if self.address.kind == "file" else None,
            hwaccel=HWAccel(self.hwaccel, allow_software_fallback=True) if self.hwaccel else None,
        )

    def _reason(self, error: av.FFmpegError, is_late: bool) -> Away:
        if is_late:
            return Away("refused", f"no answer within {self.patience:g} s")
        if isinstance(error, DENIALS):
            return Away("refused", "it wants another name and password", denied=True)
        is_here = self.address.kind != "stream" and "://" not in self.address.target
        return Away("refused", said(error), hopeless=is_here or isinstance(error, av.error.ProtocolNotFoundError))


def usable_hwaccel(name: str | None) -> str | None:
    """`name` if a decoder can be made with that libav device type, else None and a line in the log."""
    if name is None:
        return None
    try:
        decoder = av.CodecContext.create("h264", "r", hwaccel=HWAccel(name, allow_software_fallback=True))
        reason = "" if decoder.is_hwaccel else "this libav was built without it"
    except (av.FFmpegError, ValueError, NotImplementedError) as error:
        reason = str(error)
    if reason:
        logger.warning("%s decoding is not available here (%s); decoding on the CPU", name, reason)
    return None if reason else name


def _is_h264(container: InputContainer) -> bool:
    """Whether its pictures are H.264, described beforehand, and its sound, if any, is known."""
    contexts = [stream.codec_context for stream in container.streams.video if stream.codec_context]
    has_sound = all(stream.codec_context is None or stream.codec_context.rate for stream in container.streams.audio)
    return bool(contexts) and contexts[0].name == "h264" and bool(contexts[0].extradata) and has_sound


def _is_known(container: InputContainer) -> bool:
    """Whether opening found out what pictures and sound there are."""
    videos, sounds = container.streams.video, container.streams.audio
    has_size = any(stream.codec_context and stream.codec_context.width for stream in videos)
    return has_size and all(stream.codec_context is None or stream.codec_context.rate for stream in sounds)
