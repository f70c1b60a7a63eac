"""The API resources that the operator deals with: group, version, plural and kind, and their paths."""

from typing import Final
from urllib.parse import quote

from msgspec import Struct


class Resource(Struct, frozen=True):
    """One kind of object as the API server serves it.

    `sensitive` kinds carry credentials: what the API server says about them may quote a value, so it never gets into an error's text.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    sensitive: bool = False

    @property
    def api_version(self) -> str:
        """Return the `apiVersion` of its objects, for example `apps/v1` or `v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of one object, or of the collection if there is no name (in all namespaces if there is no namespace)."""
        path = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if self.namespaced and namespace:
            path += f"/namespaces/{quote(namespace, safe='')}"
        path += f"/{self.plural}"
        if name:
            path += f"/{quote(name, safe='')}"
        return f"{path}/{subresource}" if subresource else path


NAMESPACE: Final = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SERVICE_ACCOUNT: Final = Resource("", "v1", "serviceaccounts", "ServiceAccount")
CONFIG_MAP: Final = Resource("", "v1", "configmaps", "ConfigMap")
SECRET: Final = Resource("", "v1", "secrets", "Secret", sensitive=True)
SERVICE: Final = Resource("", "v1", "services", "Service")
POD: Final = Resource("", "v1", "pods", "Pod")
RESOURCE_QUOTA: Final = Resource("", "v1", "resourcequotas", "ResourceQuota")
DEPLOYMENT: Final = Resource("apps", "v1", "deployments", "Deployment")
POD_DISRUPTION_BUDGET: Final = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
HORIZONTAL_POD_AUTOSCALER: Final = Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler")
NETWORK_POLICY: Final = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
INGRESS: Final = Resource("networking.k8s.io", "v1", "ingresses", "Ingress")
HTTP_ROUTE: Final = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute")
LEASE: Final = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENT: Final = Resource("events.k8s.io", "v1", "events", "Event")
CUSTOM_RESOURCE_DEFINITION: Final = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
TOKEN_REVIEW: Final = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False, sensitive=True)
SUBJECT_ACCESS_REVIEW: Final = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False)
