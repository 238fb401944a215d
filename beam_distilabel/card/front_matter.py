"""The front matter's parts that are ours: what the Hub and `datasets` read of a card."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from beam_distilabel.card.definition import mapping
from beam_distilabel.summary import SubsetSummary

TAGS = ("synthetic", "distilabel", "rlaif", "beam-distilabel")

_SIZES = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_CATEGORIES = (
    "n<1K",
    *(f"{low}<n<{high}" for low, high in zip(_SIZES, _SIZES[1:], strict=False)),
    "n>1T",
)


def size_category(rows: int) -> str:
    """The Hub's name for a number of rows.

    Example:
        >>> size_category(999), size_category(1000), size_category(5_000_000)
        ('n<1K', '1K<n<10K', '1M<n<10M')
    """
    return _CATEGORIES[min(max(len(str(rows)) - 3, 0), len(_CATEGORIES) - 1)]


def front_matter(
    existing: Mapping[str, Any],
    subsets: Sequence[SubsetSummary],
    *,
    keep_other_splits: bool = False,
) -> dict[str, Any]:
    """Our keys of the front matter, updated.

    `configs` and `dataset_info` of subsets that name their files are written anew, those of others
    stay. A subset with neither rows nor files has replaced older files: its config and its
    `dataset_info` go, since `datasets` loads no config at all of a card where one has no files.

    There is one default config, since `datasets` loads nothing from a card with two: "default" if
    there is one, else the one that it was, else the first of `subsets`; but none without rows where
    another has some. `datasets` takes a config named "default" whatever is marked, so that one
    without rows is left out then; it couldn't be loaded anyway.

    Args:
        existing: the front matter that is there.
        subsets: what is published.
        keep_other_splits: keep the splits that a config has and its subset hasn't.

    Returns:
        Key to value; None for a key that has nothing left.
    """
    named = [subset for subset in subsets if subset.data_files]
    ours: dict[str, Any] = {}
    infos = _by_name(existing.get("dataset_info"))
    configs = _by_name(existing.get("configs"))
    previous = _default_of(configs)
    gone = [
        subset
        for subset in subsets
        if not subset.data_files
        and not subset.rows
        and (subset.name in configs or subset.name in infos)
    ]
    if named or gone:
        for subset in gone:
            _take_out(subset, configs, infos, keep_other_splits)
        for subset in named:
            held = configs.get(subset.name) if keep_other_splits else None
            config = _config(subset, held)
            infos[subset.name] = _info(subset, list(_patterns(config)), infos.get(subset.name, {}))
            configs[subset.name] = config
        empty = {name for name in configs if _is_empty(name, configs, infos, named)}
        if "default" in empty and len(empty) < len(configs):
            del configs["default"]
            infos.pop("default", None)
        if configs:
            _set_default(configs, previous, [subset.name for subset in named], empty)
        ours["configs"] = list(configs.values()) or None
        ours["dataset_info"] = list(infos.values()) or None
    ours["size_categories"] = [_category(existing, subsets, configs, infos)]
    tags = existing.get("tags") or []
    tags = tags if isinstance(tags, list) else [str(tags)]
    ours["tags"] = [*tags, *(tag for tag in TAGS if tag not in tags)]
    return ours


def _by_name(entries: Any) -> dict[str, dict[str, Any]]:
    """The entries of `configs` or `dataset_info` by name; of one name, the last, as it is read."""
    if isinstance(entries, Mapping):  # how one `dataset_info` is written
        entries = [{"config_name": "default", **entries}]
    entries = entries if isinstance(entries, list) else []
    return {
        str(entry["config_name"]): dict(entry)
        for entry in entries
        if isinstance(entry, Mapping) and entry.get("config_name") is not None
    }


# -- configs ---------------------------------------------------------------------------------------


def _config(subset: SubsetSummary, held: Mapping[str, Any] | None) -> dict[str, Any]:
    patterns: dict[str, Any] = _patterns(held) if held else {}
    patterns.update(subset.data_files)
    others = {
        key: value
        for key, value in (held or {}).items()
        if key not in ("config_name", "data_files", "data_dir", "default")
    }
    return {
        "config_name": subset.name,
        **others,
        "data_files": _listed(patterns),
    }


def _listed(patterns: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"split": split, "path": path} for split, path in patterns.items()]


def _patterns(config: Mapping[str, Any]) -> dict[str, Any]:
    """Split to what names its files, in any of the forms that `datasets` takes."""
    files = config.get("data_files")
    if isinstance(files, str):
        return {"train": files}
    if not isinstance(files, list):
        return {}
    if all(isinstance(entry, str) for entry in files):
        return {"train": list(files)} if files else {}
    return {
        str(entry["split"]): entry["path"]
        for entry in files
        if isinstance(entry, Mapping) and "split" in entry and "path" in entry
    }


def _default_of(configs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The config that `load_dataset` takes where none is named."""
    if len(configs) == 1 or "default" in configs:
        return "default" if "default" in configs else next(iter(configs))
    return next((name for name, config in configs.items() if config.get("default")), None)


def _set_default(
    configs: Mapping[str, dict[str, Any]],
    previous: str | None,
    published: Sequence[str],
    empty: Collection[str],
) -> None:
    wanted = ["default", *([previous] if previous else []), *published, *configs]
    there = [name for name in wanted if name in configs]
    chosen = next((name for name in there if name not in empty), there[0])
    for name, config in configs.items():
        if name != chosen and config.get("default"):
            del config["default"]
    if chosen != "default":
        configs[chosen]["default"] = True


def _is_empty(
    name: str,
    configs: Mapping[str, Mapping[str, Any]],
    infos: Mapping[str, Mapping[str, Any]],
    published: Sequence[SubsetSummary],
) -> bool:
    """Whether a config is known to have no rows."""
    counted = _counted(mapping(infos.get(name)))
    if counted:
        return not any(entry["num_examples"] for entry in counted)
    rows = {subset.name: subset.splits for subset in published}.get(name, {})
    splits = _patterns(configs[name])
    return bool(splits) and all(rows.get(split) == 0 for split in splits)


def _take_out(
    subset: SubsetSummary,
    configs: dict[str, dict[str, Any]],
    infos: dict[str, dict[str, Any]],
    keep_other_splits: bool,
) -> None:
    """Remove what `configs` and `infos` say of a subset whose files are gone."""
    name = subset.name
    patterns = _patterns(configs.get(name, {}))
    left = {split: path for split, path in patterns.items() if split not in subset.splits}
    if keep_other_splits and len(left) == len(patterns):
        return
    if not keep_other_splits or not left:
        configs.pop(name, None)
        infos.pop(name, None)
        return
    configs[name]["data_files"] = _listed(left)
    held = infos.get(name)
    if held is not None:
        # The features that all its splits had are still those of each.
        info = _info(SubsetSummary(name, {}), list(left), held)
        infos[name] = {**info, **{key: held[key] for key in ("features",) if key in held}}


# -- dataset_info ----------------------------------------------------------------------------------


def _info(subset: SubsetSummary, splits: Sequence[str], held: Mapping[str, Any]) -> dict[str, Any]:
    """The `dataset_info` of a subset.

    Sizes and features are left out where they aren't known of all `splits`: `datasets` refuses rows
    that don't agree with them.
    """
    info: dict[str, Any] = {"config_name": subset.name}
    kept = [split for split in splits if split not in subset.splits]
    features = _features(subset)
    if features and (not kept or held.get("features") == features):
        info["features"] = features
    entries = {
        entry["name"]: entry
        for entry in _counted(held) or ()
        if entry["name"] in kept and isinstance(entry.get("num_bytes"), int)
    }
    for split, size in subset.bytes.items():
        if split in subset.splits:
            rows = subset.splits[split]
            entries[split] = {"name": split, "num_bytes": size, "num_examples": rows}
    if set(entries) == set(splits):
        info["splits"] = [dict(entries[split]) for split in splits]
        if not kept and all(split in subset.file_bytes for split in splits):
            info["download_size"] = sum(subset.file_bytes[split] for split in splits)
        info["dataset_size"] = sum(entries[split]["num_bytes"] for split in splits)
    return info


def _features(subset: SubsetSummary) -> Any:
    """The features as a card holds them; None where `datasets` couldn't read them back."""
    from datasets import DatasetInfo, Features
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    if not subset.schema:  # not known, or without columns
        return None
    try:
        features = Features.from_arrow_schema(subset.schema)
        data = DatasetCardData()
        DatasetInfosDict({"default": DatasetInfo(features=features)}).to_dataset_card_data(data)
        read = DatasetInfosDict.from_dataset_card_data(data)["default"].features
    except (KeyError, NotImplementedError, TypeError, ValueError):
        # An Arrow type that `datasets` has no name for, or a struct whose fields are named like
        # the words of this format. Without features `datasets` takes them from the files.
        return None
    return data["dataset_info"]["features"] if read == features else None


def _counted(info: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    """The splits of a `dataset_info`, None where they aren't counted."""
    splits = info.get("splits")
    if not isinstance(splits, list):
        return None
    for entry in splits:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("num_examples"), int):
            return None
        if "name" not in entry:
            return None
    return splits


# -- size ------------------------------------------------------------------------------------------


def _category(
    existing: Mapping[str, Any],
    subsets: Sequence[SubsetSummary],
    configs: Mapping[str, Any],
    infos: Mapping[str, Mapping[str, Any]],
) -> str:
    """The category of all rows; at least what it was, where a config's rows aren't counted."""
    total = sum(sum(subset.splits.values()) for subset in subsets)
    ours = {subset.name: set(subset.splits) for subset in subsets}
    unknown = False
    for name in {**configs, **infos}:
        counted = _counted(mapping(infos.get(name)))
        unknown |= counted is None and name not in ours
        for entry in counted or ():
            if entry["name"] not in ours.get(name, ()):
                total += entry["num_examples"]
    category = size_category(total)
    held = existing.get("size_categories")
    known = [name for name in (held if isinstance(held, list) else [held]) if name in _CATEGORIES]
    return max([category, *(known if unknown else [])], key=_CATEGORIES.index)
