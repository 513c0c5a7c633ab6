"""Write the OpenAPI document: `python -m functions.openapi_file > schema/openapi.json`, or `make openapi`."""

from __future__ import annotations

import json
import sys

from functions.app import create_app
from functions.http.openapi import document
from functions.runtime.settings import read_settings


def main() -> int:
    app = create_app(read_settings(database_url="postgresql:///none", secret_key=bytes(32)))
    with app.app_context():
        json.dump(document(app), sys.stdout, indent=1, ensure_ascii=False, sort_keys=True)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
