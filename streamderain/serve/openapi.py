"""The API as an OpenAPI 3.1 document, from the routes and the models of what they take and give."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from streamderain import __version__
from streamderain.serve.reading import NAME
from streamderain.serve.schemas import Fault


@dataclass(frozen=True)
class Operation:
    """One method of one path: what it is for, what it takes, and by status what it gives, words and a model or a
    content type.
    """

    method: str
    path: str
    about: str
    answers: dict[int, tuple[str, type[BaseModel] | str | None]]
    takes: type[BaseModel] | None = None


def document(operations: Iterable[Operation], public: Iterable[str], with_token: bool) -> dict[str, Any]:
    """The whole document; `public` paths need no token."""
    operations = list(operations)
    models = {Fault: None} | {model: None for each in operations for model in _models(each)}
    names, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    refs = {model: reference for (model, _), reference in names.items()}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        told = _operation(each, refs)
        if with_token:
            told["security"] = [] if each.path in public else [{"token": []}]
        paths.setdefault(each.path, {})[each.method.lower()] = told
    components: dict[str, Any] = {"schemas": schemas["$defs"]}
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    information = {"title": "streamderain", "version": __version__, "description": "Many live streams, derained."}
    return {"openapi": "3.1.0", "info": information, "paths": paths, "components": components}


def _operation(operation: Operation, refs: dict[Any, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {"summary": operation.about, "responses": {}}
    if names := re.findall(r"\{(\w+)\}", operation.path):
        told["parameters"] = [
            {"name": name, "in": "path", "required": True,
             "schema": {"type": "string", **({"pattern": f"^{NAME}$"} if name == "name" else {})}}
            for name in names
        ]  # fmt: skip
    if operation.takes:
        told["requestBody"] = {"required": True, "content": {"application/json": {"schema": refs[operation.takes]}}}
    for status, (words, kind) in operation.answers.items():
        answer: dict[str, Any] = {"description": words}
        if isinstance(kind, str):
            answer["content"] = {kind: {}}
        elif kind is not None:
            answer["content"] = {"application/json": {"schema": refs[kind]}}
        told["responses"][str(status)] = answer
    told["responses"]["default"] = {
        "description": "Refused, and why.", "content": {"application/json": {"schema": refs[Fault]}},
    }  # fmt: skip
    return told


def _models(operation: Operation) -> list[type[BaseModel]]:
    answers = [kind for _, kind in operation.answers.values() if isinstance(kind, type)]
    return [*answers, *([operation.takes] if operation.takes else [])]
