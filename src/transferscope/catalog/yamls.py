"""Where the config groups are: the project's own folder and those a user adds through Hydra's search path."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from yaml import YAMLError


def own_folder() -> Path:
    """conf/ beside src/ in a checkout, inside the package in an installed wheel."""
    package = Path(__file__).parents[1]
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def folders() -> tuple[Path, ...]:
    """Every config folder, in Hydra's order of precedence."""
    from hydra.core.hydra_config import HydraConfig

    if not HydraConfig.initialized():
        return (own_folder(),)
    sources = HydraConfig.get().runtime.config_sources
    found = [Path(source.path) for source in sources if source.schema == "file" and source.path]
    return tuple(dict.fromkeys([*found, own_folder()]))


def config_folder(given: str | Path) -> Path:
    """The folder of a --config-dir. Raises RequestError where there is none."""
    from transferscope.errors import RequestError

    if not str(given) or not Path(given).is_dir():
        raise RequestError(
            f"--config-dir {given}: no such folder; give one that holds config groups (strategy/, "
            "domain/, ...) in it"
        )
    return Path(given)


def find(group: str, name: str) -> Path | None:
    """The yaml of one choice, or None. A name may come from a record: it leads nowhere but into its config
    group."""
    if name not in names(group):
        return None
    return next((path for folder in folders() if (path := folder / group / f"{name}.yaml").is_file()), None)


def backbone_yaml(config: "DictConfig") -> str | None:
    """The name of the yaml that a job's backbone is, as Hydra tells it in the config or of this process."""
    from hydra.core.hydra_config import HydraConfig

    hydra = config.get("hydra") or HydraConfig.instance().cfg and HydraConfig.get()
    name = hydra.runtime.choices.get("backbone") if hydra else None
    return name if isinstance(name, str) else None


def astray(group: str, name: str, *more: Path) -> str:
    """What to do about a yaml of this name that lies where no choice is looked for, here or in `more`
    folders; "" where there is none."""
    for folder in dict.fromkeys((*more, *folders())):
        if path := next((path for path in (folder / group).glob("*.yml") if path.stem == name), None):
            return f"{path} is not read: the name of a yaml ends in .yaml; rename it"
        if path := next((path for path in folder.glob("*.y*ml") if path.stem == name != "config"), None):
            return f"{path} is not read: it belongs into {folder / group}"
    return ""


def read(path: Path) -> "DictConfig":
    """A yaml, unresolved. Raises RequestError, with file and line, for what is no YAML or no keys and
    values."""
    from omegaconf import DictConfig, OmegaConf
    from yaml import YAMLError

    from transferscope.errors import RequestError

    try:
        found = OmegaConf.load(path)
    except YAMLError as error:
        raise RequestError(mistake(error, path)) from error
    except UnicodeDecodeError as error:
        raise RequestError(f"{path}: is no UTF-8 text ({error.reason}); save it as UTF-8") from error
    except OSError as error:
        if error.errno is None:  # OmegaConf says so of a single value
            raise RequestError(f"{path}: keys and their values are needed") from error
        raise
    if not isinstance(found, DictConfig):
        raise RequestError(f"{path}: keys and their values are needed, not a list")
    return found


def mistake(error: "YAMLError", path: Path | None = None) -> str:
    """A mistake of syntax in one line: file, line, what is wrong."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    where = f"{path or (mark.name if mark else 'a yaml')}" + (f", line {mark.line + 1}" if mark else "")
    remedy = ""
    if "escape" in problem:
        remedy = "; a backslash stands in single quotes"
    elif "\\t" in problem:
        remedy = "; indent with spaces"
    return f"{where}: {problem}{remedy}"


def targets(group: str, *more: Path) -> set[str]:
    """What the yamls of a group name as `_target_`, at any depth, here and in `more` folders: a record may
    have nothing else built."""
    return {
        target
        for folder in (*folders(), *more)
        for path in (folder / group).glob("*.yaml")
        for target in targets_of(plain(path))
    }


def plain(path: Path) -> dict[str, Any]:
    """A yaml, unresolved, as plain Python."""
    from omegaconf import OmegaConf

    return cast(dict[str, Any], OmegaConf.to_container(read(path)))


def targets_of(value: object) -> set[str]:
    """Every `_target_` in a yaml, or in a part of one."""
    if isinstance(value, list):
        return {target for item in value for target in targets_of(item)}
    if not isinstance(value, dict):
        return set()
    own = {value["_target_"]} if isinstance(value.get("_target_"), str) else set()
    return own | {target for item in value.values() for target in targets_of(item)}


def names(group: str) -> list[str]:
    """All choices of a group."""
    return sorted({path.stem for folder in folders() for path in (folder / group).glob("*.yaml")})
