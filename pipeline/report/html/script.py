"""The script of a page: Vega-Lite with what it needs, from the package ``vl-convert-python``, and a few lines of ours.

Bundling takes seconds, so the result is kept in the user's cache. It changes with the package and with our lines alone.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import re
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs

from pipeline.errors import EnvironmentProblem
from pipeline.files import write_atomic


@cache
def script() -> str:
    """The text that stands between ``<script>`` and ``</script>``, without either of them in it."""
    own = (Path(__file__).parent.parent / "templates" / "report.js").read_text(encoding="utf-8")
    import vl_convert

    version = vl_convert.get_vegalite_versions()[-1]
    packaged = importlib.metadata.version("vl-convert-python")
    key = hashlib.sha256(f"{packaged} {version} {own}".encode()).hexdigest()[:16]
    kept = platformdirs.user_cache_path("danas-deploy", appauthor=False) / "report" / f"script-{key}.js"
    with suppress(OSError, ValueError):
        text, _, sha256 = kept.read_text(encoding="utf-8").rpartition("\n//")
        if hashlib.sha256(text.encode()).hexdigest() == sha256:
            return text
    text = inert(vl_convert.javascript_bundle(own, vl_version=version))
    with suppress(EnvironmentProblem):  # a cache is a convenience
        write_atomic(kept, f"{text}\n//{hashlib.sha256(text.encode()).hexdigest()}")
    return text


def inert(text: str) -> str:
    """A script in which no character sequence ends, or changes, the element that holds it.

    In JavaScript these can only stand in texts and regular expressions, where the escape means the same.
    """
    return re.sub(r"</(?=script)", r"<\\/", text, flags=re.IGNORECASE).replace("<!--", r"<\!--")


def policy(text: str) -> str:
    """The Content-Security-Policy of a page: this very script and nothing else runs, and nothing is fetched."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
