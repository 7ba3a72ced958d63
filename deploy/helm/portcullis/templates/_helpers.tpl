{{/* What objects in the release's namespace are called. */}}
{{- define "portcullis.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* What cluster-wide objects are called: no two releases share it. */}}
{{- define "portcullis.clusterName" -}}
{{- $name := include "portcullis.name" . -}}
{{- if eq $name .Release.Namespace -}}{{ $name }}{{- else -}}{{ .Release.Namespace }}-{{ $name }}{{- end -}}
{{- end -}}

{{- define "portcullis.labels" -}}
{{ include "portcullis.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "portcullis.selector" -}}
app.kubernetes.io/name: portcullis
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "portcullis.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}{{ $image.repository }}@{{ $image.digest }}
{{- else -}}{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}{{- end -}}
{{- end -}}

{{/* The user that the controller is to the API server. */}}
{{- define "portcullis.user" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "portcullis.name" . }}
{{- end -}}

{{/* The Secret with the certificate. */}}
{{- define "portcullis.secret" -}}
{{ include "portcullis.name" . }}-tls
{{- end -}}

{{/* Kubernetes cleans up after others; whoever deleted those has been asked. */}}
{{- define "portcullis.cleaning" -}}
- name: is-not-cleaned-up-by-kubernetes
  expression: >-
    !(request.operation == 'DELETE' && request.userInfo.username in [
    'system:serviceaccount:kube-system:generic-garbage-collector',
    'system:serviceaccount:kube-system:namespace-controller'])
{{- end -}}
