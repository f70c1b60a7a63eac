{{/* Which Secrets hold the certificates of brokers and control plane. */}}
{{- define "broker.tlsSecret" -}}
{{- if eq .Values.controlPlane.tls.source "secret" -}}
{{- required "controlPlane.tls.secret.broker is needed where controlPlane.tls.source is `secret`: name the Secret with the brokers' tls.crt, tls.key and ca.crt" .Values.controlPlane.tls.secret.broker -}}
{{- else -}}
{{- printf "%s-tls" (include "broker.name" .) -}}
{{- end -}}
{{- end -}}

{{- define "controlPlane.tlsSecret" -}}
{{- if eq .Values.controlPlane.tls.source "secret" -}}
{{- required "controlPlane.tls.secret.controlPlane is needed where controlPlane.tls.source is `secret`: name the Secret with the control plane's tls.crt, tls.key and ca.crt" .Values.controlPlane.tls.secret.controlPlane -}}
{{- else -}}
{{- printf "%s-tls" (include "controlPlane.name" .) -}}
{{- end -}}
{{- end -}}

{{/* The names that a certificate is good for, those of a Service: (dict "root" $ "name" …). */}}
{{- define "tls.names" -}}
{{- $host := printf "%s.%s" .name .root.Release.Namespace -}}
{{- list (printf "%s.svc" $host) (printf "%s.svc.%s" $host .root.Values.clusterDomain) $host .name | toJson -}}
{{- end -}}

{{/*
The data of a certificate's Secret, signed by `authority` (sprig's certificate; `root`, `name` and `secret` are those of the Service and the Secret).
What is in the cluster stays as long as it is of this authority, good for the same names, and younger than a year: a certificate holds for five.
*/}}
{{- define "tls.serving" -}}
{{- $names := include "tls.names" . | fromJsonArray -}}
{{- $present := lookup "v1" "Secret" .root.Release.Namespace .secret -}}
{{- $notes := dict -}}
{{- with $present }}{{ $notes = default dict .metadata.annotations }}{{ end -}}
{{- $wanted := dict "voice.contractspec.io/names" (join "," $names) "voice.contractspec.io/authority" (sha256sum .authority.Cert) -}}
{{- $madeAt := get $notes "voice.contractspec.io/made-at" | default "0" | int64 -}}
{{- $keep := gt (add $madeAt 31536000) (now | unixEpoch | int64) -}}
{{- range $key, $value := $wanted }}{{ if ne (get $notes $key) $value }}{{ $keep = false }}{{ end }}{{ end -}}
{{- $data := dict -}}
{{- with $present }}{{ $data = default dict .data }}{{ end -}}
{{- if not (and $keep (get $data "tls.crt") (get $data "tls.key") (get $data "ca.crt")) -}}
{{- $made := genSignedCertWithKey .name list $names 1825 .authority (genPrivateKey "ecdsa") -}}
{{- $data = dict "tls.crt" (b64enc $made.Cert) "tls.key" (b64enc $made.Key) "ca.crt" (b64enc .authority.Cert) -}}
{{- $madeAt = now | unixEpoch | int64 -}}
{{- end -}}
annotations:
  {{- range $key, $value := $wanted }}
  {{ $key }}: {{ $value | quote }}
  {{- end }}
  voice.contractspec.io/made-at: {{ $madeAt | toString | quote }}
data:
  {{- range $key := list "ca.crt" "tls.crt" "tls.key" }}
  {{ $key }}: {{ get $data $key }}
  {{- end }}
{{- end -}}
