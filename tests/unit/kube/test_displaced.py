from typing import Any

from mistral_voice.kube.displaced import restoring_patch
from mistral_voice.kube.list_types import structure_of
from mistral_voice.kube.resources import DEPLOYMENT, SERVICE

PORT = {"name": "realtime", "port": 8080, "protocol": "TCP"}


def service(*ports: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": "support-voice", "resourceVersion": "7"}, "spec": {"ports": list(ports)}}


def test_a_port_whose_number_was_edited_is_put_back_with_its_list() -> None:
    patch = restoring_patch(structure_of(SERVICE), service(PORT), service(PORT | {"port": 81}))
    assert patch == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "replace", "path": "/spec/ports", "value": [PORT]},
    ]


def test_a_list_with_all_our_items_and_no_other_is_left_alone() -> None:
    assert restoring_patch(structure_of(SERVICE), service(PORT), service(PORT | {"targetPort": "realtime"})) == []


def test_a_list_within_an_item_is_found_too() -> None:
    def deployment(**environment: str) -> dict[str, Any]:
        container = {"name": "gateway", "env": [{"name": name, "value": value} for name, value in environment.items()]}
        return {"metadata": {"resourceVersion": "7"}, "spec": {"template": {"spec": {"containers": [container]}}}}

    patch = restoring_patch(structure_of(DEPLOYMENT), deployment(A="1"), deployment(B="1"))
    assert [operation["path"] for operation in patch[1:]] == ["/spec/template/spec/containers/0/env"]
