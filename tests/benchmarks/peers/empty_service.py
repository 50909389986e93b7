"""An empty BentoML endpoint, tuned like vouch's own service: what serving costs before anything is answered."""

from __future__ import annotations

import gc

import bentoml


@bentoml.service(workers=1, logging={"access": {"enabled": False}}, http={"cors": {"enabled": False}})
class Empty:
    """Answers with nothing."""

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)

    @bentoml.api(route="/empty")
    async def empty(self) -> dict[str, int]:
        """Nothing."""
        return {}
