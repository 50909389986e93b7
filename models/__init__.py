"""What is predicted, from what, and which version is the champion."""

from __future__ import annotations

from vouch.models.definition import load, names

__all__ = ["load", "names"]
