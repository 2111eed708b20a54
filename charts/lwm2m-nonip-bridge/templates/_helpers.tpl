{{- define "bridge.name" -}}
{{- .Values.fullnameOverride | default .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "bridge.selector" -}}
app.kubernetes.io/name: lwm2m-nonip-bridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "bridge.labels" -}}
{{ include "bridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{/* bridge.toml. Refuse a second section [service], and secrets that are not references. */}}
{{- define "bridge.toml" -}}
{{- if regexMatch "(?m)^\\s*\\[\\s*service\\s*\\]" .Values.config -}}
{{- fail "config: [service] is made by the chart; put its settings into the value `service`" -}}
{{- end -}}
{{- if regexMatch "(?m)^\\s*\\[\\s*cluster\\s*\\]" .Values.config -}}
{{- fail "config: [cluster] is made by the chart; put its settings into the value `cluster`" -}}
{{- end -}}
{{- if and .Values.cluster.enabled (not (regexMatch "(?m)^\\s*prefixes\\s*=" .Values.config)) -}}
{{- fail "config: with `cluster.enabled` it needs prefixes in [north]: each shard has a part of them" -}}
{{- end -}}
{{- range regexFindAll "(client_secret|token|password|app_key)\\s*=\\s*[\"'][^\"']*[\"']" .Values.config -1 -}}
{{- if not (regexMatch "=\\s*[\"'](credential:|env:|file:|[\"'])" .) -}}
{{- fail (printf "config: %s must be a reference, such as \"credential:NAME\" with NAME in the value `secrets`" (regexFind "^\\w+" .)) -}}
{{- end -}}
{{- end -}}
[service]
state_directory = "/var/lib/lwm2m-bridge"
metrics_listen = "0.0.0.0:{{ int .Values.metrics.port }}"
{{- range $key, $value := .Values.service }}
{{ $key }} = {{ toJson $value }}
{{- end }}

{{- if .Values.cluster.enabled }}

[cluster]
enabled = true
{{- range $key, $value := .Values.cluster.settings }}
{{ $key }} = {{ toJson $value }}
{{- end }}
{{- end }}

{{ .Values.config }}
{{- end -}}
