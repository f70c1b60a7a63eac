{{/* What the schema can't say, in sentences. */}}
{{- define "operator.validate" -}}
{{- $names := list -}}
{{- range .Values.endpoints -}}
{{- if has .name $names -}}
{{- fail (printf "endpoints: two are called %q. Give each a name of its own." .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- if not (regexMatch `^https://[^/\s?#@]+/?$` .url) -}}
{{- fail (printf "endpoints: the url of %q is %q. It has to be https://HOST or https://HOST:PORT, without path, query or credentials." .name .url) -}}
{{- end -}}
{{- end -}}
{{- $bundle := .Values.managedMode.broker.caBundle -}}
{{- if and $bundle.configMap $bundle.secret -}}
{{- fail "managedMode.broker.caBundle names a ConfigMap and a Secret. Leave one of them empty." -}}
{{- end -}}
{{- if and .Values.managedMode.enabled (not .Values.controlPlane.enabled) (not .Values.managedMode.broker.url) -}}
{{- fail "managedMode.enabled is true and there is no broker: set controlPlane.enabled to install brokers and control plane with this release, or managedMode.broker.url to those of another." -}}
{{- end -}}
{{- $database := .Values.controlPlane.database -}}
{{- if and .Values.controlPlane.enabled (eq $database.type "postgresql") (not $database.postgresql.secretRef.name) -}}
{{- fail "controlPlane.database.postgresql.secretRef.name is needed where the type is `postgresql`: name the Secret that holds the database's URL." -}}
{{- end -}}
{{- if and .Values.controlPlane.enabled (or (eq (include "operator.poolNamespace" .) .Release.Namespace) (has (include "operator.poolNamespace" .) (default list .Values.watchNamespaces))) -}}
{{- fail (printf "controlPlane.poolNamespace.name is %q, which is the release's own namespace or one of watchNamespaces. Mistral's keys need one that holds nothing else." (include "operator.poolNamespace" .)) -}}
{{- end -}}
{{- $election := .Values.leaderElection -}}
{{- if and (not $election.enabled) (gt (int .Values.replicas) 1) -}}
{{- fail "leaderElection.enabled is false and replicas is more than 1: all of them would write. Set replicas to 1 or enable leader election." -}}
{{- end -}}
{{- if not (and (lt (float64 $election.retryPeriodSeconds) (float64 $election.renewDeadlineSeconds)) (lt (float64 $election.renewDeadlineSeconds) (float64 $election.leaseDurationSeconds))) -}}
{{- fail "leaderElection: retryPeriodSeconds has to be less than renewDeadlineSeconds, and that less than leaseDurationSeconds, or two replicas could lead at the same time." -}}
{{- end -}}
{{- end -}}
