{{/* Managed mode's own processes: what they are called, and what their pods have in common. */}}

{{/* "true" if the operator serves managed integrations. */}}
{{- define "operator.isManaged" -}}
{{- if or .Values.managedMode.enabled .Values.controlPlane.enabled -}}true{{- end -}}
{{- end -}}

{{- define "broker.name" -}}
{{- printf "%s-broker" (include "operator.fullname" .) -}}
{{- end -}}

{{/* Pods of a StatefulSet bear its name and a hash of 11 characters in a label of at most 63, so that 52 are left for it. */}}
{{- define "controlPlane.name" -}}
{{- printf "%s-control-plane" (include "operator.fullname" . | trunc 38 | trimSuffix "-") -}}
{{- end -}}

{{- define "broker.host" -}}
{{- printf "%s.%s.svc" (include "broker.name" .) .Release.Namespace -}}
{{- end -}}

{{- define "controlPlane.host" -}}
{{- printf "%s.%s.svc" (include "controlPlane.name" .) .Release.Namespace -}}
{{- end -}}

{{/* Where the operator asks for use: empty if it asks nobody. */}}
{{- define "operator.controlPlaneUrl" -}}
{{- if .Values.managedMode.controlPlane.url -}}{{- .Values.managedMode.controlPlane.url -}}
{{- else if .Values.controlPlane.enabled -}}https://{{ include "controlPlane.host" . }}:8443
{{- end -}}
{{- end -}}

{{- define "operator.poolNamespace" -}}
{{- default (printf "%s-pools" (include "operator.fullname" .)) .Values.controlPlane.poolNamespace.name -}}
{{- end -}}

{{/* Labels of a component: (dict "root" $ "component" "broker"). Selectors never change, so versions are not among them. */}}
{{- define "component.selectorLabels" -}}
app.kubernetes.io/name: {{ include "operator.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "component.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "component.selectorLabels" . }}
app.kubernetes.io/part-of: mistral-voice
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end -}}

{{/* Metadata of a component's pods: (dict "root" $ "component" "broker" "settings" .Values.broker), `checksum` of what they read but once. */}}
{{- define "component.podMetadata" -}}
labels:
  {{- include "component.labels" . | nindent 2 }}
  {{- with .settings.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  kubectl.kubernetes.io/default-container: {{ .component }}
  {{- with .checksum }}
  checksum/settings: {{ . }}
  {{- end }}
  {{- with .settings.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* Where a component's pods run and as whom; arguments as above, `fsGroup` for those with a volume of their own. */}}
{{- define "component.pod" -}}
# TokenReviews, and what it watches.
automountServiceAccountToken: true
# A Service called `mistral-voice` would set MISTRAL_VOICE_PORT, which is a flag of ours.
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  {{- if .fsGroup }}
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- with .settings.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .settings.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  {{- if .settings.topologySpreadConstraints }}
  {{- toYaml .settings.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "component.selectorLabels" . | nindent 8 }}
  {{- end }}
{{- end -}}

{{/* What the containers have in common: image, probes, ports, security. */}}
{{- define "component.container" -}}
image: {{ include "operator.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
ports:
  - name: https
    containerPort: 8443
    protocol: TCP
  - name: metrics
    containerPort: 9090
    protocol: TCP
# A new version may have to change the database's schema before it listens.
startupProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 1
  failureThreshold: 300
livenessProbe:
  httpGet:
    path: /healthz
    port: metrics
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
  timeoutSeconds: 5
{{- with .settings.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop:
      - ALL
{{- end -}}

{{/* The Service of a component: (dict "root" $ "component" "broker" "name" …). */}}
{{- define "component.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "component.labels" . | nindent 4 }}
spec:
  type: ClusterIP
  ports:
    - name: https
      port: 8443
      targetPort: https
      protocol: TCP
    - name: metrics
      port: 9090
      targetPort: metrics
      protocol: TCP
  selector:
    {{- include "component.selectorLabels" . | nindent 4 }}
{{- end -}}

{{- define "component.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "component.labels" . | nindent 4 }}
# The pods mount their tokens themselves.
automountServiceAccountToken: false
{{- end -}}

{{- define "component.podDisruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "component.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "component.selectorLabels" . | nindent 6 }}
{{- end -}}
