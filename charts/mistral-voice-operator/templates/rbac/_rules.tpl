{{/*
What the operator may do in the namespaces that it serves.
Secrets: `get` for a tenant's key, the rest for the client token alone, as the admission policy sees to. Never list or watch.
*/}}
{{- define "operator.rules" -}}
- apiGroups: [voice.contractspec.io]
  resources: [mistralvoiceintegrations]
  verbs: [get, list, watch]
- apiGroups: [voice.contractspec.io]
  resources: [mistralvoiceintegrations/status]
  verbs: [update]
# An owner reference with blockOwnerDeletion needs it where OwnerReferencesPermissionEnforcement runs.
- apiGroups: [voice.contractspec.io]
  resources: [mistralvoiceintegrations/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, serviceaccounts, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [ingresses, networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes]
  verbs: [get, list, watch, create, patch, delete]
# Why a roll-out is stuck: read only when one is.
- apiGroups: [""]
  resources: [pods]
  verbs: [list]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}
