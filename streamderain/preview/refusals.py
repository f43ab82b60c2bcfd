"""Answers that say why not: every refusal is one line."""

from __future__ import annotations

import logging

from aiohttp import web

from streamderain.errors import StreamderainError, UnknownStream
from streamderain.preview.guard import Handler, refused

logger = logging.getLogger(__name__)


@web.middleware
async def one_line(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Make every refusal {"error": one line}, and an error that nobody foresaw one too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        answer = refused(error.status, error.text or error.reason)
        if "Allow" in error.headers:
            answer.headers["Allow"] = error.headers["Allow"]
        return answer
    except UnknownStream as error:
        return refused(404, str(error))
    except StreamderainError as error:
        return refused(400, str(error))
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return refused(500, "something unforeseen went wrong; the log says what")
