{{/* The control plane's pod, the same for both databases. */}}
{{- define "controlPlane.podTemplate" -}}
{{- $sqlite := eq .Values.controlPlane.database.type "sqlite" -}}
{{- $backup := and $sqlite .Values.controlPlane.backup.enabled -}}
{{- $component := dict "root" . "component" "control-plane" "settings" .Values.controlPlane "fsGroup" $sqlite -}}
metadata:
  {{- include "component.podMetadata" $component | nindent 2 }}
spec:
  serviceAccountName: {{ include "controlPlane.name" . }}
  terminationGracePeriodSeconds: 30
  {{- include "component.pod" $component | nindent 2 }}
  containers:
    - name: control-plane
      args:
        - control-plane
        - --name=$(POD_NAME)
        {{- if $sqlite }}
        - --database-url=sqlite:////var/lib/mistral-voice/ledger.db
        {{- else }}
        - --database-url-file=/etc/mistral-voice/database/url
        {{- end }}
        - --brokers={{ .Release.Namespace }}/{{ include "broker.name" . }}
        - --tls-directory=/etc/mistral-voice/tls
        - --lease-name={{ include "controlPlane.name" . }}
        {{- with .Values.controlPlane.retention }}
        - --keep-session-days={{ .sessionDays }}
        - --keep-entry-days={{ .entryDays }}
        - --keep-audit-days={{ .auditDays }}
        {{- end }}
        {{- if $backup }}
        - --backup-directory=/var/lib/mistral-voice-backups
        - --backup-every-seconds={{ .Values.controlPlane.backup.everySeconds | int64 }}
        - --backup-keep={{ .Values.controlPlane.backup.keep | int64 }}
        {{- end }}
        - --log-level={{ .Values.logLevel }}
      env:
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
      {{- include "component.container" $component | nindent 6 }}
      volumeMounts:
        - name: tls
          mountPath: /etc/mistral-voice/tls
          readOnly: true
        {{- if $sqlite }}
        - name: ledger
          mountPath: /var/lib/mistral-voice
        {{- else }}
        - name: database
          mountPath: /etc/mistral-voice/database
          readOnly: true
        {{- end }}
        {{- if $backup }}
        - name: backups
          mountPath: /var/lib/mistral-voice-backups
        {{- end }}
        - name: tmp
          mountPath: /tmp
  volumes:
    - name: tls
      secret:
        secretName: {{ include "controlPlane.tlsSecret" . }}
        items:
          - key: tls.crt
            path: tls.crt
          - key: tls.key
            path: tls.key
          - key: ca.crt
            path: ca.crt
    {{- if not $sqlite }}
    {{- with .Values.controlPlane.database.postgresql.secretRef }}
    - name: database
      secret:
        secretName: {{ .name }}
        items:
          - key: {{ .key }}
            path: url
          {{- with .caKey }}
          - key: {{ . }}
            path: ca.crt
          {{- end }}
    {{- end }}
    {{- end }}
    {{- if $backup }}
    - name: backups
      persistentVolumeClaim:
        claimName: {{ include "controlPlane.name" . }}-backups
    {{- end }}
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
{{- end -}}

{{/* What a claim asks for. */}}
{{- define "controlPlane.claim" -}}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .storageClassName }}
  storageClassName: {{ . }}
  {{- end }}
  resources:
    requests:
      storage: {{ .size }}
{{- end -}}
