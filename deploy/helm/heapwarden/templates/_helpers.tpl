{{/* Names and labels. */}}
{{- define "heapwarden.name" -}}
{{- default .Release.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "heapwarden.selector" -}}
app.kubernetes.io/name: {{ include "heapwarden.name" . }}
{{- end -}}

{{- define "heapwarden.labels" -}}
{{ include "heapwarden.selector" . }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end -}}

{{/* What a pod is to PodMonitors. */}}
{{- define "heapwarden.kind" -}}
{{- if eq .Values.mode "node-agent" }}node-agent{{ else }}sidecar{{ end -}}
{{- end -}}

{{- define "heapwarden.podLabels" -}}
heapwarden: {{ include "heapwarden.kind" . }}
{{- end -}}

{{/* New settings are rolled out as a new image is. */}}
{{- define "heapwarden.podAnnotations" -}}
checksum/settings: {{ include "heapwarden.settings" . | sha256sum }}
{{- if .Values.prometheus.annotations }}
prometheus.io/scrape: "true"
prometheus.io/port: "9797"
prometheus.io/path: /metrics
{{- end }}
{{- end -}}

{{- define "heapwarden.settings" -}}
{{- $settings := .Values.settings -}}
{{- if eq .Values.mode "node-agent" -}}
{{- $settings = merge (deepCopy $settings) (dict "socket_mode" "0666") -}}
{{- if not .Values.node.podNames -}}
{{- $settings = merge $settings (dict "kubernetes" (dict "pods" "off")) -}}
{{- end -}}
{{- end -}}
{{- if $settings }}{{ toYaml $settings }}{{ else }}# Everything as it is by default: docs/configuration.md{{ end }}
{{- end -}}

{{- define "heapwarden.usesApi" -}}
{{- $node := and (eq .Values.mode "node-agent") .Values.node.podNames -}}
{{- with .Values.kubernetesApi }}{{ if or $node .evict .leases .ownPod }}yes{{ end }}{{ end -}}
{{- end -}}
