"""`python -m cli open`: show the portal in this machine's browser, signed in, or print its address."""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlencode
from uuid import UUID

from cli.chat.client import ChatError
from cli.chat.command import api_of
from cli.local.data_dir import find_data_dir
from cli.local.pidfile import NOT_RUNNING, running_settings, running_url
from cli.local.up import json_url, new_sign_in_code, say

if TYPE_CHECKING:
    from cli.commands import Commands

BROWSER_VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


def add_command(commands: Commands) -> None:
    about = "open the portal, or one session in it, in this machine's browser, and print its address"
    parser = commands.add_parser("open", help=about, description=about)
    parser.add_argument("session", type=UUID, nargs="?", help="a session's id")
    parser.add_argument("--print", action="store_true", dest="prints_only", help="only print the address")
    parser.add_argument("--json", action="store_true", help="print the address as a JSON object")
    parser.set_defaults(run=lambda args: open_portal(os.environ, args))


def open_portal(environ: Mapping[str, str], args: argparse.Namespace) -> int:
    """Print the address, and open it where there is a browser. Return the exit status: 1 without such a session."""
    if args.session is not None:
        try:
            api_of(environ).send("GET", f"/api/sessions/{args.session}")
        except ChatError as error:
            print(error, file=sys.stderr)
            return 1
    address = portal_address(environ, args.session)
    if address is None:
        say(f"{NOT_RUNNING}, or set RUNYARD_URL.")
        return 1
    say(json_url(address) if args.json else address)
    if not args.prints_only and has_browser(environ):
        webbrowser.open(address)
    return 0


def portal_address(environ: Mapping[str, str], session: UUID | None) -> str | None:
    """Return RUNYARD_URL's page, or this clone's with a one-time sign-in code; None when neither is there."""
    page = f"/s/{session}" if session else "/"
    if environ.get("RUNYARD_URL"):
        return environ["RUNYARD_URL"].rstrip("/") + page
    data_dir = find_data_dir(environ)
    own = running_url(data_dir)
    if own is None:
        return None
    url = running_settings(data_dir, environ).get("RUNYARD_PUBLIC_URL") or own
    return f"{url.rstrip('/')}/sign-in?{urlencode({'code': new_sign_in_code(data_dir), 'next': page})}"


def has_browser(environ: Mapping[str, str]) -> bool:
    return sys.platform == "darwin" or any(environ.get(name) for name in BROWSER_VARIABLES)
