"""Reading the YAML that people write: what is wrong is said with file, line and column, never guessed over."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from anyservice_core.errors import ConfigError

__all__ = ["read_yaml", "tried"]


class _Loader(yaml.SafeLoader):
    """YAML's own rule, which its reader does not keep: a key may be in a mapping once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if key in seen and key != "<<":
                raise yaml.MarkedYAMLError(problem=f"{key!r} is here twice", problem_mark=key_node.start_mark)
            seen |= {key} if key is not None else set()
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; ``ConfigError`` with file, line and column where there is none."""
    try:
        content = yaml.load(Path(path).expanduser().read_text(encoding="utf-8"), _Loader)  # noqa: S506  # it is a safe one
    except OSError as error:
        raise ConfigError(f"Cannot read {str(path)!r}: {error.strerror}.", hint=tried(path)) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file in UTF-8.") from None
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{path}{_spot(error)}: {error.problem or 'not valid YAML'}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise ConfigError(f"{path}: not valid YAML: {reason}.") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds {_kind_of(content)}, where a mapping of fields is wanted.")
    return content


def tried(path: str | Path) -> str | None:
    """The hint that says where a relative path led: what runs elsewhere runs in another folder."""
    whole = Path(path).expanduser().absolute()
    return None if str(whole) == str(path) else f"Looked for {whole}."


def _kind_of(content: Any) -> str:
    if isinstance(content, str):
        return f"the text {content[:40]!r}"
    return "nothing" if content is None else f"a {type(content).__name__}"


def _spot(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    return f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
