"""What a team does in its namespace: write Secrets, apply integrations, and look at what became of them."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

from mistral_voice.contract.names import API_VERSION, KIND
from mistral_voice.controller.streams import INTEGRATION
from mistral_voice.kube.client import Client
from mistral_voice.kube.errors import AlreadyExists, NotFound
from mistral_voice.kube.objects import KubeObject
from mistral_voice.kube.resources import DEPLOYMENT, SECRET, Resource
from tests.support.waiting import WAIT_SECONDS, eventually


class TenantHands:
    """The hands of a team in one namespace; whoever inherits has the attributes."""

    client: Client
    namespace: str

    @property
    def valid_key(self) -> str:
        """An API key that Mistral takes."""
        raise NotImplementedError

    def explanation(self) -> str:
        """Return what helps to understand why something did not happen."""
        return ""

    async def put_key(self, value: str | None = None, *, name: str = "mistral", key: str = "apiKey", kind: str = "Opaque") -> None:
        """Create or replace the Secret with a key; the valid one if no other is given."""
        await self.put_secret({key: (value if value is not None else self.valid_key).encode()}, name=name, kind=kind)

    async def put_secret(self, data: dict[str, bytes], *, name: str = "mistral", kind: str = "Opaque") -> None:
        """Create a Secret, or replace its data."""
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": encoded}
        try:
            await self.client.create(SECRET, self.namespace, body)
        except AlreadyExists:
            await self.client.json_patch(SECRET, self.namespace, name, [{"op": "replace", "path": "/data", "value": encoded}])

    async def apply(self, name: str, **spec: Any) -> KubeObject:
        """Apply an integration: byok with the Secret `mistral` unless said otherwise; None removes a field."""
        whole = {"mode": "byok", "secretRef": {"name": "mistral"}, **spec}
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {key: value for key, value in whole.items() if value is not None},
        }
        return await self.client.apply(INTEGRATION, self.namespace, name, body, field_manager="tenant", force=True)

    async def integration(self, name: str) -> KubeObject:
        """Read an integration."""
        return await self.client.get(INTEGRATION, self.namespace, name)

    async def condition(
        self, name: str, kind: str, status: str, *, reason: str | None = None, timeout_seconds: float = WAIT_SECONDS
    ) -> dict[str, Any]:
        """Wait until a condition has this status, and this reason if one is given, for the present generation; return it."""
        seen: dict[str, Any] = {}

        async def reached() -> dict[str, Any] | None:
            body = await self.integration(name)
            seen["status"] = body.get("status")
            for condition in body.get("status", {}).get("conditions", ()):
                found: dict[str, Any] = condition
                if found["type"] == kind and found["status"] == status and reason in (None, found["reason"]):
                    return found if found.get("observedGeneration") == body["metadata"]["generation"] else None
            return None

        try:
            found: dict[str, Any] | None = await eventually(reached, f"{kind}={status} of {name}", timeout_seconds, 0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(seen, indent=1)}\n{self.explanation()}") from None
        assert found is not None
        return found

    @staticmethod
    def issue(body: KubeObject, code: str) -> dict[str, Any]:
        """Return the issue of this code in an integration's status."""
        issues = body["status"].get("issues", [])
        found: dict[str, Any] | None = next((issue for issue in issues if issue["code"] == code), None)
        assert found is not None, issues
        return found

    def exists(self, resource: Resource, name: str) -> Callable[[], Awaitable[bool]]:
        """Return a question: does this object exist?"""

        async def ask() -> bool:
            try:
                await self.client.get(resource, self.namespace, name, metadata_only=True)
            except NotFound:
                return False
            return True

        return ask

    def replicas(self, name: str, number: int) -> Callable[[], Awaitable[bool]]:
        """Return a question: does the Deployment want so many pods?"""

        async def ask() -> bool:
            try:
                deployment = await self.client.get(DEPLOYMENT, self.namespace, f"{name}-voice")
            except NotFound:
                return False
            return bool(deployment["spec"].get("replicas") == number)

        return ask

    @staticmethod
    def meaning(body: KubeObject) -> KubeObject:
        """Return what a user would see of an object: no versions, times, field managers or status."""
        dropped = ("resourceVersion", "managedFields", "generation", "creationTimestamp", "uid")
        metadata = {key: value for key, value in body["metadata"].items() if key not in dropped}
        return {**{key: value for key, value in body.items() if key != "status"}, "metadata": metadata}
