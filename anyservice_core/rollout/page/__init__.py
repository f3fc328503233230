"""The report as one HTML file: ``markup`` escapes, ``chart`` draws, ``style`` colours, the rest says what."""

from __future__ import annotations

from anyservice_core.rollout.page.whole import page

__all__ = ["page"]
