"""Page somebody when a version was taken back: an automation of Prefect's server, which calls a webhook.

    PAGER_URL=https://hooks.example.com/... python page_on_rollback.py       makes it, or brings it up to date

It is about all services, and no process of yours has to be up for it. The address is a secret of most pagers: it is read from
the environment, and kept in a block that shows it to nobody.
"""

from __future__ import annotations

import os
from typing import Any

from prefect.automations import Automation
from prefect.blocks.webhook import Webhook
from prefect.events import EventTrigger
from prefect.events.actions import CallWebhook
from pydantic import SecretStr

NAME = "page on rollback"
BACK = EventTrigger(
    expect={"anyservice.rollout.rolled-back"},
    match={"prefect.resource.id": "anyservice.service.*"},
    threshold=1,
    within=0,  # at once
)
SAYS = '{"text": {{ (event.payload.service ~ ": " ~ event.payload.message) | tojson }}}'


def main(url: str) -> None:
    block: Any = Webhook(url=SecretStr(url)).save("pager", overwrite=True)  # typed as if it might be awaited
    wanted = Automation(
        name=NAME,
        description="Tells the pager which version of which service was taken back, and why.",
        trigger=BACK,
        actions=[CallWebhook(block_document_id=block, payload=SAYS)],
    )
    try:
        there: Any = Automation.read(name=NAME)
    except ValueError:
        wanted.create()
        return
    there.trigger, there.actions = wanted.trigger, wanted.actions
    there.update()


if __name__ == "__main__":
    main(os.environ["PAGER_URL"])
