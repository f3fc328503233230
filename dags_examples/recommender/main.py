"""A small service to try the examples with: it recommends what was asked for last."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ray import serve


@serve.deployment
class Recommender:
    """Counts what is asked for, and recommends the three most wanted."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    async def __call__(self, request: Any) -> list[str]:
        self.asked[request.query_params.get("item", "nothing")] += 1
        return [item for item, _ in self.asked.most_common(3)]


app = Recommender.bind()
