"""What a task was given, made ready in the worker: files are read here, so the triggerer needs none.

``config`` and ``plan`` are paths, mappings or models. A path may be templated and is seen from the DAG's
folder, as templates are. A config file's *text* is rendered as well; relative paths in it are seen from
where the file is. This takes the place of ``template_ext``, which knows no absolute paths and puts the
text, the values of ``env_vars`` included, among the rendered fields that the UI shows. A plan's text is
never rendered: ``{{ version.id }}`` in a query is the plan's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from anyservice_core import ConfigError

if TYPE_CHECKING:
    from anyservice_core import RolloutPlan, ServiceConfig

__all__ = ["ConfigLike", "PlanLike", "checked_plan", "read_config", "read_percent", "read_plan"]

ConfigLike: TypeAlias = "ServiceConfig | Mapping[str, Any] | str | Path"
PlanLike: TypeAlias = "RolloutPlan | Mapping[str, Any] | str | Path"


def read_config(operator: Any, context: Any) -> ServiceConfig:
    """The operator's ``config``, checked, without the file of its plan. Raises ``ConfigError``."""
    config, plan = _config(operator, context), getattr(operator, "plan", None)
    # A plan that is edited between two tries must not make another build.
    return (
        config.without_file(_seen_from(_folder(operator), plan)) if isinstance(plan, str | Path) else config
    )


def _config(operator: Any, context: Any) -> ServiceConfig:
    from anyservice_core import ServiceConfig

    source: ConfigLike = operator.ready_config
    if isinstance(source, str | Path):
        return _read_file(operator, context, _seen_from(_folder(operator), source))
    fields = source.to_dict() if isinstance(source, ServiceConfig) else source
    return ServiceConfig.parse(fields, base=_folder(operator))


def _read_file(operator: Any, context: Any, path: Path) -> ServiceConfig:
    from anyservice_core import ServiceConfig

    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if "{{" not in text and "{%" not in text:
        return ServiceConfig.from_yaml(path, base=path.parent)
    return _parse(operator.render_template(text, context), path)


def _parse(text: str, path: Path) -> ServiceConfig:
    import yaml

    from anyservice_core import ServiceConfig

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}, after rendering: not valid YAML: {error}.") from None
    return ServiceConfig.parse(content, base=path.parent)


def checked_plan(plan: PlanLike) -> PlanLike:
    """The plan as a DAG's author gave it. A mapping is read at once: it would be rendered, and ``{{ version.id }}`` is its own."""
    if not isinstance(plan, Mapping):
        return plan
    from anyservice_core import RolloutPlan

    return RolloutPlan.parse(plan)


def read_plan(operator: Any) -> RolloutPlan:
    """The operator's ``plan``, checked. Raises ``PlanError``."""
    from anyservice_core import RolloutPlan

    source: PlanLike = operator.plan
    return RolloutPlan.parse(
        _seen_from(_folder(operator), source) if isinstance(source, str | Path) else source
    )


def read_percent(name: str, value: Any) -> int | None:
    """A percentage that a template may have made a text. Raises ``ConfigError``."""
    if value is None or (isinstance(value, str) and value.strip().lower() in {"", "none"}):
        return None
    try:
        percent = int(str(value).strip().removesuffix("%"))
    except ValueError:
        percent = -1
    if not 0 <= percent <= 100:
        raise ConfigError(f"{name}: {value!r} is not a whole number from 0 to 100.")
    return percent


def _folder(operator: Any) -> Path | None:
    dag = operator.get_dag() if hasattr(operator, "get_dag") else None
    return Path(dag.folder) if dag is not None and getattr(dag, "folder", None) else None


def _seen_from(folder: Path | None, path: str | Path) -> Path:
    own = Path(path).expanduser()
    return own if folder is None or own.is_absolute() else folder / own
