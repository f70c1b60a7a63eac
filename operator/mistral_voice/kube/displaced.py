"""Items of ours that somebody displaced by editing what tells them apart, such as the port of a Service's port.

Server-side apply takes the edited item for another one and adds ours beside it; where the two can't stand together (the same port name
twice), the API server refuses. Then the list is put back as a whole. Pure.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from mistral_voice.kube.list_types import GRANULAR, Structure, item_key
from mistral_voice.kube.objects import KubeObject


def restoring_patch(structure: Structure, desired: KubeObject, present: KubeObject) -> list[dict[str, Any]]:
    """Return the JSON patch that puts back every list of ours that has items we don't want, or nothing if there is none.

    It holds only for the version that was read: the first operation tests the resourceVersion.
    """
    replacements = list(_displaced(structure, desired, present, ""))
    if not replacements:
        return []
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": present["metadata"]["resourceVersion"]}, *replacements]


def _displaced(structure: Structure, desired: Mapping[str, Any], present: Mapping[str, Any], path: str) -> Iterator[dict[str, Any]]:
    for name, wanted in desired.items():
        shape, found = structure.fields.get(name, GRANULAR), present.get(name)
        place = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
        if isinstance(wanted, dict) and isinstance(found, dict) and not shape.atomic:
            yield from _displaced(shape, wanted, found, place)
        elif isinstance(wanted, list) and isinstance(found, list) and shape.keys is not None:
            yield from _displaced_items(shape, wanted, found, place)


def _displaced_items(shape: Structure, wanted: list[Any], found: list[Any], place: str) -> Iterator[dict[str, Any]]:
    keys = shape.keys or {}
    by_key = {item_key(item, keys): item for item in wanted}
    if any(item_key(item, keys) not in by_key for item in found):
        yield {"op": "replace", "path": place, "value": wanted}
        return
    for index, item in enumerate(found):
        if not shape.atomic:
            yield from _displaced(shape, by_key[item_key(item, keys)], item, f"{place}/{index}")
