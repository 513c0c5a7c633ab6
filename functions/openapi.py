"""The OpenAPI document. `python -m functions.openapi > schema/openapi.json` writes the one that is kept."""

from __future__ import annotations

import json
import sys
from typing import Any, cast

from apiflask import APIFlask
from flask import Flask

from schema.wire import Json


def describe(app: APIFlask) -> None:
    """Set what the whole document says."""
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        AUTO_404_RESPONSE=False,
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_AUTH_ERROR_RESPONSE=False,
        AUTO_SERVERS=False,
        AUTO_OPERATION_ID=True,
    )


def also(responses: dict[int, Json]) -> Any:
    """More answers of a view, each an OpenAPI response object, for which APIFlask's own type is too narrow."""
    return responses


def document(app: Flask) -> Json:
    """The document of this app, the same on every machine."""
    spec: Any = cast("APIFlask", app).spec
    return dict(spec)


def main() -> int:
    from functions.app import create_app
    from functions.settings import read_settings

    app = create_app(read_settings(database_url="postgresql:///none", secret_key=bytes(32)))
    with app.app_context():
        json.dump(document(app), sys.stdout, indent=1, ensure_ascii=False, sort_keys=True)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
