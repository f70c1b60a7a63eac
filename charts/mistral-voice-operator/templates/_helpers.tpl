{{- define "operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains (include "operator.name" .) .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "operator.name" .) | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "operator.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "operator.selectorLabels" . }}
app.kubernetes.io/part-of: mistral-voice
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false: name the ServiceAccount that the operator runs as" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "operator.leaseName" -}}
{{- default (include "operator.fullname" .) .Values.leaderElection.leaseName -}}
{{- end -}}

{{/* A reference to an image: {registry, repository, tag, digest}. */}}
{{- define "operator.imageReference" -}}
{{- $name := .repository -}}
{{- if .registry -}}{{- $name = printf "%s/%s" .registry .repository -}}{{- end -}}
{{- if .digest -}}{{- printf "%s@%s" $name .digest -}}{{- else -}}{{- printf "%s:%s" $name .tag -}}{{- end -}}
{{- end -}}

{{- define "operator.image" -}}
{{- $image := .Values.image -}}
{{- include "operator.imageReference" (dict "registry" $image.registry "repository" $image.repository "tag" (default .Chart.AppVersion $image.tag) "digest" $image.digest) -}}
{{- end -}}

{{/* The gateways' image. A tag or digest of its own puts the operator's out of effect. */}}
{{- define "operator.gatewayImage" -}}
{{- $base := .Values.image -}}
{{- $own := .Values.gateway.image -}}
{{- $digest := $own.digest -}}
{{- if not (or $own.tag $own.digest $own.repository) -}}{{- $digest = $base.digest -}}{{- end -}}
{{- include "operator.imageReference" (dict "registry" (default $base.registry $own.registry) "repository" (default $base.repository $own.repository) "tag" (default (default .Chart.AppVersion $base.tag) $own.tag) "digest" $digest) -}}
{{- end -}}

{{- define "operator.monitoringNamespaceSelector" -}}
{{- default (dict "matchLabels" (dict "kubernetes.io/metadata.name" "monitoring")) .Values.monitoringNamespaceSelector | toJson -}}
{{- end -}}

{{/* The operator's settings: the content of operator.yaml. */}}
{{- define "operator.settings" -}}
image: {{ include "operator.gatewayImage" . | quote }}
imagePullPolicy: {{ default .Values.image.pullPolicy .Values.gateway.image.pullPolicy }}
defaultVoice: {{ .Values.defaultVoice | quote }}
clusterDomain: {{ .Values.clusterDomain | quote }}
watchNamespaces: {{ default list .Values.watchNamespaces | toJson }}
rolloutPace: {{ .Values.rolloutPace }}
workers: {{ .Values.workers }}
logLevel: {{ .Values.logLevel }}
probe:
  maxConcurrent: {{ .Values.probe.maxConcurrent }}
leaderElection:
  enabled: {{ .Values.leaderElection.enabled }}
  leaseName: {{ include "operator.leaseName" . }}
  leaseDurationSeconds: {{ .Values.leaderElection.leaseDurationSeconds }}
  renewDeadlineSeconds: {{ .Values.leaderElection.renewDeadlineSeconds }}
  retryPeriodSeconds: {{ .Values.leaderElection.retryPeriodSeconds }}
gateway:
  maxMessageBytes: {{ .Values.gateway.maxMessageBytes | int64 }}
  nodeGraceSeconds: {{ .Values.gateway.nodeGraceSeconds | toJson }}
  tracing:
    endpoint: {{ default "" .Values.gateway.tracing.endpoint | quote }}
    egress: {{ default list .Values.gateway.tracing.egress | toJson }}
networkPolicy:
  enabled: {{ .Values.gatewayNetworkPolicy.enabled }}
  blockedCidrs: {{ .Values.gatewayNetworkPolicy.blockedCidrs | toJson }}
  monitoringNamespaceSelector: {{ include "operator.monitoringNamespaceSelector" . }}
{{- if include "operator.isManaged" . }}
{{- $broker := .Values.managedMode.broker }}
managedMode:
  broker:
    url: {{ default (printf "https://%s:8443" (include "broker.host" .)) $broker.url | quote }}
    caBundleFile: /etc/mistral-voice/broker-ca/ca.crt
    namespace: {{ default .Release.Namespace $broker.namespace | quote }}
    podLabels: {{ default (dict "app.kubernetes.io/name" (include "operator.name" .) "app.kubernetes.io/instance" .Release.Name "app.kubernetes.io/component" "broker") $broker.podLabels | toJson }}
    podPort: {{ $broker.podPort }}
{{- with include "operator.controlPlaneUrl" . }}
  controlPlane:
    url: {{ . | quote }}
    tokenFile: /etc/mistral-voice/control-plane-token/token
{{- end }}
{{- end }}
endpoints:
{{- range .Values.endpoints }}
  - name: {{ .name }}
    url: {{ .url | quote }}
    {{- with .caBundle }}
    caBundle: |
      {{- . | trim | nindent 6 }}
    {{- end }}
    egress: {{ default list .egress | toJson }}
{{- end }}
{{- end -}}

{{/* The port of an endpoint's URL. */}}
{{- define "operator.endpointPort" -}}
{{- regexFind ":[0-9]+$" (urlParse .url).host | trimPrefix ":" | default "443" -}}
{{- end -}}
