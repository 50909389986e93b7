"""The service as a Bento imports it: from the Bento's own files, whatever is installed beside it.

A Bento holds the folders of the repository, not an installed distribution, so `vouch` is made a package whose parts lie
there; without this, a host where vouch is not installed could not import it, and one where it is would run that one.
"""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

if getattr(sys.modules.get("vouch"), "__path__", None) != [str(ROOT)]:
    _spec = importlib.util.spec_from_file_location(
        "vouch", ROOT / "serving" / "python" / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert _spec is not None
    assert _spec.loader is not None
    sys.modules["vouch"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["vouch"])

from vouch.serving.service import Vouch  # noqa: E402 - there is a package to import from only now

__all__ = ["Vouch"]
