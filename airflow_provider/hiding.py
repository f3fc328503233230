"""What people may see of a config: Airflow keeps rendered fields in its database and shows them in its UI.

The task works with the config as it was given. What stands in the field that Airflow looks at is a copy without
the values of ``env_vars``, and without anything whose name says that it is a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["HIDDEN", "HasConfig", "shown"]

HIDDEN = "***"
_SECRET = re.compile(r"token(?!_enabled|s_|_limit)|password|passwd|secret|api_?key|credential", re.IGNORECASE)
_VALUES = "env_vars"


def shown(config: Any) -> Any:
    """Give what may be seen of a config: a path as it is, a model or mapping without its secrets."""
    return _seen(config.to_dict() if hasattr(config, "to_dict") else config)


def _seen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _under(str(key), of) for key, of in value.items()}
    return [_seen(one) for one in value] if isinstance(value, list | tuple) else value


def _under(key: str, value: Any) -> Any:
    if key == _VALUES and isinstance(value, Mapping):
        return dict.fromkeys(value, HIDDEN)
    return HIDDEN if isinstance(value, str) and _SECRET.search(key) else _seen(value)


class HasConfig:
    """An operator whose ``config`` is rendered, used and shown, the three of them being different things."""

    config: Any

    def take(self, config: Any) -> None:
        """Take the config from the DAG's author. The field holds what may be seen, also before it is rendered."""
        self.given_config = self.ready_config = config
        self.config = shown(config)

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Render what was given, and show it without its secrets."""
        super().render_template_fields(context, jinja_env)  # type: ignore[misc]
        env = {} if jinja_env is None else {"jinja_env": jinja_env}
        self.ready_config = self.render_template(self.given_config, context, **env)  # type: ignore[attr-defined]
        self.config = shown(self.ready_config)
